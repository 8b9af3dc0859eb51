"""Bits that change on the disk: all of it is found, none of it is served, and a push heals it.

What is damaged are files of blobs, bodies of manifests, and, beyond healing, the pages of the database itself.
"""

from __future__ import annotations

import json
import random
import shutil
import subprocess
import sys
import time
from dataclasses import dataclass
from http.client import HTTPConnection, HTTPException, IncompleteRead
from typing import TYPE_CHECKING, Self

from registry.oci.media_types import OCI_IMAGE
from registry.store import bodies
from tests.faults.report import Report
from tests.tools.content import CONFIG, digest_of, image
from tests.tools.daemon import Daemon
from tests.tools.life import spoil_manifest

if TYPE_CHECKING:
    from collections.abc import Iterable, Mapping
    from pathlib import Path

KIND = "bit_rot"

_SHORT_FLIPS, _FULL_FLIPS = 60, 1000
_SHORT_PAGES, _FULL_PAGES = 8, 200
_SHORT_SECONDS = 15
"""For each of the two halves of the short form."""

_FLIPS_PER_START = 30
_IMAGES = 30

_NAME = "rotten"

VERIFYING = {"CARGOHOLD_SCRUB__VERIFIED_SECONDS": "0.001", "CARGOHOLD_SCRUB__BYTES_PER_SECOND": "1"}
"""Who pulls verifies, and the scrub in the background waits for ever after its first piece."""


def run(folder: Path, *, full: bool) -> Report:
    report = Report(KIND)
    flips, pages = (_FULL_FLIPS, _FULL_PAGES) if full else (_SHORT_FLIPS, _SHORT_PAGES)
    seconds = float("inf") if full else _SHORT_SECONDS
    report.figures["seed"] = seed = time.time_ns()
    chance = random.Random(seed)
    with Shelf(folder / "content", chance) as shelf:
        rot_content(shelf, report, flips, seconds=seconds)
    with Shelf(folder / "pages", chance) as shelf:
        rot_pages(shelf, report, pages, seconds=seconds)
    return report


@dataclass(frozen=True, slots=True)
class Answer:
    """``body`` is None where the connection ended before it was complete, or before any answer."""

    status: int
    body: bytes | None
    media_type: str | None = None

    def __str__(self) -> str:
        return f"{self.status} {'broken off' if self.body is None else self.body[:80]!r} {self.media_type}"


_NOTHING = Answer(0, None)


class Shelf:
    """A daemon, what was pushed to it by the path it is asked for under, and the client that asks."""

    def __init__(self, data: Path, chance: random.Random, settings: Mapping[str, str] = VERIFYING) -> None:
        self.daemon = Daemon(data, settings)
        self.chance = chance
        self.contents: dict[str, bytes] = {}
        self.tags: dict[str, str] = {}
        """The path of the manifest that each tag names."""

    def __enter__(self) -> Self:
        self.daemon.start()
        for number in range(_IMAGES):
            size = int(600_000 ** self.chance.random()) + 1
            layer = self.chance.randbytes(size)
            manifest = image(layer, annotations={"number": str(number)})
            for content in (CONFIG, layer):
                self.contents[f"blobs/{digest_of(content)}"] = content
            self.contents[f"manifests/{digest_of(manifest)}"] = manifest
            self.tags[f"manifests/v{number}"] = f"manifests/{digest_of(manifest)}"
        for path in self.contents:
            assert self.push(path) == 201, path
        for tag, path in self.tags.items():
            status, _, body = self.daemon.request("PUT", self.target(tag), self.contents[path], _TYPE)
            assert status == 201, body
        return self

    def __exit__(self, *_error: object) -> None:
        if self.daemon.process.poll() is None:
            self.daemon.kill()

    def target(self, path: str) -> str:
        return f"/v2/{_NAME}/{path}"

    def push(self, path: str) -> int:
        content = self.contents[path]
        if path.startswith("manifests/"):
            return self.daemon.request("PUT", self.target(path), content, _TYPE)[0]
        digest = path.removeprefix("blobs/")
        return self.daemon.request("POST", self.target(f"blobs/uploads/?digest={digest}"), content)[0]

    def get(self, path: str) -> Answer:
        connection = HTTPConnection("127.0.0.1", self.daemon.port, timeout=30)
        try:
            connection.request("GET", self.target(path))
            response = connection.getresponse()
            try:
                return Answer(response.status, response.read(), response.getheader("Content-Type"))
            except (IncompleteRead, ConnectionError):
                return Answer(response.status, None)
        except (HTTPException, OSError):
            return _NOTHING
        finally:
            connection.close()

    def fsck(self) -> tuple[int, dict[str, str]]:
        """The exit status of ``cargohold fsck --full``, and what it says of each subject: digest, file or row."""
        command = [sys.executable, "-m", "registry", "fsck", "--full", "--json", "--data", str(self.daemon.data)]
        done = subprocess.run(command, capture_output=True, text=True, check=False)
        findings = json.loads(done.stdout)["findings"] if done.stdout else [{"subject": "", "message": done.stderr}]
        return done.returncode, {each["subject"].rpartition("@")[2]: each["message"] for each in findings}


