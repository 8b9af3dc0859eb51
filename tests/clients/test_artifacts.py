"""What helm, oras and cosign keep in a registry, sent by curl as they send it."""

from __future__ import annotations

import os
from typing import TYPE_CHECKING, Any
from urllib.parse import urlencode

from registry.oci.media_types import OCI_IMAGE
from tests.clients.commands import needs
from tests.tools.content import CONFIG, CONFIG_TYPE, descriptor, digest_of, image, to_json

if TYPE_CHECKING:
    from tests.clients.curl import Curl
    from tests.tools.asgi import Reply

pytestmark = needs("curl")

_EMPTY = "application/vnd.oci.empty.v1+json"
_HELM_CONFIG = "application/vnd.cncf.helm.config.v1+json"
_HELM_CHART = "application/vnd.cncf.helm.chart.content.v1.tar+gzip"
_HELM_PROVENANCE = "application/vnd.cncf.helm.chart.provenance.v1.prov"
_COSIGN_SIGNATURE = "application/vnd.dev.cosign.simplesigning.v1+json"
_COSIGN_ARTIFACT = "application/vnd.dev.cosign.artifact.sig.v1+json"


def test_a_chart_of_helm(curl: Curl) -> None:
    """A tag of helm's has ``_`` where the chart's version has ``+``."""
    config = to_json({"name": "app", "version": "1.2.3+build.4", "apiVersion": "v2"})
    chart, provenance = os.urandom(10_000), b"-----BEGIN PGP SIGNED MESSAGE-----\n"
    annotations = {"org.opencontainers.image.title": "app", "org.opencontainers.image.version": "1.2.3+build.4"}
    manifest = _manifest(
        descriptor(config, _HELM_CONFIG),
        [descriptor(chart, _HELM_CHART), descriptor(provenance, _HELM_PROVENANCE)],
        annotations=annotations,
    )

    _push(curl, "charts/app", "1.2.3_build.4", manifest, config, chart, provenance)

    pulled = _pull(curl, "charts/app", "1.2.3_build.4", manifest)
    assert pulled.json()["annotations"] == annotations
    assert [_blob(curl, "charts/app", layer) for layer in pulled.json()["layers"]] == [chart, provenance]
    assert _blob(curl, "charts/app", pulled.json()["config"]) == config
    assert curl("GET", "/v2/charts/app/tags/list").json()["tags"] == ["1.2.3_build.4"]


def test_an_artifact_of_oras(curl: Curl) -> None:
    """Its config is the two bytes of an empty object, which are in the descriptor too."""
    file = os.urandom(10_000)
    empty = descriptor(CONFIG, _EMPTY, data="e30=")
    title = {"org.opencontainers.image.title": "file.bin"}
    manifest = _manifest(
        empty,
        [descriptor(file, "application/octet-stream", annotations=title)],
        artifactType="application/vnd.example.file",
        annotations={"org.opencontainers.image.created": "2024-01-01T00:00:00Z"},
    )

    _push(curl, "team/files", "1", manifest, CONFIG, file)

    [layer] = _pull(curl, "team/files", "1", manifest).json()["layers"]
    assert layer["annotations"] == title
    assert _blob(curl, "team/files", layer) == file
    assert _blob(curl, "team/files", empty) == CONFIG


def test_an_artifact_of_oras_that_has_no_file(curl: Curl) -> None:
    """``oras attach`` with annotations only: the one layer is the empty object again."""
    subject = _push_image(curl)
    empty = descriptor(CONFIG, _EMPTY)
    note = _manifest(
        empty,
        [empty],
        artifactType="application/vnd.example.note",
        subject=descriptor(subject, OCI_IMAGE),
        annotations={"note": "read"},
    )

    reply = _push(curl, "team/app", digest_of(note), note, CONFIG)

    assert reply.headers["oci-subject"] == digest_of(subject)
    assert _referrers(curl, subject) == [
        descriptor(note, OCI_IMAGE, artifactType="application/vnd.example.note", annotations={"note": "read"})
    ]


def test_a_signature_of_cosign_by_its_tag(curl: Curl) -> None:
    """Cosign looks for it by the tag alone; nothing refers to the image."""
    subject = _push_image(curl)
    tag = f"{digest_of(subject).replace(':', '-')}.sig"
    assert curl("HEAD", f"/v2/team/app/manifests/{tag}").status == 404

    manifest, config, payload = _signature(subject)
    _push(curl, "team/app", tag, manifest, config, payload)

    [layer] = _pull(curl, "team/app", tag, manifest).json()["layers"]
    assert layer["annotations"] == {"dev.cosignproject.cosign/signature": "c2lnbmVk"}
    assert _blob(curl, "team/app", layer) == payload
    assert curl("GET", "/v2/team/app/tags/list").json()["tags"] == ["1", tag]
    assert _referrers(curl, subject) == []


