"""The daemon's own snapshot is copied back over its database, after a SIGKILL and beside a stale -wal and -shm.

The daemon that is killed keeps condemned blobs for an hour. The one that starts on the snapshot would sweep at once
whatever the snapshot does not know: until it is told that it may.
"""

from __future__ import annotations

import json
import os
import random
import shutil
import sqlite3
import subprocess
import sys
import threading
import time
from contextlib import closing, suppress
from http.client import HTTPException
from typing import TYPE_CHECKING, Any

from registry.transfer.client import Client
from registry.transfer.errors import RequestFailed
from tests.faults.ledger import Ledger
from tests.faults.load import Load, make_pool
from tests.faults.report import Report
from tests.faults.restore_ways import WAYS, StateLost, age
from tests.tools.content import CONFIG, image
from tests.tools.daemon import Daemon

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator, Mapping
    from pathlib import Path

KIND = "restore"

_SHORT_ROUNDS, _FULL_ROUNDS = 12, 200
_SHORT_SECONDS = 26
_ROUNDS_PER_FOLDER = 20

_CLIENTS = 2
PATIENCE_SECONDS = 30
"""How long a snapshot may be waited for."""

_SERVING = {
    "CARGOHOLD_BACKUP__INTERVAL": "0.1s",
    "CARGOHOLD_GC__INTERVAL": "0.2s",
    "CARGOHOLD_GC__HORIZON": "1h",
}
_RESTORED = {
    "CARGOHOLD_BACKUP__INTERVAL": "1d",
    "CARGOHOLD_GC__INTERVAL": "0.1s",
    "CARGOHOLD_GC__HORIZON": "0.001s",
    "CARGOHOLD_UPLOADS__IDLE_SECONDS": "0.001",
}

RECOGNISED = "database and blob folder are not of one time"


