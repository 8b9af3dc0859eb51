"""SIGKILL at each system call by which the daemon changes files or answers: it serves, stops, or starts."""

from __future__ import annotations

import os
import shutil
import signal
import time
from math import gcd
from subprocess import TimeoutExpired
from typing import TYPE_CHECKING, TypeVar

from tests.faults import strace
from tests.faults.ledger import Ledger
from tests.faults.report import Report
from tests.faults.scenario import Scenario, UnexpectedAnswer
from tests.faults.strace import Point
from tests.faults.watched import StartFailed, Watched

if TYPE_CHECKING:
    from collections import Counter
    from collections.abc import Callable, Iterator, Sequence
    from pathlib import Path

_SHORT_SECONDS = 45
"""When the short form takes no further point."""

_NAMES = (
    *("", "lock", "ballast", "registry.db", "registry.db-wal", "registry.db-shm", "registry.db-journal"),
    *(
        "registry.db-wal.stale",
        "registry.db-shm.stale",
        "uploads",
        "blobs",
        "blobs/mark",
        "blobs/sha256",
        "blobs/sha512",
    ),
)
"""What a start may change, below the data folder."""

_ANSWER_SECONDS = 20

_GOLDEN = (1 + 5**0.5) / 2

_RUNS_PER_FOLDER = 40
"""After so many kills everything is verified once more, and a new folder begun."""

T = TypeVar("T")

Phase = tuple["Callable[[Point], bool]", "Counter[str]"]
"""What kills at a point, telling whether that was reached, and how often each call is made."""


def run(folder: Path, *, full: bool) -> Report:
    """Kill the daemon at points of the scenario (``full``: at every one), and verify after each."""
    if (reason := strace.missing()) is not None:
        return Report("kill", skipped=reason)
    kills = Kills(folder)
    try:
        if full:
            kills.everywhere()
        else:
            kills.sampled(_SHORT_SECONDS)
        kills.end()
    except StartFailed as error:
        kills.report.lost.append(str(error))
    finally:
        kills.abandon()
    return kills.report


