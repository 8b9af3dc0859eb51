"""Images that podman makes, pushes and pulls."""

from __future__ import annotations

import json
import os
from dataclasses import dataclass
from typing import TYPE_CHECKING

from tests.clients.commands import Command, needs
from tests.tools.layouts import Layout, make_index, make_layer

if TYPE_CHECKING:
    from pathlib import Path

    from tests.tools.daemon import Daemon

pytestmark = needs("podman")


def test_podman_pulls_what_it_built_and_pushed(daemon: Daemon, podman: Command, tmp_path: Path) -> None:
    image = f"{daemon.host}/team/app:1"
    _build(podman, tmp_path / "context", image)
    built = _Image.inspect(podman, image)

    pushed_digest = _push(podman, image, tmp_path)
    podman("rmi", "--all")
    podman("pull", image)

    pulled = _Image.inspect(podman, image)
    assert (pulled.id, pulled.layers) == (built.id, built.layers)
    assert pulled.digest == pushed_digest


def test_podman_pulls_by_digest(daemon: Daemon, podman: Command, tmp_path: Path) -> None:
    image = f"{daemon.host}/team/app"
    _build(podman, tmp_path / "context", f"{image}:1")
    built = _Image.inspect(podman, f"{image}:1")

    pushed_digest = _push(podman, f"{image}:1", tmp_path)
    podman("rmi", "--all")
    podman("pull", f"{image}@{pushed_digest}")

    assert _Image.inspect(podman, f"{image}@{pushed_digest}").id == built.id


def test_podman_pulls_after_a_restart_what_it_pushed_before(daemon: Daemon, podman: Command, tmp_path: Path) -> None:
    image = f"{daemon.host}/team/app:1"
    _build(podman, tmp_path / "context", image)
    pushed_digest = _push(podman, image, tmp_path)
    podman("rmi", "--all")

    daemon.restart()
    podman("pull", image)

    assert _Image.inspect(podman, image).digest == pushed_digest


@needs("skopeo")
def test_podman_pulls_the_image_of_one_architecture_from_an_index(
    daemon: Daemon, podman: Command, skopeo: Command, tmp_path: Path
) -> None:
    image = f"{daemon.host}/team/app:1"
    layers = {architecture: [make_layer("file", os.urandom(1000))] for architecture in ("amd64", "arm64")}
    skopeo("copy", "--all", str(make_index(tmp_path / "made", layers)), f"docker://{image}")

    podman("pull", "--arch", "arm64", image)

    assert _Image.inspect(podman, image).layers == [layers["arm64"][0].diff_id]


@needs("skopeo")
def test_skopeo_pulls_what_podman_pushed(daemon: Daemon, podman: Command, skopeo: Command, tmp_path: Path) -> None:
    image, pulled = f"{daemon.host}/team/app:1", Layout(tmp_path / "pulled")
    _build(podman, tmp_path / "context", image)
    pushed_digest = _push(podman, image, tmp_path)

    skopeo("copy", f"docker://{image}", str(pulled))

    assert pulled.digest == pushed_digest
    assert pulled.diff_ids == _Image.inspect(podman, image).layers


@dataclass(frozen=True, slots=True)
class _Image:
    """An image in podman's storage."""

    id: str
    digest: str
    layers: list[str]

    @classmethod
    def inspect(cls, podman: Command, name: str) -> _Image:
        [image] = json.loads(podman("image", "inspect", name))
        return cls(image["Id"], image["Digest"], image["RootFS"]["Layers"])


def _build(podman: Command, context: Path, image: str) -> None:
    """Two layers, so that no test depends on there being one."""
    context.mkdir()
    for name in ("one", "two"):
        (context / name).write_bytes(os.urandom(100_000))
    (context / "Containerfile").write_text("FROM scratch\nCOPY one /one\nCOPY two /two\n")
    podman("build", "--layers", "--isolation", "chroot", "--network", "host", "--tag", image, context)


def _push(podman: Command, image: str, folder: Path) -> str:
    """Push; the digest, as podman tells it. It may differ from that in its storage: there, layers are not packed."""
    podman("push", "--digestfile", folder / "digest", image)
    return (folder / "digest").read_text()
