"""Out of space and out of inodes: what can't be stored is refused, everything else goes on, and it heals by itself.

The disk is a small tmpfs that is filled again and again: by uploads through the daemon, by a file that is none of the
registry's, by many such files.
"""

from __future__ import annotations

import os
import secrets
import shutil
import socket
import sqlite3
import subprocess
import sys
import time
from contextlib import closing, contextmanager, suppress
from http.client import HTTPException
from itertools import count
from typing import TYPE_CHECKING

from tests.faults.acts import Recorder, describe, has_envelope, make_image
from tests.faults.descriptors import exhaust, revive
from tests.faults.report import Report
from tests.faults.small_disk import small_disk, why_not
from tests.tools.content import CONFIG
from tests.tools.daemon import running

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator, Mapping, Sequence
    from contextlib import AbstractContextManager
    from pathlib import Path

    from tests.faults.facts import Session
    from tests.tools.daemon import Daemon

    Way = Callable[["Cycle"], AbstractContextManager[None]]

KIND = "full_disk"

SHORT_CYCLES, FULL_CYCLES = 10, 200

_LARGE_BYTES = 3_000_000
"""What is refused: more than the ballast, which the daemon may have given up."""

_HEALED_SECONDS = 10.0
"""How long after space was given back pushes may still be refused."""

_FILLER = """
import os, sys
file = os.open(sys.argv[1], os.O_WRONLY | os.O_CREAT | os.O_APPEND)
size, told = 1 << 20, False
while True:
    try:
        os.write(file, bytes(size))
    except OSError:
        if size == 4096 and not told:
            told = True
            print(flush=True)
        size = 4096
        os.sched_yield()
"""

_TO_THE_LAST_BYTE = {"CARGOHOLD_STORAGE__RESERVE": "1"}
"""With the usual reserve the daemon refuses before the file system does; with this one the file system does."""