def run(folder: Path, *, full: bool) -> Report:
    report = Report(KIND)
    rounds = _FULL_ROUNDS if full else _SHORT_ROUNDS
    end = float("inf") if full else time.monotonic() + _SHORT_SECONDS
    chance = random.Random(time.time_ns())
    restoring: Restoring | None = None
    while report.states < rounds and time.monotonic() < end:
        if restoring is None or report.states % _ROUNDS_PER_FOLDER == 0:
            restoring = Restoring(folder / f"data-{report.states}", chance)
        way = WAYS[report.states % len(WAYS)]
        found = restoring.round(f"round-{report.states}", way)
        report.lost += found
        report.states += 1
        report.figures[f"killed {way.__name__.replace('_', ' ')}"] = -(-(report.states - WAYS.index(way)) // len(WAYS))
        if found:
            restoring.collect(report)
            restoring = None
        elif report.states % _ROUNDS_PER_FOLDER == 0:
            restoring.collect(report)
    if restoring is not None and report.states % _ROUNDS_PER_FOLDER:
        restoring.collect(report)
    return report


class Restoring:
    """One data folder, with the daemon that is killed on it and the daemon that starts on its snapshot."""

    def __init__(self, data: Path, chance: random.Random, settings: Mapping[str, str] | None = None) -> None:
        self.serving = Daemon(data, {**_SERVING, **(settings or {})})
        self.restored = Daemon(data, {**_RESTORED, **(settings or {})})
        self.chance = chance
        self.snapshot = data / "backup" / "registry.db"
        self.kept = data.with_name(f"{data.name}-kept.db")
        """The snapshot that is copied back, where it is not the last one."""
        self.acknowledged = self.orphans = self.slowest_start_ms = 0
        self._data = data
        self._old = Ledger(self.serving)
        self._found: list[str] = []

    def round(self, name: str, way: Callable[[Restoring, str], Ledger]) -> list[str]:
        """Kill, copy back and start once; what is lost or wrong, one sentence each."""
        self._found = []
        self.kept.unlink(missing_ok=True)
        try:
            if not self._data.exists():
                self._old = age(self)
            self.serving.start()
            ledger = way(self, name)
            self._start_restored()
            self._check_restored(ledger, name)
            self._check_recovered(ledger)
            if (status := self.restored.stop()) != 0:
                self._say(f"the restored daemon's stop ends with {status}")
            self.acknowledged += ledger.acknowledged
        except StateLost as error:
            self._say(str(error))
        except (OSError, HTTPException, RequestFailed) as error:
            self._say(f"the daemon does not answer: {error!r}: {self._log()}")
        finally:
            for daemon in (self.serving, self.restored):
                if hasattr(daemon, "process") and daemon.process.poll() is None:
                    daemon.kill()
        return [f"{name}, {way.__name__.replace('_', ' ')}: {sentence}" for sentence in self._found]

    def collect(self, report: Report) -> None:
        """Add up, and leave the folder."""
        report.acknowledged += self.acknowledged
        report.figures["orphans collected"] = int(str(report.figures.get("orphans collected", 0))) + self.orphans
        slowest = max(self.slowest_start_ms, int(str(report.figures.get("slowest start", "0")).removesuffix(" ms")))
        report.figures["slowest start"] = f"{slowest} ms"
        shutil.rmtree(self._data)

    def wait_for_snapshot(self, tag: str | None) -> None:
        """Until there is a snapshot that knows the tag (None: one that is not that of an earlier daemon)."""
        known = _identity(self.snapshot)
        end = time.monotonic() + PATIENCE_SECONDS
        while time.monotonic() < end:
            if tag is None and _identity(self.snapshot) != known:
                return
            if tag is not None and self.snapshot.exists() and _knows(self.snapshot, tag):
                return
            time.sleep(0.01)  # between two looks
        raise StateLost(f"no snapshot with {tag or 'another identity'} in {PATIENCE_SECONDS} s: {self._log()}")

    def kill_under_load(self, name: str, moment: Callable[[], object]) -> None:
        """Kill when the moment returns, while clients work whose acts may or may not be in the snapshot."""
        pool = make_pool(self.chance)
        loads = [
            Load(Ledger(self.serving), f"{name}-load-{each}", pool, self.chance.random()) for each in range(_CLIENTS)
        ]
        threads = [threading.Thread(target=load.run) for load in loads]
        for thread in threads:
            thread.start()
        try:
            moment()
        finally:
            self.serving.kill()
            for thread in threads:
                thread.join()
        self._found += [f"before the kill {fault}" for load in loads for fault in load.take_faults()]

    def copy_back(self) -> None:
        """Over the database, whatever stands beside it."""
        source = self.kept if self.kept.exists() else self.snapshot
        for sentence in _damage(source):
            self._say(f"the snapshot: {sentence}")
        shutil.copy(source, self._data / "registry.db")

    def start_and_kill(self) -> None:
        """Begin to start on the snapshot; killed after a random time, unless something ends it before."""
        command = [sys.executable, "-m", "registry", "serve", "--data", str(self._data), "--listen", "127.0.0.1:0"]
        environment = {**os.environ, **_RESTORED}
        process = subprocess.Popen(command, env=environment, stderr=subprocess.DEVNULL, stdout=subprocess.DEVNULL)
        with suppress(subprocess.TimeoutExpired):
            status = process.wait(self.chance.uniform(0.2, 1.2))
            self._say(f"a start on the snapshot ends with {status} by itself")
        process.kill()
        process.wait()

    def _start_restored(self) -> None:
        self.restored.log.unlink(missing_ok=True)
        self._files = _files(self._data)
        started = time.monotonic()
        try:
            self.restored.start()
        except AssertionError:
            raise StateLost(f"the start on the snapshot ends: {self._log()}") from None
        self.slowest_start_ms = max(self.slowest_start_ms, int((time.monotonic() - started) * 1000))

    def _check_restored(self, ledger: Ledger, name: str) -> None:
        """Everything from before the snapshot is there, pushes work, and nothing is swept."""
        if self._notices() != ["restored: nothing is swept until cargohold recover"]:
            self._say(f"/ready?verbose does not say that it was restored: {self._notices()}")
        if RECOGNISED not in self._log(10**6):
            self._say("the log does not say that it was restored")
        self._found += [*ledger.verify(self.restored), *self._old.verify(self.restored)]
        layer = self.chance.randbytes(3_000)
        statuses = [ledger.push(name, content) for content in (CONFIG, layer)]
        statuses.append(ledger.push_manifest(name, image(layer), ["afterwards"]))
        if set(statuses) != {201}:
            self._say(f"a push to the restored daemon is answered with {statuses}")
        with suppress(RequestFailed):
            self._say(f"garbage is collected before recover: {self._operate('POST', 'gc', now='')}")
        if swept := self._files - _files(self._data):
            self._say(f"swept before recover: {sorted(swept)}")
        self._found += [f"fsck before recover: {finding}" for finding in self._check("findings")]

    def _check_recovered(self, ledger: Ledger) -> None:
        """It knew that it was restored, misses nothing, and collects garbage again."""
        losses = self._operate("POST", "restoration")
        if not losses["was_restored"] or losses["blobs"] or losses["tags"]:
            self._say(f"recover says {losses}")
        totals = [self._operate("POST", "gc", now="") for _ in range(2)]
        self.orphans += sum(each["orphans"] for each in totals)
        if self._notices():
            self._say(f"after recover /ready?verbose says {self._notices()}")
        self._found += [f"fsck after recover: {each}" for each in (*self._check("findings"), *self._check("notes"))]
        self._found += [f"after recover: {sentence}" for sentence in ledger.verify(self.restored)]

    def _notices(self) -> list[str]:
        """What ``/ready?verbose`` tells the operator."""
        return list(json.loads(self.restored.request("GET", "/ready?verbose")[2])["degraded"])

    def _operate(self, method: str, path: str, **parameters: str) -> Any:
        with Client(self._data / "admin.sock") as client:
            return client.operate(method, path, **parameters)

    def _check(self, kind: str) -> Iterator[str]:
        """What a full fsck finds, or notes."""
        stage, place = "", ""
        while True:
            step = self._operate("POST", "fsck", stage=stage, after=place, full="")
            yield from (f"{each['subject']} {each['message']}" for each in step[kind])
            stage, place = step["next_stage"] or "", step["next_after"]
            if not stage:
                return

    def _log(self, length: int = 400) -> str:
        return self.restored.log.read_text(errors="replace")[-length:] if self.restored.log.exists() else ""

    def _say(self, sentence: str) -> None:
        self._found.append(sentence)


def _identity(path: Path) -> tuple[int, int] | None:
    """Changes when another file is put in the place of this one."""
    return (path.stat().st_ino, path.stat().st_mtime_ns) if path.exists() else None


def _knows(snapshot: Path, tag: str) -> bool:
    """Raises StateLost where it is no database."""
    try:
        with closing(sqlite3.connect(f"file:{snapshot}?mode=ro&immutable=1", uri=True)) as database:
            return database.execute("SELECT 1 FROM tag WHERE name = ?", (tag,)).fetchone() is not None
    except sqlite3.DatabaseError as error:
        raise StateLost(f"the snapshot: {error}") from error


def _damage(snapshot: Path) -> list[str]:
    """A snapshot is a whole database at any moment."""
    try:
        with closing(sqlite3.connect(f"file:{snapshot}?mode=ro&immutable=1", uri=True)) as database:
            found = [str(text) for (text,) in database.execute("PRAGMA integrity_check")]
            found += [f"row of {row[0]} without {row[2]}" for row in database.execute("PRAGMA foreign_key_check")]
    except sqlite3.DatabaseError as error:
        return [str(error)]
    return [sentence for sentence in found if sentence != "ok"]


def _files(data: Path) -> set[str]:
    """The files of blobs and uploads."""
    return {
        f"{folder}/{name}" for top in ("blobs", "uploads") for folder, _, names in os.walk(data / top) for name in names
    }
