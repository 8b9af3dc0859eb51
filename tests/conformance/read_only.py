"""A registry that takes no push: ``cargohold import`` fills it, ``cargohold serve --read-only`` serves it."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from contextlib import contextmanager
from dataclasses import dataclass
from typing import TYPE_CHECKING

from conformance import plan
from conformance.client import Client
from tests.tools.layouts import make_image, make_layer

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

    from conformance.target import Sample

NAME = "given/image"
TAGS = ("one", "two")
_COMMAND = [sys.executable, "-m", "registry"]


@dataclass(frozen=True)
class Served:
    """Where the image ``given/image`` is served, and its digest."""

    host: str
    digest: str

    def sample(self) -> Sample:
        client = Client(f"http://{self.host}")
        try:
            return plan.read_sample(client, NAME, self.digest, TAGS, None)
        finally:
            client.close()


def import_image(folder: Path, data: Path) -> str:
    """Put an image into a registry that doesn't run; its digest."""
    layout = make_image(folder, make_layer("file", os.urandom(4000)), make_layer("other", os.urandom(100)))
    for tag in TAGS:
        command = [*_COMMAND, "import", "--data", data, "--as", f"{NAME}:{tag}", layout.folder]
        subprocess.run(command, check=True, stdout=subprocess.DEVNULL)
    return layout.digest


@contextmanager
def read_only_registry(folder: Path) -> Iterator[Served]:
    data, log = folder / "data", folder / "log"
    digest = import_image(folder / "image", data)
    with log.open("wb") as output:
        process = subprocess.Popen(
            [*_COMMAND, "serve", "--read-only", "--data", data, "--listen", "127.0.0.1:0"],
            stdout=output,
            stderr=output,
            env={**os.environ, "CARGOHOLD_LOG__FORMAT": "json"},
        )
    try:
        yield Served(_wait_for(log, process), digest)
    finally:
        process.terminate()
        process.wait(60)


def _wait_for(log: Path, process: subprocess.Popen[bytes]) -> str:
    """The address, once the daemon listens."""
    while True:
        for line in log.read_text().splitlines(keepends=True):
            if '"listening"' in line and line.endswith("\n"):
                return str(json.loads(line)["addresses"][0])
        assert process.poll() is None, log.read_text()
        os.sched_yield()
