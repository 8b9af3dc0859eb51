"""What is measured: the rows of the table."""

from __future__ import annotations

import hashlib
import json
import subprocess
import sys
from dataclasses import asdict, dataclass, replace
from typing import TYPE_CHECKING, Any

from benchmarks import content, wrk
from benchmarks.client import Job
from benchmarks.connection import LAYERS, Connection, image_digests, push_blob, push_bytes, push_image, push_manifest
from benchmarks.work import LoadFailed, Work
from registry.oci.media_types import OCI_IMAGE

if TYPE_CHECKING:
    from collections.abc import Callable
    from pathlib import Path

_READ = "bench/read"
_MANIFESTS = "bench/new-manifests"
_BLOBS = "bench/new-blobs"
_IMAGES = "bench/new-images"

_IMAGES_TO_PULL = 4
_LAYER_BYTES = content.MIB

_FIRST_SMALL, _FIRST_IMAGE, _FIRST_OF_16, _FIRST_BIG = (number * 1_000_000 for number in range(1, 5))
_FIRST_OF = {1: 5_000_000, 8: 6_000_000, 64: 7_000_000}
"""Blobs are new to the registry, so each load numbers its own from somewhere else."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Sizes:
    """How much of everything; ``small`` blobs and manifests are there to be read, and there are as many targets."""

    seconds: int
    small: int
    new_manifests: int
    new_blobs: int
    """That all clients push; one that is alone pushes a quarter."""
    big_bytes: int
    big_count: int
    images: int
    """That each client pushes; one that is alone pushes four times as many."""

    @property
    def stored_bytes(self) -> int:
        """What a registry holds after a round, roughly: files of 4 KiB take more than that."""
        small = 4 * content.SMALL_BYTES * (2 * self.small + self.new_manifests + 3 * self.new_blobs)
        images = _IMAGES_TO_PULL + 4 * self.images + 16 * self.images
        return small + images * LAYERS * _LAYER_BYTES + (1 + self.big_count) * self.big_bytes


FULL = Sizes(
    seconds=3,
    small=100,
    new_manifests=2000,
    new_blobs=2000,
    big_bytes=256 * content.MIB,
    big_count=2,
    images=2,
)
QUICK = Sizes(
    seconds=1,
    small=16,
    new_manifests=64,
    new_blobs=64,
    big_bytes=16 * content.MIB,
    big_count=1,
    images=1,
)


class Bench:
    """The client's side: its core, and a folder for its lists."""

    def __init__(self, folder: Path, core: int, sizes: Sizes) -> None:
        self.folder = folder
        self.core = core
        self.sizes = sizes
        self._small = [self._small_blob(number) for number in range(sizes.small)]
        self._layers = [(digest, content.SMALL_BYTES) for digest, _ in self._small[:9]]

    def _small_blob(self, number: int) -> tuple[str, str]:
        body = content.small_blob(number)
        return f"sha256:{hashlib.sha256(body.encode()).hexdigest()}", body

    def fill(self, port: int) -> None:
        """Push what is to be there before the clock starts. Raises LoadFailed."""
        connection = Connection(port)
        for repository, blobs in ((_READ, self._small), (_MANIFESTS, self._small[: len(self._layers)])):
            for digest, body in blobs:
                push_bytes(connection, repository, digest, body.encode())
        for number, (digest, _) in enumerate(self._small):  # as in any registry, each of them belongs to an image
            push_manifest(connection, _READ, f"t{number}", self._manifest(number, digest))
        for number in self._images_to_pull():
            push_image(connection, _READ, number, image_digests(number, _LAYER_BYTES), _LAYER_BYTES)
        size = self.sizes.big_bytes
        push_blob(connection, _READ, content.digest_of(0, size), size, lambda: _send_big(connection, size))
        connection.socket.close()

    def _images_to_pull(self) -> list[int]:
        return [1000 + place * (LAYERS + 1) for place in range(_IMAGES_TO_PULL)]

    def _manifest(self, number: int, config: str) -> bytes:
        """One of the small blobs is its config."""
        return content.manifest(number, (config, content.SMALL_BYTES), self._layers)

    def _walk(self, port: int, clients: int, name: str, targets: list[str]) -> Work:
        return wrk.walk(port, self._lists(name, targets, 1), clients, self.sizes.seconds, self.core)

    def _lists(self, name: str, lines: list[str], threads: int) -> Path:
        """Written once; the same for every registry and round."""
        folder = self.folder / f"{name}-{threads}"
        if not folder.exists():
            wrk.write_lists(folder, lines, threads)
        return folder

    def get_manifests(self, port: int, clients: int) -> Work:
        return self._walk(port, clients, "manifests", self._tags())

    def _tags(self) -> list[str]:
        return [f"/v2/{_READ}/manifests/t{number}" for number in range(self.sizes.small)]

    def get_blobs(self, port: int, clients: int) -> Work:
        return self._walk(port, clients, "blobs", [f"/v2/{_READ}/blobs/{digest}" for digest, _ in self._small])

    def head_manifests(self, port: int, clients: int) -> Work:
        return self._ask(Job("heads", port, clients, references=self._tags(), seconds=self.sizes.seconds))

    def put_manifests(self, port: int, clients: int) -> Work:
        lines = []
        for number in range(self.sizes.new_manifests):
            body = self._manifest(_FIRST_SMALL + number, self._layers[0][0]).decode()
            lines.append(f"PUT\t/v2/{_MANIFESTS}/manifests/n{number}\t{OCI_IMAGE}\t{body}")
        return wrk.push(port, self._lists("new-manifests", lines, clients), clients, self.core)

    def push_blobs(self, port: int, clients: int) -> Work:
        first, count = _FIRST_OF[clients], self.sizes.new_blobs // (4 if clients == 1 else 1)
        lines = []
        for number in range(first, first + count):
            digest, body = self._small_blob(number)
            lines.append(f"POST\t/v2/{_BLOBS}/blobs/uploads/\t{digest}\t{body}")
        return wrk.push(port, self._lists("new-blobs", lines, clients), clients, self.core)

    def get_big(self, port: int, clients: int) -> Work:
        digest = content.digest_of(0, self.sizes.big_bytes)
        job = Job("pull-blob", port, clients, repository=_READ, references=[digest], seconds=self.sizes.seconds / 2)
        return self._in_megabytes(self._ask(job))

    def push_big(self, port: int, clients: int) -> Work:
        sizes = self.sizes
        job = Job("push-blob", port, clients, repository=_BLOBS, count=sizes.big_count, size=sizes.big_bytes)
        return self._in_megabytes(self._ask(replace(job, first=_FIRST_BIG)))

    def _in_megabytes(self, work: Work) -> Work:
        return replace(work, operations=work.operations * self.sizes.big_bytes / 1e6)

    def pull_images(self, port: int, clients: int) -> Work:
        tags = [f"i{number}" for number in self._images_to_pull()]
        return self._ask(
            Job("pull-image", port, clients, repository=_READ, references=tags, seconds=self.sizes.seconds)
        )

    def push_images(self, port: int, clients: int) -> Work:
        count = self.sizes.images * (4 if clients == 1 else 1)
        first = _FIRST_IMAGE if clients == 1 else _FIRST_OF_16
        job = Job("push-image", port, clients, repository=_IMAGES, count=count, first=first, size=_LAYER_BYTES)
        return self._ask(job)

    def _ask(self, job: Job) -> Work:
        """Let a client of our own do it, in a process of its own."""
        command = ["taskset", "--cpu-list", str(self.core), sys.executable, "-m", "benchmarks.client"]
        done = subprocess.run(command, input=json.dumps(asdict(job)), capture_output=True, text=True, check=False)
        if done.returncode:
            raise LoadFailed(done.stderr.strip()[-500:])
        fields: dict[str, Any] = json.loads(done.stdout)
        return Work(**fields)