def test_a_second_signature_of_cosign_takes_the_tag(curl: Curl) -> None:
    """Cosign adds a layer to what is there, and pushes to the same tag."""
    subject = _push_image(curl)
    tag = f"{digest_of(subject).replace(':', '-')}.sig"
    one, config, payload = _signature(subject)
    two, _, _ = _signature(subject, "c2lnbmVkIGFnYWlu", "c2lnbmVk")
    for manifest in (one, two):
        _push(curl, "team/app", tag, manifest, config, payload)

    assert len(_pull(curl, "team/app", tag, two).json()["layers"]) == 2
    _pull(curl, "team/app", digest_of(one), one)


def test_the_same_signature_of_cosign_as_a_referrer(curl: Curl) -> None:
    """It has no artifactType: the type of its config stands for it."""
    subject = _push_image(curl)
    by_tag, config, payload = _signature(subject)
    manifest, _, _ = _signature(subject, config_type=_COSIGN_ARTIFACT, subject=descriptor(subject, OCI_IMAGE))
    tag = f"{digest_of(subject).replace(':', '-')}.sig"
    _push(curl, "team/app", tag, by_tag, config, payload)

    reply = _push(curl, "team/app", digest_of(manifest), manifest, config, payload)

    assert reply.headers["oci-subject"] == digest_of(subject)
    assert _referrers(curl, subject) == [descriptor(manifest, OCI_IMAGE, artifactType=_COSIGN_ARTIFACT)]
    assert _referrers(curl, subject, artifactType=_COSIGN_ARTIFACT) == _referrers(curl, subject)
    assert _referrers(curl, subject, artifactType="application/vnd.example.other+json") == []
    assert curl("DELETE", f"/v2/team/app/manifests/{digest_of(manifest)}").status == 202
    assert _referrers(curl, subject) == []
    _pull(curl, "team/app", tag, by_tag)


def _signature(
    signed: bytes, *signatures: str, config_type: str = CONFIG_TYPE, **more: Any
) -> tuple[bytes, bytes, bytes]:
    """Manifest, config and payload; each of the signatures is an annotation of a layer, and all layers are the same."""
    identity = {"image": {"docker-manifest-digest": digest_of(signed)}, "type": "cosign container image signature"}
    payload = to_json({"critical": identity, "optional": None})
    config = to_json({"rootfs": {"type": "layers", "diff_ids": [digest_of(payload)]}})
    layers = [
        descriptor(payload, _COSIGN_SIGNATURE, annotations={"dev.cosignproject.cosign/signature": signature})
        for signature in signatures or ("c2lnbmVk",)
    ]
    return _manifest(descriptor(config, config_type), layers, **more), config, payload


def _manifest(config: dict[str, Any], layers: list[dict[str, Any]], **more: Any) -> bytes:
    document = {"schemaVersion": 2, "mediaType": OCI_IMAGE, "config": config, "layers": layers, **more}
    return to_json(document)


def _push_image(curl: Curl) -> bytes:
    """An image without layers, for others to refer to; the manifest."""
    manifest = image()
    _push(curl, "team/app", "1", manifest, CONFIG)
    return manifest


def _push(curl: Curl, name: str, reference: str, manifest: bytes, *blobs: bytes) -> Reply:
    for blob in blobs:
        curl.push_blob(name, blob)
    return curl.push_manifest(name, reference, manifest)


def _pull(curl: Curl, name: str, reference: str, manifest: bytes) -> Reply:
    """The manifest; it has to be this one."""
    reply = curl("GET", f"/v2/{name}/manifests/{reference}", headers={"Accept": OCI_IMAGE})
    assert (reply.status, reply.headers["content-type"], reply.body) == (200, OCI_IMAGE, manifest)
    assert reply.headers["docker-content-digest"] == digest_of(manifest)
    return reply


def _blob(curl: Curl, name: str, entry: dict[str, Any]) -> bytes:
    reply = curl("GET", f"/v2/{name}/blobs/{entry['digest']}")
    assert reply.status == 200, reply
    return reply.body


def _referrers(curl: Curl, subject: bytes, **query: str) -> list[dict[str, Any]]:
    """With the query as clients encode it: a ``+`` would be a space."""
    reply = curl("GET", f"/v2/team/app/referrers/{digest_of(subject)}?{urlencode(query)}")
    assert reply.status == 200, reply
    return list(reply.json()["manifests"])
