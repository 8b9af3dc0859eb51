"""The cache that BuildKit keeps in a registry: an index whose children are layers and a config, so blobs.

Sent by curl as ``--export-cache type=registry,image-manifest=false`` writes it; with ``true`` it is an image.
"""

from __future__ import annotations

import json
import os
from typing import TYPE_CHECKING

import pytest

from registry.oci.media_types import DOCKER_LIST, OCI_IMAGE, OCI_INDEX
from tests.clients.commands import needs
from tests.tools.content import LAYER_TYPE, descriptor, digest_of, to_json

if TYPE_CHECKING:
    from tests.clients.curl import Curl
    from tests.tools.daemon import Daemon

pytestmark = needs("curl")

_CACHE_CONFIG = "application/vnd.buildkit.cacheconfig.v0"
_TARGET = "/v2/team/app/manifests/cache"


@pytest.mark.parametrize("media_type", [OCI_INDEX, DOCKER_LIST])
def test_a_cache_of_blobs_comes_back_after_sigkill(daemon: Daemon, curl: Curl, media_type: str) -> None:
    layers = [os.urandom(1000), os.urandom(1000)]
    cache = _push_cache(curl, layers, media_type)

    daemon.kill()
    daemon.start()

    reply = curl("GET", _TARGET, headers={"Accept": f"{OCI_INDEX}, {DOCKER_LIST}, {OCI_IMAGE}"})
    assert (reply.status, reply.headers["content-type"], reply.body) == (200, media_type, cache)
    *children, config = (_read_blob(curl, entry["digest"]) for entry in reply.json()["manifests"])
    assert children == layers
    assert config == _config(layers)


def test_a_blob_in_a_cache_does_not_become_a_manifest(curl: Curl) -> None:
    layer = os.urandom(1000)
    _push_cache(curl, [layer])

    reply = curl("GET", f"/v2/team/app/manifests/{digest_of(layer)}")

    assert (reply.status, reply.codes) == (404, ["MANIFEST_UNKNOWN"])


def test_a_cache_is_refused_while_a_blob_is_missing(curl: Curl) -> None:
    layer = os.urandom(1000)
    curl.push_blob("team/app", _config([layer]))

    reply = curl("PUT", _TARGET, _cache([layer]), {"Content-Type": OCI_INDEX})

    assert (reply.status, reply.codes) == (404, ["MANIFEST_BLOB_UNKNOWN"])
    assert digest_of(layer) in reply.body.decode()
    assert digest_of(_config([layer])) not in reply.body.decode()


def test_a_newer_cache_takes_the_tag_and_shares_layers(curl: Curl) -> None:
    old, new = os.urandom(1000), os.urandom(1000)
    older = _push_cache(curl, [old])

    newer = _push_cache(curl, [old, new])

    assert curl("GET", _TARGET).body == newer
    assert curl("GET", f"/v2/team/app/manifests/{digest_of(older)}").body == older
    assert curl("GET", "/v2/team/app/tags/list").json()["tags"] == ["cache"]


def test_a_cache_may_be_an_image_as_well(curl: Curl) -> None:
    layer = os.urandom(1000)
    index = json.loads(_push_cache(curl, [layer]))
    *layers, config = index["manifests"]
    manifest = to_json({"schemaVersion": 2, "mediaType": OCI_IMAGE, "config": config, "layers": layers})

    curl.push_manifest("team/app", "image-cache", manifest)

    assert curl("GET", "/v2/team/app/manifests/image-cache").body == manifest


def _push_cache(curl: Curl, layers: list[bytes], media_type: str = OCI_INDEX) -> bytes:
    """The index, after all in it and itself are pushed; it is the tag ``cache``."""
    for content in (*layers, _config(layers)):
        curl.push_blob("team/app", content)
    cache = _cache(layers, media_type)
    curl.push_manifest("team/app", "cache", cache)
    return cache


def _config(layers: list[bytes]) -> bytes:
    """Which layer is the outcome of which step."""
    records = [{"digest": digest_of(layer), "layers": [{"layer": n}]} for n, layer in enumerate(layers)]
    return to_json({"layers": [{"blob": digest_of(layer)} for layer in layers], "records": records})


def _cache(layers: list[bytes], media_type: str = OCI_INDEX) -> bytes:
    entries = [_layer_entry(layer) for layer in layers]
    config = descriptor(_config(layers), _CACHE_CONFIG)
    return to_json({"schemaVersion": 2, "mediaType": media_type, "manifests": [*entries, config]})


def _layer_entry(layer: bytes) -> dict[str, object]:
    annotations = {"buildkit/createdat": "2024-01-01T00:00:00Z", "containerd.io/uncompressed": digest_of(layer)}
    return descriptor(layer, f"{LAYER_TYPE}+gzip", annotations=annotations)


def _read_blob(curl: Curl, digest: str) -> bytes:
    reply = curl("GET", f"/v2/team/app/blobs/{digest}")
    assert reply.status == 200, reply
    return reply.body