_TYPE = {"Content-Type": OCI_IMAGE}


def rot_content(shelf: Shelf, report: Report, flips: int, *, seconds: float = float("inf")) -> None:
    """Damage so much of what the registry holds, some at each start, for at most so long."""
    end = time.monotonic() + seconds
    broken_off = 0
    while report.states < flips and time.monotonic() < end:
        victims = _damage_some(shelf, min(_FLIPS_PER_START, flips - report.states))
        lost, broken = _look(shelf, victims)
        lost += _heal(shelf, victims)
        report.lost += [f"seen after {report.states} flips: {sentence}" for sentence in lost]
        report.states += len(victims)
        report.acknowledged += len(victims)
        broken_off += broken
        if lost:
            break
    report.figures |= {"in files and manifests": report.states, "answers broken off": broken_off}


def _damage_some(shelf: Shelf, count: int) -> dict[str, str]:
    """Damage some contents while no daemon runs; what was done to each, by its path."""
    shelf.daemon.stop()
    chance, data = shelf.chance, shelf.daemon.data
    victims: dict[str, str] = {}
    for path in chance.sample(sorted(shelf.contents), min(count, len(shelf.contents))):
        good = shelf.contents[path]

        def spoil(stored: bytes, path: str = path, good: bytes = good) -> bytes:
            """A bit of a packed manifest that means nothing is no damage."""
            while True:
                bad, victims[path] = _damaged(stored, chance)
                if stored is good or bodies.unpack(bad, bodies.pack(good)[1], len(good)) != good:
                    return bad

        if path.startswith("blobs/"):
            (data / "blobs" / path.partition("/")[2].replace(":", "/")).write_bytes(spoil(good))
        else:
            spoil_manifest(data, good, spoil)
    shelf.daemon.start()
    return victims


def _damaged(good: bytes, chance: random.Random) -> tuple[bytes, str]:
    """The bytes with one bit changed, or cut short, and a word for it."""
    place = chance.randrange(len(good))
    if chance.random() < 0.3:
        return good[:place], f"cut to {place} of {len(good)} bytes"
    bad = bytearray(good)
    bad[place] ^= 1 << chance.randrange(8)
    return bytes(bad), f"a bit of byte {place} of {len(good)} changed"


def _look(shelf: Shelf, victims: Mapping[str, str]) -> tuple[list[str], int]:
    """What fsck or a client should have been told, or not; how many answers broke off.

    A third of the victims is not asked for: they are healed without having been pulled.
    """
    status, findings = shelf.fsck()
    digests = {path.partition("/")[2]: path for path in victims}
    lost = [
        f"{path} ({victims[path]}) is not found by fsck" for digest, path in digests.items() if digest not in findings
    ]
    lost += [f"fsck says of {each}: {findings[each]}" for each in findings.keys() - digests.keys()]
    if status != 1:
        lost.append(f"fsck ends with {status}, expected 1")
    broken_off = 0
    for path, content in shelf.contents.items():
        what = victims.get(path)
        if what is not None and shelf.chance.random() < 1 / 3:
            continue
        answer = shelf.get(path)
        if what is None and (answer.status, answer.body) != (200, content):
            lost.append(f"{path}, which is good, is answered with {answer}")
        if what is None:
            continue
        broken_off += answer.body is None
        lost += _complaints(path, what, answer, shelf.get(path))
    return lost, broken_off


