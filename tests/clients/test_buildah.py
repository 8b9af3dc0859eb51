"""Images that buildah makes from nothing, pushes and pulls."""

from __future__ import annotations

import json
import os
from typing import TYPE_CHECKING, Any

from tests.clients.commands import Command, needs
from tests.tools.layouts import Layout

if TYPE_CHECKING:
    from pathlib import Path

    from tests.tools.daemon import Daemon

pytestmark = needs("buildah")


def test_buildah_pulls_what_it_built_from_scratch_and_pushed(daemon: Daemon, buildah: Command, tmp_path: Path) -> None:
    image = f"{daemon.host}/team/app:1"
    _build(buildah, tmp_path, image)
    built = _inspect(buildah, image)

    pushed_digest = _push(buildah, tmp_path, image)
    buildah("rmi", "--all")
    buildah("pull", image)

    pulled = _inspect(buildah, image)
    assert pulled["FromImageID"] == built["FromImageID"]
    assert pulled["FromImageDigest"] == pushed_digest
    assert pulled["OCIv1"]["rootfs"] == built["OCIv1"]["rootfs"]


def test_buildah_builds_on_an_image_from_the_registry(daemon: Daemon, buildah: Command, tmp_path: Path) -> None:
    base, more = f"{daemon.host}/team/app:1", f"{daemon.host}/team/app:2"
    _build(buildah, tmp_path, base)
    diff_ids = _inspect(buildah, base)["OCIv1"]["rootfs"]["diff_ids"]
    _push(buildah, tmp_path, base)
    buildah("rmi", "--all")

    _build(buildah, tmp_path, more, base)
    _push(buildah, tmp_path, more)
    buildah("rmi", "--all")
    buildah("pull", more)

    pulled = _inspect(buildah, more)["OCIv1"]["rootfs"]["diff_ids"]
    assert (pulled[:-1], len(pulled)) == (diff_ids, 2)


def test_buildah_pushes_an_index_with_all_its_images(daemon: Daemon, buildah: Command, tmp_path: Path) -> None:
    image = f"{daemon.host}/team/app"
    buildah("manifest", "create", "all")
    for architecture in ("amd64", "arm64"):
        _build(buildah, tmp_path, f"{image}:{architecture}")
        buildah("manifest", "add", "--arch", architecture, "all", f"{image}:{architecture}")

    buildah("manifest", "push", "--all", "--digestfile", tmp_path / "digest", "all", f"docker://{image}:1")

    manifest = daemon.request("GET", f"/v2/team/app/manifests/{(tmp_path / 'digest').read_text()}")[2]
    assert daemon.request("GET", "/v2/team/app/manifests/1")[2] == manifest
    children = json.loads(manifest)["manifests"]
    assert [child["platform"]["architecture"] for child in children] == ["amd64", "arm64"]
    for child in children:
        assert daemon.request("HEAD", f"/v2/team/app/manifests/{child['digest']}")[0] == 200


@needs("skopeo")
def test_skopeo_pulls_what_buildah_pushed(daemon: Daemon, buildah: Command, skopeo: Command, tmp_path: Path) -> None:
    image, pulled = f"{daemon.host}/team/app:1", Layout(tmp_path / "pulled")
    _build(buildah, tmp_path, image)
    pushed_digest = _push(buildah, tmp_path, image)

    skopeo("copy", f"docker://{image}", str(pulled))

    assert pulled.digest == pushed_digest
    assert pulled.diff_ids == _inspect(buildah, image)["OCIv1"]["rootfs"]["diff_ids"]


def _build(buildah: Command, folder: Path, image: str, base: str = "scratch") -> None:
    """One layer on top of ``base``; nothing runs in the container."""
    (folder / "file").write_bytes(os.urandom(100_000))
    container = buildah("from", base).decode().strip()
    buildah("add", container, folder / "file", f"/{base.rpartition(':')[2]}")
    buildah("commit", "--rm", container, image)


def _push(buildah: Command, folder: Path, image: str) -> str:
    """Push; the digest, as buildah tells it."""
    buildah("push", "--digestfile", folder / "digest", image)
    return (folder / "digest").read_text()


def _inspect(buildah: Command, image: str) -> dict[str, Any]:
    return dict(json.loads(buildah("inspect", "--type", "image", image)))