def run(folder: Path, *, full: bool) -> Report:
    reason = why_not(folder)
    if reason is not None:
        return Report(KIND, skipped=reason)
    cycles = FULL_CYCLES if full else SHORT_CYCLES
    report = Report(KIND)
    fill(folder / "usual", report, cycles // 2, {}, (by_uploads, by_a_file, by_many_files))
    fill(folder / "last-byte", report, cycles // 2, _TO_THE_LAST_BYTE, (by_a_file, by_uploads_and_a_file))
    exhaust(folder / "descriptors", report, rounds=cycles // 5)
    return report


def fill(folder: Path, report: Report, cycles: int, settings: Mapping[str, str], ways: Sequence[Way]) -> None:
    """So many cycles on a disk and a daemon of their own; the disk is filled in each of these ways in turn."""
    with small_disk(folder) as disk, running(disk, settings) as daemon:
        ledger = Recorder(daemon)
        for number in range(cycles):
            cycle = Cycle(daemon, ledger, f"cycle-{number}")
            report.lost += cycle.run(ways[number % len(ways)])
            report.states += 1
            if ended := [f"{cycle.name}: {sentence}; the rest was left out" for sentence in revive(daemon)]:
                report.lost += ended
                break
        daemon.restart()
        report.lost += [f"at the end: {sentence}" for sentence in (*ledger.verify(), *_check_files(daemon))]
        report.acknowledged += ledger.acknowledged


@contextmanager
def by_a_file(cycle: Cycle) -> Iterator[None]:
    """It takes at once whatever gets free, what the daemon gives up of its own too."""
    path = cycle.disk / "foreign"
    with subprocess.Popen([sys.executable, "-c", _FILLER, path], stdout=subprocess.PIPE) as filler:
        assert filler.stdout is not None
        filler.stdout.readline()
        try:
            yield
        finally:
            filler.kill()
            path.unlink()


@contextmanager
def by_many_files(cycle: Cycle) -> Iterator[None]:
    folder = cycle.disk / "foreign"
    folder.mkdir()
    with suppress(OSError):
        for number in count():
            (folder / str(number)).touch()
    try:
        yield
    finally:
        shutil.rmtree(folder)


@contextmanager
def by_uploads(cycle: Cycle) -> Iterator[None]:
    """Until not even a small chunk is taken; the chunk that is refused is not counted."""
    session = cycle.begin()
    for size in (1024 * 1024, 64 * 1024, 4096, 1):
        while cycle.ledger.append(session, secrets.token_bytes(size)) == 202:
            pass
        cycle.expect_refusal("a chunk")
    try:
        yield
    finally:
        cycle.expect(cycle.ledger.cancel(session), {204}, "the cancel of an upload")


@contextmanager
def by_uploads_and_a_file(cycle: Cycle) -> Iterator[None]:
    """What uploads left, because a chunk has to fit as a whole, is taken by somebody else."""
    with by_uploads(cycle), by_a_file(cycle):
        yield


class Refused(Exception):
    """What the rest of a cycle builds on was refused."""


class Cycle:
    """One time that the disk gets full, in a repository of its own."""

    def __init__(self, daemon: Daemon, ledger: Recorder, name: str) -> None:
        self.daemon = daemon
        self.ledger = ledger
        self.disk = daemon.data
        self.name = name
        self._found: list[str] = []
        self._first, self._second = make_image(), make_image()
        self._unused = secrets.token_bytes(2_000)

    def run(self, fill: Way) -> list[str]:
        """What went wrong, one sentence each."""
        self.name = f"{self.name}-{fill.__name__.replace('_', '-')}"
        try:
            kept, cancelled = self._prepare()
            for session in (kept, cancelled):
                self.expect(self.ledger.append(session, secrets.token_bytes(4_000)), {202}, "a chunk")
            with fill(self):
                self._refuses(kept, fill)
                self._goes_on(cancelled)
                self._leaves_nothing()
            self._heals(kept)
            self._leaves_nothing()
        except (OSError, HTTPException) as error:
            self._say(f"the daemon does not answer: {error!r}")
        except Refused as error:
            self._say(str(error))
        return self._found

    def begin(self) -> Session:
        session = self.ledger.begin(self.name)
        if session is None:
            raise Refused(f"the beginning of an upload is answered with {describe(self.ledger.last)}")
        return session

    def expect(self, status: int | None, right: set[int], what: str) -> None:
        if status not in right:
            self._say(f"{what} is answered with {describe(self.ledger.last)}, expected {right}")

    def expect_refusal(self, what: str) -> None:
        """507, in the words of the spec."""
        answer = self.ledger.last
        if answer is None or answer[0] != 507 or not has_envelope(answer):
            self._say(f"{what} that does not fit is answered with {describe(answer)}")

    def _prepare(self) -> tuple[Session, Session]:
        """What is done to it while the disk is full; two uploads that were begun before."""
        push, push_manifest = self.ledger.push, self.ledger.push_manifest
        self.expect(push(self.name, CONFIG), {201}, "a blob")
        self.expect(push(self.name, self._unused), {201}, "a blob")
        self.expect(push_manifest(self.name, self._first, ("one", "two")), {201}, "a manifest")
        self.expect(push_manifest(self.name, self._second, ("three",)), {201}, "a manifest")
        return self.begin(), self.begin()

    def _refuses(self, session: Session, fill: Way) -> None:
        """Where inodes are missing, a chunk still fits into the file that its upload has."""
        self._until(self._is_unready, "/ready?push does not tell that the disk is full")
        self.ledger.push(self.name, secrets.token_bytes(_LARGE_BYTES))
        self.expect_refusal("a blob")
        if self.ledger.append(session, secrets.token_bytes(_LARGE_BYTES)) != 202 or fill is not by_many_files:
            self.expect_refusal("a chunk")
        if not (head := _head_of_a_large_push(self.daemon, self.name)).startswith(b"HTTP/1.1 507 "):
            self._say(f"a push whose Content-Length does not fit is answered with {head[:100]!r} before its body")

    def _goes_on(self, session: Session) -> None:
        """Pulls (all that ``verify`` asks for), deletes, tag moves, garbage collection."""
        self._say(*self._verify())
        ledger = self.ledger
        self.expect(ledger.push_manifest(self.name, self._second, ("one",)), {201}, "a tag that moves")
        self.expect(ledger.delete_tag(self.name, "two"), {202}, "the delete of a tag")
        self.expect(ledger.delete_manifest(self.name, self._first), {202}, "the delete of a manifest")
        self.expect(ledger.delete_blob(self.name, self._unused), {202}, "the delete of a blob")
        self.expect(ledger.cancel(session), {204}, "the cancel of an upload")
        self.expect(ledger.push_manifest(self.name, make_image(), ("four",)), {201, 507}, "a new manifest")
        status, _, body = self.daemon.request("GET", "/ready")
        if status != 200:
            self._say(f"/ready is answered with {status} {body[:200]!r}, and pulls are served")
        self._say(*_collect(self.daemon), *self._verify())

    def _heals(self, session: Session) -> None:
        self._until(self._is_ready, "/ready?push still tells that the disk is full")
        self.expect(self.ledger.push(self.name, secrets.token_bytes(4_000)), {201}, "a blob afterwards")
        self.expect(self.ledger.append(session, secrets.token_bytes(2_000)), {202}, "a chunk afterwards")
        self.expect(self.ledger.finish(session, b"end"), {201}, "the end of an upload afterwards")
        self.expect(self.ledger.push_manifest(self.name, make_image(), ("five",)), {201}, "a manifest afterwards")
        self._say(*self._verify())

    def _leaves_nothing(self) -> None:
        """Uploads that were refused have neither a file nor a row, and each row has its file."""
        files = set(os.listdir(self.daemon.data / "uploads")) - {"probe"}
        self._say(*(f"uploads/{name} is left" for name in sorted(files - self.ledger.open_uploads())))
        self._say(*_check_rows(self.daemon))

    def _is_unready(self) -> bool:
        status, _, body = self.daemon.request("GET", "/ready?push")
        return status == 503 and b"disk" in body

    def _is_ready(self) -> bool:
        return self.daemon.request("GET", "/ready?push")[0] == 200

    def _until(self, condition: Callable[[], bool], otherwise: str) -> None:
        end = time.monotonic() + _HEALED_SECONDS
        while not condition():
            if time.monotonic() > end:
                self._say(f"{otherwise} after {_HEALED_SECONDS} s: {self.daemon.request('GET', '/ready?push')}")
                return

    def _verify(self) -> list[str]:
        return self.ledger.verify(touched_only=True, close_uploads=False)

    def _say(self, *sentences: str) -> None:
        self._found += [f"{self.name}: {sentence}" for sentence in sentences]


def _head_of_a_large_push(daemon: Daemon, name: str) -> bytes:
    """The answer to the head alone of a push of 64 GiB."""
    with socket.create_connection(("127.0.0.1", daemon.port), timeout=10) as connection:
        head = f"POST /v2/{name}/blobs/uploads/?digest=sha256:{'0' * 64} HTTP/1.1\r\nHost: registry\r\n"
        connection.sendall(f"{head}Content-Length: {1 << 36}\r\nExpect: 100-continue\r\n\r\n".encode())
        try:
            return connection.recv(4096)
        except TimeoutError:
            return b"nothing"


def _check_rows(daemon: Daemon) -> Iterator[str]:
    """Blobs whose file is not there or has another size. Read beside the daemon, which nobody asks for anything."""
    with closing(sqlite3.connect(f"file:{daemon.data}/registry.db?mode=ro", uri=True)) as database:
        for digest, size in database.execute("SELECT digest, size FROM blob"):
            path = daemon.data / "blobs" / digest.replace(":", "/")
            found = path.stat().st_size if path.exists() else None
            if found != size:
                yield f"{digest} has {size} bytes, its file {found}"


def _collect(daemon: Daemon) -> list[str]:
    return _command(daemon, "gc", "run")


def _check_files(daemon: Daemon) -> list[str]:
    return _command(daemon, "fsck")


def _command(daemon: Daemon, *words: str) -> list[str]:
    """Run a command of the daemon's release, where it has that one; what it complains of."""
    command = [sys.executable, "-m", "registry", *words, "--data", str(daemon.data)]
    done = subprocess.run(command, capture_output=True, text=True, check=False)
    if done.returncode == 0 or "No such command" in done.stderr:
        return []
    return [f"cargohold {' '.join(words)} ends with {done.returncode}: {done.stdout[-300:]}{done.stderr[-300:]}"]
