"""Uploads that nobody ends and tags that move on: files, database and memory come back to what they were.

Clients abandon uploads and let tags name one image after the other, while the collector runs with ages of seconds.
"""

from __future__ import annotations

import os
import threading
import time
from dataclasses import astuple, dataclass, fields
from http.client import HTTPConnection, HTTPException
from typing import TYPE_CHECKING

from registry.oci.media_types import OCI_IMAGE
from registry.store.reserve import WAL_LIMIT_BYTES
from tests.faults.report import Report
from tests.tools.content import CONFIG, digest_of, image
from tests.tools.daemon import running

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping, Sequence
    from pathlib import Path

    from tests.tools.daemon import Daemon

KIND = "growth"

_CLIENTS = 4
_TAGS = 8
"""Of each client; their images share a layer, until the next round of moves."""

_MIB = 1024 * 1024

_DATABASE_MORE_BYTES = 5 * _MIB
"""Unused pages that the database keeps for what comes next (4 MiB), and a little for how full its pages are."""

_MEMORY_MORE_BYTES = 24 * _MIB
"""What fills up once: SQLite's page caches (12 MiB), hashes of the last 4,096 uploads; what the allocator keeps."""


@dataclass(frozen=True, slots=True)
class Amount:
    """How much is done; ``age_seconds`` is after how long each kind of garbage goes."""

    uploads: int
    moves: int
    age_seconds: float
    patience_seconds: float

    def tenth(self) -> Amount:
        return Amount(self.uploads // 10, self.moves // 10, self.age_seconds, self.patience_seconds)


SHORT = Amount(300, 2_000, age_seconds=3, patience_seconds=60)
_FULL = Amount(10_000, 100_000, age_seconds=120, patience_seconds=1800)


def run(folder: Path, *, full: bool) -> Report:
    report = Report(KIND)
    grow(folder, report, _FULL if full else SHORT)
    return report


@dataclass(frozen=True, slots=True)
class Size:
    """``database`` and ``wal`` are bytes of files, ``memory`` the daemon's resident set in bytes."""

    files: int
    database: int
    wal: int
    memory: int
    descriptors: int

    @classmethod
    def of(cls, daemon: Daemon) -> Size:
        data = daemon.data
        files = sum(len(names) for each in ("blobs", "uploads") for _, _, names in os.walk(data / each))
        process = f"/proc/{daemon.process.pid}"
        with open(f"{process}/status", encoding="ascii") as status:
            (kibibytes,) = (line.split()[1] for line in status if line.startswith("VmRSS:"))
        wal = data / "registry.db-wal"
        return cls(
            files,
            (data / "registry.db").stat().st_size,
            wal.stat().st_size if wal.exists() else 0,
            int(kibibytes) * 1024,
            len(os.listdir(f"{process}/fd")),
        )

    def most(self, other: Size) -> Size:
        """The larger of each."""
        return Size(*map(max, astuple(self), astuple(other)))

    def excess(self, before: Size) -> list[str]:
        """What has not come back; one sentence each."""
        most = {
            "files": before.files,
            "database": before.database + _DATABASE_MORE_BYTES,
            "wal": max(before.wal, WAL_LIMIT_BYTES),
            "memory": before.memory + _MEMORY_MORE_BYTES,
            "descriptors": before.descriptors + 2 * _CLIENTS,
        }
        now = {each.name: getattr(self, each.name) for each in fields(self)}
        return [
            f"{name}: {now[name]:,}, were {getattr(before, name):,}, expected at most {limit:,}"
            for name, limit in most.items()
            if now[name] > limit
        ]


def settings_of(amount: Amount) -> dict[str, str]:
    age = f"{amount.age_seconds}s"
    return {
        "CARGOHOLD_GC__INTERVAL": "0.5s",
        "CARGOHOLD_GC__GRACE": age,
        "CARGOHOLD_GC__LEASE_SECONDS": str(amount.age_seconds),
        "CARGOHOLD_GC__UNTAGGED_AFTER": age,
        "CARGOHOLD_GC__HISTORY": age,
        "CARGOHOLD_ACCESS__AUDIT": age,
        "CARGOHOLD_GC__HORIZON": "1s",
        "CARGOHOLD_UPLOADS__IDLE_SECONDS": str(amount.age_seconds),
        "CARGOHOLD_BACKUP__INTERVAL": "1d",
    }


def grow(folder: Path, report: Report, amount: Amount, settings: Mapping[str, str] | None = None) -> None:
    """A tenth of it first, so that what is loaded and kept at first use is there before; then all of it."""
    with running(folder / "data", {**settings_of(amount), **(settings or {})}) as daemon:
        clients = [Visitor(daemon, f"growth/{number}") for number in range(_CLIENTS)]
        _work(daemon, clients, amount.tenth())
        before = _come_back(daemon, Size.of(daemon), amount.patience_seconds, files_only=True)
        peak = _work(daemon, clients, amount)
        after = _come_back(daemon, before, amount.patience_seconds)
        report.lost += [f"after {amount.patience_seconds:.0f} s {each}" for each in after.excess(before)]
        for client in clients:
            report.lost += [*client.faults, *client.verify()]
            report.acknowledged += client.acknowledged
            report.states += client.abandoned + client.moved
        if daemon.stop() != 0:
            report.lost.append(f"the daemon does not stop: {daemon.log.read_text()[-300:]}")
    report.figures |= _figures(before, peak, after)


def _figures(before: Size, peak: Size, after: Size) -> dict[str, object]:
    figures: dict[str, object] = {}
    for each in fields(Size):
        values = [getattr(size, each.name) for size in (before, peak, after)]
        is_bytes = each.name not in {"files", "descriptors"}
        shown = [f"{value / _MIB:.1f}" if is_bytes else f"{value:,}" for value in values]
        figures[f"{each.name} before/peak/after"] = f"{'/'.join(shown)}{' MiB' if is_bytes else ''}"
    return figures


def _work(daemon: Daemon, clients: Sequence[Visitor], amount: Amount) -> Size:
    """Let each client do its part, all at once; the largest size seen."""
    uploads, rounds = -(-amount.uploads // _CLIENTS), -(-amount.moves // _CLIENTS // _TAGS)
    threads = [threading.Thread(target=client.run, args=(uploads, rounds)) for client in clients]
    for thread in threads:
        thread.start()
    peak = Size.of(daemon)
    while any(thread.is_alive() for thread in threads):
        threads[0].join(0.2)
        time.sleep(0.1)  # between two looks
        peak = peak.most(Size.of(daemon))
    return peak


def _come_back(daemon: Daemon, before: Size, patience_seconds: float, *, files_only: bool = False) -> Size:
    """Wait until the size is near to what it was, though not for ever; the size then.

    ``files_only``: until no upload is left, and of the images only those that have tags.
    """
    end = time.monotonic() + patience_seconds
    size = Size.of(daemon)
    while time.monotonic() < end:
        left = size.files > _STANDING_FILES if files_only else size.excess(before)
        if not left:
            break
        time.sleep(0.2)  # between two looks
        size = Size.of(daemon)
    return size


_STANDING_FILES = _CLIENTS + 2
"""The mark, the config, and one layer of each client."""


class Visitor:
    """One client, with a repository of its own and a connection that it keeps."""

    def __init__(self, daemon: Daemon, name: str) -> None:
        self.faults: list[str] = []
        self.acknowledged = self.abandoned = self.moved = 0
        self._connection = HTTPConnection("127.0.0.1", daemon.port, timeout=60)
        self._name = name
        self._held: dict[str, bytes] = {}
        """What is to stand at the end, by its path."""

    def run(self, uploads: int, rounds: int) -> None:
        """Abandon so many uploads, and move all tags so often."""
        try:
            for number in range(max(uploads, rounds)):
                if number < uploads:
                    self._abandon(number)
                if number < rounds:
                    self._move()
        except (OSError, HTTPException, KeyError) as error:
            self.faults.append(f"{self._name}: not answered: {error!r}")
        finally:
            self._connection.close()

    def verify(self) -> Iterator[str]:
        """What was collected although a tag leads to it."""
        for path, content in self._held.items():
            status, _, body = self._ask("GET", path)
            if (status, body) != (200, content):
                yield f"{self._name}: {path} is answered with {status} {body[:80]!r}"
        self._connection.close()

    def _abandon(self, number: int) -> None:
        """With no byte, one chunk, two chunks, or in the middle of one."""
        _, headers, _ = self._expect(202, "POST", "blobs/uploads/")
        location = headers["location"].removeprefix(f"/v2/{self._name}/")
        for _ in range(number % 3):
            self._expect(202, "PATCH", location, bytes(2000), {"Content-Type": "application/octet-stream"})
        if number % 4 == 3:
            self._connection.putrequest("PATCH", f"/v2/{self._name}/{location}")
            self._connection.putheader("Content-Length", "5000")
            self._connection.endheaders(bytes(2000))
            self._connection.close()
        self.abandoned += 1

    def _move(self) -> None:
        """Let every tag name a new image, of a new layer."""
        layer = f"{self._name} {self.moved}".encode() * 20
        self._held = {f"blobs/{digest_of(content)}": content for content in (CONFIG, layer)}
        self._push_blobs()
        for tag in range(_TAGS):
            manifest = image(layer, annotations={"number": str(self.moved)})
            path = f"manifests/tag-{tag}"
            if self._ask("PUT", path, manifest, {"Content-Type": OCI_IMAGE})[0] == 404:
                self._push_blobs()  # this machine took longer than what was pushed is kept for
                self._expect(201, "PUT", path, manifest, {"Content-Type": OCI_IMAGE})
            self._held[path] = manifest
            self.moved += 1

    def _push_blobs(self) -> None:
        for path, content in self._held.items():
            if path.startswith("blobs/"):
                self._expect(201, "POST", f"blobs/uploads/?digest={path.removeprefix('blobs/')}", content)

    def _expect(self, right: int, method: str, path: str, *more: object) -> tuple[int, dict[str, str], bytes]:
        answer = self._ask(method, path, *more)
        if answer[0] != right:
            self.faults.append(f"{self._name}: {method} {path} is answered with {answer[0]} {answer[2][:120]!r}")
        return answer

    def _ask(
        self, method: str, path: str, body: bytes = b"", headers: Mapping[str, str] | None = None
    ) -> tuple[int, dict[str, str], bytes]:
        self._connection.request(method, f"/v2/{self._name}/{path}", body, dict(headers or {}))
        response = self._connection.getresponse()
        self.acknowledged += method != "GET" and 200 <= response.status < 300
        return response.status, {name.lower(): value for name, value in response.getheaders()}, response.read()
