"""Images that docker builds, pushes and pulls."""

from __future__ import annotations

import json
import os
from dataclasses import dataclass
from typing import TYPE_CHECKING

from registry.oci.media_types import DOCKER_IMAGE, DOCKER_LIST
from tests.clients.commands import Command, needs
from tests.tools.layouts import make_index, make_layer

if TYPE_CHECKING:
    from pathlib import Path

    from tests.tools.daemon import Daemon

pytestmark = [needs("docker"), needs("dockerd"), needs("containerd")]


def test_docker_pulls_what_it_built_and_pushed(daemon: Daemon, docker: Command, tmp_path: Path) -> None:
    image = f"{daemon.host}/team/app:1"
    _build(docker, tmp_path / "context", image)

    docker("push", image)
    pushed = _Image.inspect(docker, image)
    docker("rmi", image)
    docker("pull", image)

    assert _Image.inspect(docker, image) == pushed
    status, headers, manifest = daemon.request("GET", "/v2/team/app/manifests/1")
    assert (status, headers["content-type"]) == (200, DOCKER_IMAGE)
    assert pushed.digests == [f"{daemon.host}/team/app@{headers['docker-content-digest']}"]
    assert json.loads(manifest)["config"]["digest"] == pushed.id


def test_docker_pulls_by_digest(daemon: Daemon, docker: Command, tmp_path: Path) -> None:
    image = f"{daemon.host}/team/app:1"
    _build(docker, tmp_path / "context", image)
    docker("push", image)
    pushed = _Image.inspect(docker, image)
    docker("rmi", image)

    [name] = pushed.digests
    docker("pull", name)

    assert _Image.inspect(docker, name) == pushed


def test_docker_mounts_layers_that_another_repository_has(daemon: Daemon, docker: Command, tmp_path: Path) -> None:
    first, second = f"{daemon.host}/team/first:1", f"{daemon.host}/team/second:1"
    _build(docker, tmp_path / "context", first)
    docker("push", first)
    docker("tag", first, second)

    printed = docker("push", second).decode()

    assert printed.count("Mounted from team/first") == 2, printed
    docker("rmi", first, second)
    docker("pull", second)


def test_docker_pushes_a_list_of_images(daemon: Daemon, docker: Command, tmp_path: Path) -> None:
    image = f"{daemon.host}/team/app"
    for tag in ("one", "two"):
        _build(docker, tmp_path / tag, f"{image}:{tag}")
        docker("push", f"{image}:{tag}")

    docker("manifest", "create", "--insecure", f"{image}:1", f"{image}:one", f"{image}:two")
    docker("manifest", "annotate", "--arch", "arm64", f"{image}:1", f"{image}:two")
    pushed_digest = docker("manifest", "push", "--insecure", f"{image}:1").decode().strip()

    _, headers, manifest = daemon.request("GET", "/v2/team/app/manifests/1")
    assert (headers["content-type"], headers["docker-content-digest"]) == (DOCKER_LIST, pushed_digest)
    children = [daemon.request("HEAD", f"/v2/team/app/manifests/{tag}")[1] for tag in ("one", "two")]
    digests = [child["digest"] for child in json.loads(manifest)["manifests"]]
    assert digests == [child["docker-content-digest"] for child in children]


@needs("skopeo")
def test_docker_pulls_the_image_of_one_architecture_from_an_index(
    daemon: Daemon, docker: Command, skopeo: Command, tmp_path: Path
) -> None:
    image = f"{daemon.host}/team/app:1"
    layers = {architecture: [make_layer("file", os.urandom(1000))] for architecture in ("amd64", "arm64")}
    made = make_index(tmp_path / "made", layers)
    skopeo("copy", "--all", str(made), f"docker://{image}")

    docker("pull", "--platform", "linux/arm64", image)

    pulled = _Image.inspect(docker, image)
    assert pulled.digests == [f"{daemon.host}/team/app@{made.digest}"]
    assert pulled.layers == [layers["arm64"][0].diff_id]


def test_docker_is_told_that_there_is_no_such_image(daemon: Daemon, docker: Command) -> None:
    assert "manifest unknown" in docker.error_of("pull", f"{daemon.host}/team/app:1")


@dataclass(frozen=True, slots=True)
class _Image:
    """An image in docker's storage; ``digests`` are those of manifests in registries, each with its repository."""

    id: str
    digests: list[str]
    layers: list[str]

    @classmethod
    def inspect(cls, docker: Command, name: str) -> _Image:
        [image] = json.loads(docker("image", "inspect", name))
        return cls(image["Id"], image["RepoDigests"], image["RootFS"]["Layers"])


def _build(docker: Command, context: Path, image: str) -> None:
    """Two layers, so that no test depends on there being one."""
    context.mkdir()
    for name in ("one", "two"):
        (context / name).write_bytes(os.urandom(100_000))
    (context / "Dockerfile").write_text("FROM scratch\nCOPY one /one\nCOPY two /two\n")
    docker("build", "--tag", image, context)
