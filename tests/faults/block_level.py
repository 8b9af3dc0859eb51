"""A disk that loses what it was not told to flush: every point of its log is a possible power cut.

The daemon runs on ext4, on a loop device, on a file that logs each write and each flush. Then the log is replayed up to
a point, with any subset of the unflushed writes left out, and what was acknowledged before that point is looked for.
"""

from __future__ import annotations

import os
import subprocess
import sys
from concurrent.futures import ProcessPoolExecutor
from contextlib import contextmanager, suppress
from dataclasses import dataclass, field
from functools import cache
from pathlib import Path
from random import Random
from typing import TYPE_CHECKING

from tests.faults import block_check, collector, devices
from tests.faults.block_load import Facts, load
from tests.faults.block_log import Disk, record_ends
from tests.faults.report import Report
from tests.tools.daemon import Daemon

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator, Sequence

SIZE_BYTES = 64 * 1024 * 1024

_MKFS_OPTIONS = ("-J", "size=4")
_THREADS = 4
_PROCESSES = 2
_ROOT = Path(__file__).parents[2]


@dataclass(frozen=True, slots=True)
class Amount:
    """Loads that are recorded; and of each the acts, the states that are made of it, and the daemons started on one."""

    loads: int
    acts: int
    states: int
    starts: int


SHORT = Amount(loads=1, acts=240, states=500, starts=5)
FULL = Amount(loads=25, acts=300, states=400, starts=8)


@dataclass(slots=True)
class Outcome:
    states: int = 0
    dropped: int = 0
    lost: list[str] = field(default_factory=list)


def run(folder: Path, *, full: bool) -> Report:
    report = Report("block_level", skipped=why_not())
    if report.skipped is None:
        amount, dropped = FULL if full else SHORT, 0
        for number in range(amount.loads):
            place = folder / f"load-{number}"
            place.mkdir()
            facts = record(place, Daemon, number, amount.acts)
            outcome = examine(facts, number, amount.states, amount.starts)
            facts.log.unlink()
            report.acknowledged += facts.acknowledged
            report.states += outcome.states
            report.lost += [f"load {number}: {sentence}" for sentence in outcome.lost]
            dropped += outcome.dropped
        report.figures = {"dropped blocks": dropped, "daemon starts": amount.loads * amount.starts}
    return report


def why_not() -> str | None:
    """Why this can't run here; None where it can."""
    reason = devices.missing("mkfs.ext4")
    if reason is None and not os.access("/dev/fuse", os.R_OK | os.W_OK):
        reason = "there is no FUSE (/dev/fuse)"
    if reason is None and _interpreter() is None:
        reason = "no Python here has pyfuse3 (package python3-pyfuse3)"
    return reason


@cache
def _interpreter() -> str | None:
    """One that has pyfuse3: that of the tests, or the system's."""
    for candidate in (sys.executable, "/usr/bin/python3"):
        with suppress(FileNotFoundError):
            if subprocess.run([candidate, "-c", "import pyfuse3"], check=False, capture_output=True).returncode == 0:
                return candidate
    return None


def record(folder: Path, make_daemon: Callable[[Path], Daemon], seed: int, acts: int) -> Facts:
    """A daemon works on a disk that is logged: started, killed, started again, stopped; then garbage is collected."""
    with _logged_disk(folder) as (disk, log):
        devices.run("mkfs.ext4", *devices.MKFS_OPTIONS["ext4"], *_MKFS_OPTIONS, str(disk))
        facts = Facts(log)
        with devices.mounted(disk, folder / "recorded", "ext4") as point:
            facts.began = facts.position()
            daemon = make_daemon(point / "data")
            daemon.log = folder / "daemon.log"
            try:
                daemon.start()
                load(daemon, facts, 2 * seed, threads=_THREADS, acts=acts // _THREADS // 2)
                daemon.kill()
                daemon.start()
                load(daemon, facts, 2 * seed + 1, threads=_THREADS, acts=acts // _THREADS // 2)
                daemon.stop()
            finally:
                daemon.kill()
            facts.ended = facts.position()
            devices.run(*daemon.prefix, sys.executable, "-m", collector.__name__, str(daemon.data))
    return facts


@contextmanager
def _logged_disk(folder: Path) -> Iterator[tuple[Path, Path]]:
    """The disk's file and its log."""
    interpreter = _interpreter()
    assert interpreter is not None
    point, log = folder / "fuse", folder / "log"
    point.mkdir()
    command = [interpreter, "-m", "tests.faults.block_file", str(point), str(log), str(SIZE_BYTES)]
    with subprocess.Popen(command, cwd=_ROOT, stdout=subprocess.PIPE) as process:
        assert process.stdout is not None
        try:
            assert process.stdout.readline() == b"mounted\n"
            yield point / "disk", log
            devices.unmount(point)
        finally:
            process.kill()
            if point.is_mount():
                devices.unmount(point)


def examine(facts: Facts, seed: int, states: int, starts: int) -> Outcome:
    """Make states of what was recorded, and look at each; on so many of them a daemon is started."""
    random = Random(seed)
    ends = [end for end in record_ends(facts.log) if end > facts.began]
    cuts = sorted(random.choices(ends, k=states))
    share = -(-states // _PROCESSES)
    parts = [cuts[start : start + share] for start in range(0, states, share)]
    every = states // starts if starts else states + 1
    whole = Outcome()
    with ProcessPoolExecutor(_PROCESSES) as pool:
        jobs = [pool.submit(_examine_part, facts, part, random.random(), every) for part in parts]
        for job in jobs:
            part = job.result()
            whole.states += part.states
            whole.dropped += part.dropped
            whole.lost += part.lost
    return whole


def _examine_part(facts: Facts, cuts: Sequence[int], seed: float, every: int) -> Outcome:
    random, disk, outcome = Random(seed), Disk(facts.log, SIZE_BYTES), Outcome()
    with devices.scratch(SIZE_BYTES) as folder:
        for number, cut in enumerate(cuts):
            disk.forward(cut)
            state = disk.write(folder / "disk", random)
            outcome.states += 1
            outcome.dropped += state.dropped
            found = _look(folder, facts, cut, start=number % every == every - 1)
            outcome.lost += [f"{state}: {sentence}" for sentence in found]
    return outcome


def _look(folder: Path, facts: Facts, cut: int, *, start: bool) -> list[str]:
    """Mount the disk, which replays its journal, and see what is there."""
    try:
        with devices.mounted(folder / "disk", folder / "state", "ext4") as point:
            found = block_check.check(point / "data", facts, cut, folder)
            return found + block_check.check_by_daemon(point / "data", facts, cut, folder) if start else found
    except devices.CommandFailed as error:
        return [str(error)]