def _send_big(connection: Connection, size: int) -> None:
    for piece in content.pieces(0, size):
        connection.socket.sendall(piece)


@dataclass(frozen=True, slots=True)
class Load:
    """A row; ``unit`` is what is done in a second."""

    name: str
    unit: str
    clients: int
    measure: Callable[[Bench, int, int], Work]

    @property
    def title(self) -> str:
        return f"{self.name}, {self.clients} client{'s' if self.clients > 1 else ''}"


LOADS = (
    Load("manifest GET by tag", "requests", 16, Bench.get_manifests),
    Load("manifest HEAD by tag", "requests", 16, Bench.head_manifests),
    Load("manifest PUT, new", "manifests", 8, Bench.put_manifests),
    Load("4 KiB blob GET", "requests", 16, Bench.get_blobs),
    Load("4 KiB blob push", "blobs", 1, Bench.push_blobs),
    Load("4 KiB blob push", "blobs", 8, Bench.push_blobs),
    Load("4 KiB blob push", "blobs", 64, Bench.push_blobs),
    Load("large blob GET", "MB", 1, Bench.get_big),
    Load("large blob push", "MB", 1, Bench.push_big),
    Load("image pull", "images", 1, Bench.pull_images),
    Load("image pull", "images", 16, Bench.pull_images),
    Load("image push", "images", 1, Bench.push_images),
    Load("image push", "images", 16, Bench.push_images),
)
