"""The real clients as processes, in a home folder of their own: nothing of the host's settings or storage is used."""

from __future__ import annotations

import os
import shutil
import subprocess
from dataclasses import dataclass
from typing import TYPE_CHECKING

import pytest

from tests.clients.waiting import LIMIT_SECONDS

if TYPE_CHECKING:
    from collections.abc import Mapping
    from pathlib import Path


def needs(client: str) -> pytest.MarkDecorator:
    """Skip the test, or as ``pytestmark`` the module, where the client is missing."""
    return pytest.mark.skipif(shutil.which(client) is None, reason=f"{client} is not installed")


def make_environment(home: Path, host: str) -> dict[str, str]:
    """Write the settings of podman and skopeo, with plain HTTP for ``host``; the environment that leads to them.

    Nothing else is in it: no proxy, no credentials.
    """
    settings = home / ".config" / "containers"
    settings.mkdir(parents=True)
    (home / "tmp").mkdir()
    (settings / "policy.json").write_text('{"default": [{"type": "insecureAcceptAnything"}]}')
    (settings / "registries.conf").write_text(f'[[registry]]\nlocation = "{host}"\ninsecure = true\n')
    (settings / "storage.conf").write_text(
        f'[storage]\ndriver = "vfs"\ngraphroot = "{home}/storage"\nrunroot = "{home}/run"\n'
    )
    (settings / "containers.conf").write_text(
        f'[engine]\ncgroup_manager = "cgroupfs"\nevents_logger = "none"\n'
        f'tmp_dir = "{home}/tmp"\nimage_copy_tmp_dir = "{home}/tmp"\n'
        f'[network]\nnetwork_config_dir = "{home}/networks"\n'
    )
    (settings / "auth.json").write_text("{}")
    return {
        "PATH": os.environ["PATH"],
        "HOME": str(home),
        "TMPDIR": str(home / "tmp"),
        "CONTAINERS_CONF": str(settings / "containers.conf"),
        "CONTAINERS_STORAGE_CONF": str(settings / "storage.conf"),
        "REGISTRY_AUTH_FILE": str(settings / "auth.json"),
    }


@dataclass(frozen=True, slots=True)
class Command:
    """A program and what comes first in all its calls."""

    program: tuple[str, ...]
    environment: Mapping[str, str]

    def __call__(self, *arguments: str | Path, body: bytes = b"") -> bytes:
        """Run to the end, with ``body`` as its input; what it printed. It has to succeed."""
        done = self._run(arguments, body)
        assert done.returncode == 0, _describe(done)
        return done.stdout

    def error_of(self, *arguments: str | Path) -> str:
        """What it complains about. It has to fail."""
        done = self._run(arguments, b"")
        assert done.returncode != 0, _describe(done)
        return done.stderr.decode()

    def start(self, *arguments: str | Path) -> subprocess.Popen[bytes]:
        """Start it, with pipes to its input and from its complaints, and go on."""
        return subprocess.Popen(
            [*self.program, *arguments],
            env=self.environment,
            stdin=subprocess.PIPE,
            stdout=subprocess.DEVNULL,
            stderr=subprocess.PIPE,
        )

    def _run(self, arguments: tuple[str | Path, ...], body: bytes) -> subprocess.CompletedProcess[bytes]:
        return subprocess.run(
            [*self.program, *arguments],
            env=self.environment,
            input=body,
            capture_output=True,
            timeout=LIMIT_SECONDS,
            check=False,
        )


def _describe(done: subprocess.CompletedProcess[bytes]) -> str:
    words = " ".join(str(word) for word in done.args)
    return f"{words}: exit status {done.returncode}\n{done.stdout.decode(errors='replace')}\n{done.stderr.decode()}"
