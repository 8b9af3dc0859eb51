"""Fixtures of the tests with real clients."""

from __future__ import annotations

import os
import shutil
from typing import TYPE_CHECKING

import pytest

from tests.clients.commands import Command, make_environment
from tests.clients.curl import Curl
from tests.clients.engines import need_mounts, running_containerd, running_dockerd
from tests.tools.layouts import Layout, make_image, make_layer

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

    from tests.tools.daemon import Daemon

_BIG_BYTES = 300 * 1024 * 1024


@pytest.fixture(autouse=True)
def _no_folders_left(tmp_path: Path) -> Iterator[None]:
    """Images are big, and pytest keeps the folders of its last runs; the daemon's log, a file, stays."""
    yield
    for folder in tmp_path.iterdir():
        if folder.is_dir():
            shutil.rmtree(folder)


@pytest.fixture
def environment(tmp_path: Path, daemon: Daemon) -> dict[str, str]:
    return make_environment(tmp_path / "home", daemon.host)


@pytest.fixture
def skopeo(environment: dict[str, str]) -> Command:
    return Command(("skopeo",), environment)


@pytest.fixture
def podman(environment: dict[str, str]) -> Command:
    return Command(("podman",), environment)


@pytest.fixture
def buildah(environment: dict[str, str]) -> Command:
    return Command(("buildah",), environment)


@pytest.fixture
def crane(environment: dict[str, str]) -> Command:
    return Command(("crane",), environment)


@pytest.fixture
def regctl(environment: dict[str, str], daemon: Daemon) -> Command:
    """With plain HTTP in its settings."""
    command = Command(("regctl",), environment)
    command("registry", "set", daemon.host, "--tls", "disabled")
    return command


@pytest.fixture
def containerd(tmp_path: Path, environment: dict[str, str]) -> Iterator[Path]:
    """The socket of a containerd that only this test uses."""
    with running_containerd(tmp_path / "c", environment) as socket:
        yield socket


@pytest.fixture
def ctr(environment: dict[str, str], containerd: Path) -> Command:
    return Command(("ctr", "--address", str(containerd)), environment)


@pytest.fixture(name="need_mounts")
def _need_mounts() -> None:
    need_mounts()


@pytest.fixture
def docker(tmp_path: Path, environment: dict[str, str], need_mounts: None, containerd: Path) -> Iterator[Command]:
    """With a dockerd that only this test uses; it builds images itself, without BuildKit."""
    with running_dockerd(tmp_path / "d", environment, containerd) as socket:
        yield Command(("docker", "--host", f"unix://{socket}"), {**environment, "DOCKER_BUILDKIT": "0"})


@pytest.fixture
def curl(environment: dict[str, str], daemon: Daemon) -> Curl:
    return Curl(Command(("curl", "--silent", "--show-error", "--include"), environment), daemon)


@pytest.fixture
def small_image(tmp_path: Path) -> Layout:
    """An image of two layers that no client has ever seen."""
    layers = (make_layer(f"file-{number}", os.urandom(100_000)) for number in range(2))
    return make_image(tmp_path / "small", *layers)


@pytest.fixture(scope="session")
def big_image(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Layout]:
    """An image with a layer of 300 MiB that can't be compressed; tests only read it."""
    folder = tmp_path_factory.mktemp("big")
    yield make_image(folder / "image", make_layer("file", os.urandom(_BIG_BYTES)))
    shutil.rmtree(folder)