def _complaints(path: str, what: str, answer: Answer, next_answer: Answer) -> list[str]:
    """What is wrong with the answers to two requests for something damaged, the first of which found the damage."""
    lost = []
    if answer.status == 0 or (answer.body is not None and answer.status not in {404, 500}):
        lost.append(f"{path} ({what}) is answered with {answer}")
    if next_answer.body is None or next_answer.status != 404:
        lost.append(f"{path} ({what}), known to be bad, is answered with {next_answer}")
    return lost


def _heal(shelf: Shelf, victims: Iterable[str]) -> list[str]:
    """Push them again; what is not as it was before."""
    blobs_first = sorted(victims)
    lost = [f"{path} can't be pushed again: {status}" for path in blobs_first if (status := shelf.push(path)) != 201]
    lost += [
        f"{path}, pushed again, is answered with {answer}"
        for path in victims
        if (answer := shelf.get(path)) != Answer(200, shelf.contents[path], answer.media_type)
    ]
    status, findings = shelf.fsck()
    if status != 0:
        lost.append(f"fsck ends with {status} after all was pushed again: {findings}")
    return lost


def rot_pages(shelf: Shelf, report: Report, times: int, *, seconds: float = float("inf")) -> None:
    """Change bits of the database file so often, for at most so long; each time that of a good database."""
    end = time.monotonic() + seconds
    good = shelf.daemon.data.with_name("good")
    expected = {path: shelf.get(path) for path in [*shelf.contents, *shelf.tags]}
    shelf.daemon.stop()
    shutil.copytree(shelf.daemon.data, good)
    found = {"the start": 0, "fsck": 0, "nothing, and nothing was wrong": 0}
    for _ in range(times):
        if time.monotonic() > end:
            break
        what = _damage_database(good / "registry.db", shelf)
        by, lost = _find(shelf, expected)
        report.lost += [f"registry.db, {what}: {sentence}" for sentence in lost]
        found[by] += 1
        report.states += 1
        if shelf.daemon.process.poll() is None:
            shelf.daemon.kill()
    report.figures |= {f"database pages found by {by}": count for by, count in found.items()}


def _damage_database(good: Path, shelf: Shelf) -> str:
    """Put a damaged copy of the whole folder's database in place; what was changed."""
    data = shelf.daemon.data
    for name in ("registry.db-wal", "registry.db-shm"):
        (data / name).unlink(missing_ok=True)
    shutil.copy(good.parent / "blobs" / "mark", data / "blobs" / "mark")
    pages = bytearray(good.read_bytes())
    places = sorted(shelf.chance.randrange(len(pages)) for _ in range(shelf.chance.randint(1, 4)))
    for place in places:
        pages[place] ^= 1 << shelf.chance.randrange(8)
    (data / "registry.db").write_bytes(pages)
    return f"bits changed at {places}"


def _find(shelf: Shelf, expected: Mapping[str, Answer]) -> tuple[str, list[str]]:
    """Who found the damage, and what went wrong meanwhile."""
    shelf.daemon.log.unlink(missing_ok=True)
    try:
        shelf.daemon.start()
    except AssertionError:
        log = shelf.daemon.log.read_text(errors="replace")
        return "the start", [f"the start ends with a traceback: {log[-300:]}"] if "Traceback" in log else []
    status, findings = shelf.fsck()
    lost = []
    for path, right in expected.items():
        answer = shelf.get(path)
        is_right = answer == right
        if not is_right and status == 0:
            lost.append(f"{path} is answered with {answer}, and fsck finds nothing")
        elif path in shelf.contents and answer.status == 200 and answer.body not in {None, right.body}:
            lost.append(f"{path} is served with other bytes: {answer}")
    return ("fsck" if status else "nothing, and nothing was wrong"), [*lost, *_unclear(status, findings)]


def _unclear(status: int, findings: Mapping[str, str]) -> list[str]:
    """What fsck says where it could not run has to be one line."""
    message = findings.get("", "")
    return [f"fsck ends with {status} and says {message[-300:]}"] if "Traceback" in message else []
