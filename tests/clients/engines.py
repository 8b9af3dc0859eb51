"""containerd and dockerd as processes: all that they write is in a folder that the test gives them."""

from __future__ import annotations

import json
import subprocess
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING

import pytest

from tests.clients.waiting import LIMIT_SECONDS, wait_until

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping, Sequence

_CONTAINERD_SETTINGS = """\
version = 2
root = "{folder}/root"
state = "{folder}/state"
disabled_plugins = ["io.containerd.grpc.v1.cri", "io.containerd.internal.v1.opt"]
[grpc]
address = "{folder}/socket"
"""
"""Without Kubernetes' interface, and without the plugin that makes a folder in /opt."""


def need_mounts() -> None:
    """Skip the test where layers can't be unpacked: both engines mount folders for that."""
    done = subprocess.run(["unshare", "--mount", "true"], capture_output=True, text=True, check=False)
    if done.returncode != 0:
        pytest.skip(f"layers can't be unpacked here: {done.stderr.strip()}")


@contextmanager
def running_containerd(folder: Path, environment: Mapping[str, str]) -> Iterator[Path]:
    """The path of its socket. Paths of sockets are at most 107 bytes long: ``folder`` has to be short."""
    folder.mkdir()
    settings = folder / "config.toml"
    settings.write_text(_CONTAINERD_SETTINGS.format(folder=folder))
    with _running(["containerd", "--config", settings], environment, folder, "successfully booted"):
        yield folder / "socket"


@contextmanager
def running_dockerd(folder: Path, environment: Mapping[str, str], containerd: Path) -> Iterator[Path]:
    """The path of its socket. It leaves the network alone, and the host's containerd: it uses the one that is given."""
    folder.mkdir()
    settings = folder / "daemon.json"
    settings.write_text(
        json.dumps(
            {
                "data-root": str(folder / "data"),
                "exec-root": str(folder / "exec"),
                "pidfile": str(folder / "pid"),
                "deprecated-key-path": str(folder / "key.json"),
                "hosts": [f"unix://{folder}/socket"],
                "containerd": str(containerd),
                "storage-driver": "vfs",
                "bridge": "none",
                "iptables": False,
            }
        )
    )
    with _running(["dockerd", "--config-file", settings], environment, folder, "API listen on"):
        yield folder / "socket"


@contextmanager
def _running(
    command: Sequence[str | Path], environment: Mapping[str, str], folder: Path, is_ready: str
) -> Iterator[None]:
    """Until the block is left; skips the test, with the last thing it said, if it ends before it says ``is_ready``.

    Its log lies beside its folder.
    """
    path = folder.with_suffix(".log")
    with path.open("wb") as log:
        process = subprocess.Popen(command, env=environment, stdout=log, stderr=log)
    try:
        wait_until(lambda: process.poll() is not None or is_ready in path.read_text())
        if process.poll() is not None:
            pytest.skip(f"{command[0]} doesn't run here: {path.read_text().strip().rpartition(chr(10))[2]}")
        yield
    finally:
        process.terminate()
        _end(process)
        _unmount_below(folder)


def _unmount_below(folder: Path) -> None:
    """An engine that does not get ready leaves its own folder mounted."""
    points = [line.split()[4] for line in Path("/proc/self/mountinfo").read_text().splitlines()]
    for point in reversed(points):
        if Path(point).is_relative_to(folder):
            subprocess.run(["umount", "--lazy", point], check=True)


def _end(process: subprocess.Popen[bytes]) -> None:
    try:
        process.wait(LIMIT_SECONDS)
    except subprocess.TimeoutExpired:
        process.kill()
        process.wait()
        raise
