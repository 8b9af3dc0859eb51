"""Power cuts on a mounted file system: under a load it is cut off from its device, and what was acknowledged before has
to be there after the next mount, which replays the journal.
"""

from __future__ import annotations

import threading
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from random import Random
from typing import TYPE_CHECKING

from tests.faults import devices
from tests.faults.ledger import Ledger
from tests.faults.load import Load
from tests.faults.report import Report
from tests.tools.daemon import Daemon

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping
    from pathlib import Path

    from tests.faults.ledger import Reply

FILE_SYSTEMS = ("ext4", "xfs")

_SIZE_BYTES = 1024**3
_THREADS = 4
_TIMEOUT_SECONDS = 20
_CONTENTS = 100
_CONTENT_BYTES = 60_000
_CUTS_OF_ONE = 50
"""After so many cuts everything on a file system is looked for once more, and a new one is made."""


@dataclass(frozen=True, slots=True)
class Amount:
    """Cuts of each kind of file system; before each one, so many requests are acknowledged."""

    cuts: int
    least: int
    most: int


SHORT = Amount(cuts=12, least=0, most=100)
FULL = Amount(cuts=510, least=0, most=200)


def run(folder: Path, *, full: bool) -> Report:
    report = Report("power_cut", skipped=devices.missing(*(f"mkfs.{kind}" for kind in FILE_SYSTEMS)))
    if report.skipped is None:
        amount = FULL if full else SHORT
        for kind in FILE_SYSTEMS:
            report.figures[kind] = f"{amount.cuts:,} cuts"
            for first in range(0, amount.cuts, _CUTS_OF_ONE):
                cuts = min(_CUTS_OF_ONE, amount.cuts - first)
                with devices.scratch(_SIZE_BYTES) as place:
                    PowerCuts(place, kind, Daemon, report, Random(first)).run(cuts, amount.least, amount.most)
    return report


class Cut:
    """The moment of a cut. What is answered after it counts for nothing, for then there is no power.

    (And there an fsync that runs into the shutdown may return without an error: of 708 on ext4 that a plain program
    made while it was cut off, 244 had lost what they synced; on xfs 358 of 1,030. Of those from before, none.)
    """

    def __init__(self, acts: int) -> None:
        self._changed = threading.Condition()
        self._acts_left = acts
        self._done = False

    def count(self, *, acknowledged: bool) -> bool:
        """Whether an answer that has come just now came before the cut."""
        with self._changed:
            self._acts_left -= acknowledged
            self._changed.notify()
            return not self._done

    def give_up(self) -> None:
        """A client has ended before the cut."""
        with self._changed:
            self._acts_left = 0
            self._changed.notify()

    def make(self, point: Path) -> None:
        """Wait until so many acts are acknowledged, and cut off the file system that is mounted there."""
        with self._changed:
            try:
                self._changed.wait_for(lambda: self._acts_left <= 0)
            finally:
                self._done = True  # and the clients end
        devices.cut_off(point)


class PoweredLedger(Ledger):
    """A ledger that believes no answer from after the cut."""

    def __init__(self, daemon: Daemon, cut: Cut) -> None:
        super().__init__(daemon, _TIMEOUT_SECONDS)
        self._cut: Cut | None = cut

    def _write(
        self, method: str, target: str, body: bytes = b"", headers: Mapping[str, str] | None = None
    ) -> Reply | None:
        before = self.acknowledged
        reply = super()._write(method, target, body, headers)
        if self._cut is None or self._cut.count(acknowledged=self.acknowledged > before):
            return reply
        self.acknowledged = before
        return None

    def power_is_back(self) -> None:
        self._cut = None


class PowerCuts:
    """One file system, cut off again and again; what is found goes into the report."""

    def __init__(
        self, place: Path, kind: str, make_daemon: Callable[[Path], Daemon], report: Report, random: Random
    ) -> None:
        self._disk, self._point, self._kind = place / "disk", place / "mounted", kind
        self._report, self._random = report, random
        self._daemon = make_daemon(self._point / "data")
        self._daemon.log = place / "daemon.log"
        self._ledgers: list[PoweredLedger] = []

    def run(self, cuts: int, least: int, most: int) -> None:
        """So many cuts; ends early where the daemon does not start after one."""
        devices.make_file_system(self._disk, self._kind, _SIZE_BYTES)
        for number in range(cuts + 1):
            self._daemon.log.unlink(missing_ok=True)
            with devices.mounted(self._disk, self._point, self._kind):
                try:
                    self._daemon.start()
                    self._say(number, self._verify(everything=number == cuts))
                    if number < cuts:
                        self._load_and_cut(number, self._random.randint(least, most))
                except AssertionError as error:
                    self._say(number, [f"the daemon does not start: {error}"])
                    return
                finally:
                    self._daemon.kill()

    def _verify(self, *, everything: bool) -> list[str]:
        """Look for what the last load did; at the end for everything, and close the uploads that are open."""
        ledgers = self._ledgers if everything else self._ledgers[-_THREADS:]
        return [sentence for ledger in ledgers for sentence in ledger.verify(close_uploads=everything)]

    def _load_and_cut(self, number: int, acts: int) -> None:
        """Cut off the disk when so many acts are acknowledged; half the time the daemon lives to see it."""
        cut = Cut(acts)
        ledgers = [PoweredLedger(self._daemon, cut) for _ in range(_THREADS)]
        pool = [self._random.randbytes(int(_CONTENT_BYTES ** self._random.random())) for _ in range(_CONTENTS)]
        loads = [
            Load(ledger, f"cut-{number}/{thread}", pool, self._random.random()) for thread, ledger in enumerate(ledgers)
        ]
        with ThreadPoolExecutor(_THREADS) as threads:
            jobs = [threads.submit(load.run) for load in loads]
            for job in jobs:
                job.add_done_callback(lambda _: cut.give_up())
            cut.make(self._point)
            if self._random.random() < 0.5:
                self._daemon.kill()
        for job, load, ledger in zip(jobs, loads, ledgers, strict=True):
            job.result()
            self._say(number, load.take_faults())
            ledger.power_is_back()
        self._ledgers += ledgers
        self._report.states += 1
        self._report.acknowledged += sum(ledger.acknowledged for ledger in ledgers)

    def _say(self, number: int, sentences: list[str]) -> None:
        self._report.lost += [f"{self._kind}, cut {number}: {sentence}" for sentence in sentences]
