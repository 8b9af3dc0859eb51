"""Images in other forms than gzip layers below an OCI manifest; skopeo makes them on the way to the registry."""

from __future__ import annotations

import filecmp
import json
import os
from typing import TYPE_CHECKING

from registry.oci.media_types import DOCKER_IMAGE
from tests.clients.commands import Command, needs
from tests.tools.content import LAYER_TYPE
from tests.tools.layouts import Layout, assert_same, make_image, make_layer

if TYPE_CHECKING:
    from pathlib import Path

    from tests.tools.daemon import Daemon

pytestmark = needs("skopeo")

_ZSTD_MAGIC = b"\x28\xb5\x2f\xfd"


def test_a_zstd_layer_keeps_its_bytes_and_its_media_type(daemon: Daemon, skopeo: Command, tmp_path: Path) -> None:
    plain = make_layer("file", os.urandom(1000) + bytes(1_000_000), compressed=False)
    made, packed = make_image(tmp_path / "made", plain), Layout(tmp_path / "packed")
    image, pulled = f"docker://{daemon.host}/team/zstd:1", Layout(tmp_path / "pulled")
    skopeo("copy", "--dest-compress-format", "zstd", str(made), str(packed))
    [layer] = packed.layers
    assert layer["mediaType"] == f"{LAYER_TYPE}+zstd"
    assert packed.blob_path(layer["digest"]).read_bytes().startswith(_ZSTD_MAGIC)

    skopeo("copy", str(packed), image)
    skopeo("copy", image, str(pulled))

    assert skopeo("inspect", "--raw", image) == packed.manifest
    assert_same(packed, pulled)


@needs("podman")
def test_podman_unpacks_a_zstd_layer(daemon: Daemon, skopeo: Command, podman: Command, tmp_path: Path) -> None:
    made = make_image(tmp_path / "made", make_layer("file", os.urandom(1000) + bytes(1_000_000), compressed=False))
    image = f"{daemon.host}/team/zstd:1"
    skopeo("copy", "--dest-compress-format", "zstd", str(made), f"docker://{image}")

    podman("pull", image)

    assert json.loads(podman("image", "inspect", image))[0]["RootFS"]["Layers"] == made.diff_ids


def test_a_docker_image_keeps_its_bytes_and_its_media_types(
    daemon: Daemon, skopeo: Command, small_image: Layout, tmp_path: Path
) -> None:
    image = f"docker://{daemon.host}/team/docker:1"
    pushed, pulled = tmp_path / "pushed", tmp_path / "pulled"
    skopeo("copy", "--format", "v2s2", str(small_image), f"dir:{pushed}")

    skopeo("copy", "--format", "v2s2", str(small_image), image)
    skopeo("copy", image, f"dir:{pulled}")

    raw = skopeo("inspect", "--raw", image)
    assert raw == (pushed / "manifest.json").read_bytes()
    assert json.loads(raw)["mediaType"] == DOCKER_IMAGE
    assert daemon.request("GET", "/v2/team/docker/manifests/1")[1]["content-type"] == DOCKER_IMAGE
    names = sorted(path.name for path in pushed.iterdir())
    assert names == sorted(path.name for path in pulled.iterdir())
    assert filecmp.cmpfiles(pushed, pulled, names, shallow=False) == (names, [], [])