class Kills:
    """Each run begins with a daemon that serves, and ends with one that was started again and verified.

    ``prefix`` is the command before the daemon's own.
    """

    def __init__(self, folder: Path, prefix: Sequence[str] = ()) -> None:
        self.report = Report("kill")
        self._folder = folder
        self._prefix = list(prefix)
        self._runs = self._folders = 0
        self._slowest_start = 0.0
        self._watched = self._fresh()
        self._watched.start("at first")

    def sampled(self, seconds: float) -> None:
        """Kill at each call once, then at points spread over all there are, for so long."""
        end = time.monotonic() + seconds
        phases = self._phases()
        firsts = [(kill, Point(call, (count + 1) // 2)) for kill, counts in phases for call, count in counts.items()]
        points = [(kill, point) for kill, counts in phases for point in points_of(counts)]
        self.report.figures["points of the full form"] = len(points)
        for kill, point in [*firsts, *spread(points)]:
            if time.monotonic() > end:
                break
            kill(point)

    def everywhere(self) -> None:
        """Kill at every point: of each call at its first time, its second, until the daemon makes no more of them."""
        for kill, counts in self._phases():
            for call in counts:
                number = 1
                while kill(Point(call, number)):
                    number += 1

    def end(self) -> None:
        """Verify everything once more, and stop."""
        self._watched.end()
        self._collect()
        self.report.figures["slowest start"] = f"{self._slowest_start:.2f} s"

    def abandon(self) -> None:
        """Leave no process behind, whatever happened."""
        self._watched.abandon()

    def kill_serving(self, point: Point) -> bool:
        """Kill while the scenario runs, or in the stop that follows; whether the point was reached."""
        ledger, scenario = self._prepare()
        process = self._watched.daemon.process
        with strace.killing(process.pid, point):
            self._serve_and_stop(scenario, f"serving, {point}")
        reached = process.returncode == -signal.SIGKILL
        self._recover(ledger, f"serving, {point}", reached=reached)
        return reached

    def kill_starting(self, point: Point) -> bool:
        """Kill in a start that follows another kill, with a WAL that has to be recovered."""
        ledger, _ = self._prepare()
        self._watched.daemon.kill()
        reached = self._start_killed(point)
        self._recover(ledger, f"starting, {point}", reached=reached)
        return reached

    def kill_beginning(self, point: Point) -> bool:
        """Kill in the first start on a folder that is not there yet."""
        self._change_folder()
        reached = self._start_killed(point)
        ledger = self._watched.ledger()
        self._recover(ledger, f"beginning, {point}", reached=reached)
        self._prepare()
        return reached

    def kill_restoring(self, point: Point | None) -> bool:
        """Kill in the first start on a snapshot that was copied back, beside a WAL with changes from after it."""
        ledger, _ = self._prepare()
        daemon = self._watched.daemon
        daemon.stop()
        self._watched.start("after a snapshot")
        Scenario(Ledger(daemon), daemon.data, self._folder / "layouts", f"lost-{self._runs}").prepare()
        daemon.kill()
        shutil.copy(daemon.data / "backup" / "registry.db", daemon.data / "registry.db")
        reached = self._start_killed(point)
        self._recover(ledger, f"restoring, {point}", reached=reached)
        if not self._watched.operate("POST", "restoration")["was_restored"]:
            self._watched.lost.append(f"restoring, {point}: the daemon does not know that it was restored")
        return reached

    def _phases(self) -> list[Phase]:
        """Ways to kill, each with the calls that were counted in a run without a kill."""
        return [
            (self.kill_serving, self._count_serving()),
            (self.kill_starting, self._count_starting()),
            (self.kill_restoring, self._count_restoring()),
            (self.kill_beginning, self._count_beginning()),
        ]

    def _count_serving(self) -> Counter[str]:
        ledger, scenario = self._prepare()
        with strace.counting(self._watched.daemon.process.pid, self._folder / "calls") as counts:
            self._serve_and_stop(scenario, "counting")
        self._recover(ledger, "after a run that was only counted", reached=False)
        return counts

    def _count_starting(self) -> Counter[str]:
        ledger, _ = self._prepare()
        self._watched.daemon.kill()
        self._start_killed(None)
        self._recover(ledger, "after a start that was only counted", reached=False)
        return strace.count_calls(self._folder / "calls")

    def _count_restoring(self) -> Counter[str]:
        self.kill_restoring(None)
        return strace.count_calls(self._folder / "calls")

    def _count_beginning(self) -> Counter[str]:
        self._change_folder()
        self._start_killed(None)
        self._recover(self._watched.ledger(), "after a beginning that was only counted", reached=False)
        return strace.count_calls(self._folder / "calls")

    def _prepare(self) -> tuple[Ledger, Scenario]:
        """What a run works on: a scenario with names and content of its own."""
        if len(self._watched.ledgers) >= _RUNS_PER_FOLDER:
            self._change_folder()
            self._watched.start("on a new folder")
        self._runs += 1
        ledger = self._watched.ledger()
        scenario = Scenario(ledger, self._watched.daemon.data, self._folder / "layouts", f"run-{self._runs}")
        scenario.prepare()
        return ledger, scenario

    def _serve_and_stop(self, scenario: Scenario, where: str) -> None:
        """Run the scenario and stop the daemon, unless it is killed; returns when its process has ended."""
        daemon = self._watched.daemon
        try:
            if scenario.run():
                daemon.stop()
            daemon.process.wait(_ANSWER_SECONDS)
        except UnexpectedAnswer as error:
            self.report.lost.append(f"{where}: {error}")
            daemon.kill()
        except TimeoutExpired:
            self.report.lost.append(f"{where}: the daemon gave no answer, and did not end either")
            daemon.kill()

    def _start_killed(self, point: Point | None) -> bool:
        """Start under strace; whether the daemon was killed before it listened. It does not run afterwards."""
        data, daemon = self._watched.daemon.data, self._watched.daemon
        paths = [data / name for name in _NAMES]
        try:
            self._watched.start_under(strace.starting(point, paths, self._folder / "calls"), f"starting, {point}")
        except StartFailed:
            if daemon.process.returncode != -signal.SIGKILL:  # strace ends as the daemon did
                raise
            return True
        os.kill(int((data / "lock").read_text()), signal.SIGKILL)
        daemon.process.wait()
        return False

    def _recover(self, ledger: Ledger, after: str, *, reached: bool) -> None:
        """Start plainly, and verify what this run left."""
        self._watched.start(after)
        self._watched.verify(after, [ledger])
        self.report.states += reached

    def _change_folder(self) -> None:
        """Verify everything in the folder, and leave it for a new one, on which nothing is started yet."""
        self._watched.end()
        self._collect()
        shutil.rmtree(self._watched.daemon.data)
        self._watched = self._fresh()

    def _fresh(self) -> Watched:
        self._folders += 1
        return Watched(self._folder / f"data-{self._folders}", self._prefix)

    def _collect(self) -> None:
        self.report.acknowledged += self._watched.acknowledged
        self.report.lost += self._watched.lost
        self._slowest_start = max(self._slowest_start, self._watched.slowest_start)


def points_of(counts: Counter[str]) -> list[Point]:
    return [Point(call, number) for call, count in counts.items() for number in range(1, count + 1)]


def spread(points: Sequence[T]) -> Iterator[T]:
    """All of them, in an order whose every beginning is spread evenly over the whole."""
    step = round(len(points) / _GOLDEN)
    while gcd(step, len(points)) != 1:
        step += 1
    return (points[number * step % len(points)] for number in range(len(points)))
