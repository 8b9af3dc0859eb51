"""Snapshots under write load: each is whole, and at least as new as the last answer before it was asked for."""

from __future__ import annotations

import json
import random
import sqlite3
import threading
import time
from contextlib import closing, contextmanager
from typing import TYPE_CHECKING

from registry import vault
from registry.store import backups, bodies
from registry.transfer.client import Client
from tests.faults.ledger import Ledger
from tests.faults.load import Load, make_pool
from tests.faults.report import Report
from tests.tools.content import CONFIG, image
from tests.tools.daemon import running

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping
    from pathlib import Path

    from tests.tools.daemon import Daemon

KIND = "snapshots"

_SHORT_SNAPSHOTS, _FULL_SNAPSHOTS = 20, 500
_CLIENTS = 2
_NAME, _TAG = "counter/app", "last"


def run(folder: Path, *, full: bool) -> Report:
    return take(folder, _FULL_SNAPSHOTS if full else _SHORT_SNAPSHOTS)


def take(folder: Path, count: int, settings: Mapping[str, str] | None = None) -> Report:
    report = Report(KIND)
    chance = random.Random(time.time_ns())
    with running(folder / "data", settings) as daemon, _loaded(daemon, chance) as counter:
        for number in range(count):
            path = folder / f"snapshot.db{chance.choice(['', '.zst'])}"
            report.lost += [f"snapshot {number}: {fault}" for fault in _take_one(daemon, counter, path)]
            report.states += 1
    report.acknowledged = counter.last
    return report


class Counter:
    """Moves a tag to one manifest after the other; ``last`` is the number of the last one that was acknowledged."""

    def __init__(self, daemon: Daemon) -> None:
        self._ledger = Ledger(daemon)
        self._ledger.push(_NAME, CONFIG)
        self.last = -1

    def run(self) -> None:
        number = 0
        while self._ledger.push_manifest(_NAME, image(annotations={"number": str(number)}), [_TAG]) == 201:
            self.last, number = number, number + 1


@contextmanager
def _loaded(daemon: Daemon, chance: random.Random) -> Iterator[Counter]:
    """The load ends with the daemon."""
    counter = Counter(daemon)
    loads = [Load(Ledger(daemon), f"load-{each}", make_pool(chance), chance.random()) for each in range(_CLIENTS)]
    threads = [threading.Thread(target=each.run) for each in (counter, *loads)]
    for thread in threads:
        thread.start()
    try:
        yield counter
    finally:
        daemon.kill()
        for thread in threads:
            thread.join()


def _take_one(daemon: Daemon, counter: Counter, path: Path) -> list[str]:
    """What is wrong with it, one sentence each."""
    before = counter.last
    with Client(daemon.data / "admin.sock") as client:
        if (failure := client.operate("POST", "backup")["failure"]) is not None:
            return [failure]
    vault.create(daemon.data, path, None, force=True)
    with backups.plain(path) as plain, closing(sqlite3.connect(f"{plain.as_uri()}?mode=ro", uri=True)) as database:
        found = [text for (text,) in database.execute("PRAGMA integrity_check") if text != "ok"]
        found += [f"row of {row[0]} without {row[2]}" for row in database.execute("PRAGMA foreign_key_check")]
        number = _number(database)
    return [*found, *([f"it knows {number}, {before} was acknowledged before"] if number < before else [])]


def _number(database: sqlite3.Connection) -> int:
    row = database.execute(
        "SELECT body, dictionary, size FROM tag JOIN manifest ON manifest.id = tag.manifest_id"
        " JOIN manifest_body ON manifest_body.manifest_id = manifest.id WHERE tag.name = ?",
        (_TAG,),
    ).fetchone()
    return -1 if row is None else int(json.loads(bodies.unpack(*row) or b"{}")["annotations"]["number"])
