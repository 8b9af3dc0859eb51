"""SIGKILL at random moments, while several clients push, tag, mount and delete."""

from __future__ import annotations

import random
import shutil
import threading
import time
from typing import TYPE_CHECKING

from tests.faults.load import Load, make_pool
from tests.faults.report import Report
from tests.faults.watched import StartFailed, Watched

if TYPE_CHECKING:
    from collections.abc import Sequence
    from pathlib import Path

_SHORT_KILLS, _SHORT_SECONDS = 30, 36

_FULL_KILLS = 5000

_CLIENTS = 4

_KILLS_PER_FOLDER = 30
"""After so many everything is verified, stopped, and verified once more; the next ones work on a new folder."""

_LONGEST_SECONDS = 0.5
"""How long the clients work at most before a kill."""

_SETTINGS = {"CARGOHOLD_GC__INTERVAL": "0.2s", "CARGOHOLD_BACKUP__INTERVAL": "0.3s"}
"""Garbage is collected and snapshots are taken all the time."""

_ANSWER_SECONDS = 60


def run(folder: Path, *, full: bool) -> Report:
    """30 kills in the short form, or as many as fit into its time; 5,000 in the long one."""
    kills = _FULL_KILLS if full else _SHORT_KILLS
    return kill_often(folder, kills, seconds=None if full else _SHORT_SECONDS, seed=time.time_ns())


def kill_often(
    folder: Path, kills: int, *, seconds: float | None = None, seed: int = 0, prefix: Sequence[str] = ()
) -> Report:
    """Kill so often, for at most so long; ``prefix`` is the command before the daemon's own."""
    chance = random.Random(seed)
    report = Report("kill_random")
    end = float("inf") if seconds is None else time.monotonic() + seconds
    slowest = 0.0
    number = 0
    while report.states < kills and time.monotonic() < end:
        number += 1
        watched = Watched(folder / f"data-{number}", prefix, _SETTINGS)
        try:
            _kill_on_one_folder(watched, report, min(kills - report.states, _KILLS_PER_FOLDER), end, chance)
        except StartFailed as error:
            watched.lost.append(str(error))
            kills = 0
        finally:
            watched.abandon()
        report.acknowledged += watched.acknowledged
        report.lost += watched.lost
        slowest = max(slowest, watched.slowest_start)
        shutil.rmtree(watched.daemon.data)
    report.figures["slowest start"] = f"{slowest:.2f} s"
    return report


def _kill_on_one_folder(watched: Watched, report: Report, kills: int, end: float, chance: random.Random) -> None:
    pool = make_pool(chance)
    loads = [Load(watched.ledger(), f"client-{client}", pool, chance.random()) for client in range(_CLIENTS)]
    watched.start("at first")
    for _ in range(kills):
        if time.monotonic() > end:
            break
        _work_until_killed(watched, loads, chance.uniform(0, _LONGEST_SECONDS))
        report.states += 1
        after = f"after kill {report.states}"
        watched.start(after)
        watched.verify(after, watched.ledgers, close_uploads=chance.random() < 0.3)
        watched.lost += [f"{after}: {sentence}" for load in loads for sentence in load.take_faults()]
    watched.end()


def _work_until_killed(watched: Watched, loads: Sequence[Load], seconds: float) -> None:
    threads = [threading.Thread(target=load.run) for load in loads]
    for thread in threads:
        thread.start()
    time.sleep(seconds)  # the random moment
    watched.daemon.kill()
    for thread in threads:
        thread.join(_ANSWER_SECONDS)
        if thread.is_alive():
            raise StartFailed("a client still waits for a daemon that was killed")
