"""Pushes, deletes, garbage collection, clock jumps and crashes in thousands of schedules, each decided by its seed.

``python -m tests.faults.races SEED`` plays one and tells what happened.
"""

from __future__ import annotations

import multiprocessing
import random
import sys
import time
from collections import Counter
from concurrent.futures import FIRST_COMPLETED, ProcessPoolExecutor, wait
from dataclasses import dataclass, field
from itertools import count
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import TYPE_CHECKING

import trio

from tests.faults import schedule
from tests.faults.quiet import quietly
from tests.faults.races_check import Check
from tests.faults.races_client import Client
from tests.faults.races_content import CONTENTS, IMAGES, INDEXES, NAMES, TAGS
from tests.faults.races_history import History
from tests.faults.races_world import JUMPS_MS, LEASE_MS, NoAnswer, Span, World, make_template
from tests.faults.report import Report

if TYPE_CHECKING:
    from collections.abc import Iterable

    from registry.service.registry import Registry

_SHORT_SECONDS = 36.0

_FULL_SEEDS = 20_000

_PROCESSES = 2

_SEEDS_PER_JOB = 20


@dataclass
class Outcome:
    """Of one schedule, or of several."""

    lost: list[str] = field(default_factory=list)
    figures: Counter[str] = field(default_factory=Counter)
    excuses: Counter[str] = field(default_factory=Counter)
    schedules: set[bytes] = field(default_factory=set)
    trace: list[str] = field(default_factory=list)

    def add(self, other: Outcome) -> None:
        self.lost += other.lost
        self.figures += other.figures
        self.excuses += other.excuses
        self.schedules |= other.schedules


class Race:
    """One schedule: what is there at first, who takes part, and how often."""

    def __init__(self, seed: int, template: Path, folder: Path) -> None:
        self._seed = seed
        self._chance = random.Random(f"race {seed}")
        self._world = World(template, folder, self._chance)
        self._history = History()
        self._figures: Counter[str] = Counter()

    def play(self) -> Outcome:
        _, fingerprint = schedule.run(self._seed, self._play)
        lost = [f"seed {self._seed}: {sentence}" for sentence in self._world.lost]
        self._figures.update(schedules=1, crashes=self._world.crashes, acknowledged=self._history.acknowledged)
        return Outcome(lost, self._figures, self._history.excuses, {fingerprint}, self._world.trace)

    async def _play(self) -> None:
        async with trio.open_nursery() as nursery:
            await nursery.start(self._world.serve)
            await self._prepare()
            with trio.move_on_after(3600) as patience:
                async with trio.open_nursery() as racers:
                    for number in range(self._chance.randint(2, 4)):
                        client = Client(self._world, self._history, f"client {number}", self._fork())
                        racers.start_soon(client.live, self._chance.randint(1, 4))
                    racers.start_soon(self._collect, self._fork(), self._chance.randint(1, 4))
                    racers.start_soon(self._disturb, self._fork())
            if patience.cancelled_caught:
                self._world.lose("a deadlock: all tasks waited for one another")
            if not self._world.lost:
                await Check(self._world, self._history).run()
            self._world.stop()

    async def _prepare(self) -> None:
        """Content of all ages: new, due, marked as unreachable and due, condemned, or any mixture of these."""
        client = Client(self._world, self._history, "at first", self._fork())
        age = self._chance.choice(("new", "due", "marked", "condemned", "mixed"))
        for _ in range(self._chance.randint(1, 3) if age != "marked" else 0):
            await client.act(client.push_blob, self._chance.choice(NAMES), self._chance.choice(CONTENTS))
        for _ in range(self._chance.randint(1, 3) if age != "condemned" else 0):
            tags = tuple(self._chance.sample(TAGS, self._chance.choice((0, 0, 1))))
            await client.act(client.push, self._chance.choice(NAMES), self._chance.choice((*IMAGES, *INDEXES)), tags)
        match age:
            case "due":
                self._world.jump(LEASE_MS)
            case "marked":
                await self._world.registry.garbage.run()
                self._world.jump(LEASE_MS)
            case "condemned":
                self._world.jump(LEASE_MS)
                await self._world.registry.garbage.run()
                self._world.jump(1)
            case "mixed":
                for _ in range(self._chance.randint(1, 3)):
                    self._world.jump(self._chance.choice((LEASE_MS + 1, *JUMPS_MS)))
                    await self._world.registry.garbage.run()
                self._world.jump(self._chance.choice(JUMPS_MS))

    async def _collect(self, chance: random.Random, runs: int) -> None:
        for number in range(runs):
            for _ in range(chance.choice((0, 0, 5, 20, 60))):
                await trio.lowlevel.checkpoint()
            span, now, walk = Span(0), chance.random() < 0.3, chance.random() < 0.3

            async def collect(registry: Registry, span: Span = span, now: bool = now, walk: bool = walk) -> None:
                if now:
                    self._history.runs_now.append(span)
                totals = await registry.garbage.run(now=now, walk=walk)
                self._figures.update(links=totals.links, removed=totals.removed_blobs, manifests=totals.manifests)

            try:
                await self._world.request(f"gc {number}{' --now' * now}", span, collect)
            except NoAnswer:
                continue
            except Exception as error:  # noqa: BLE001 (told with the seed)
                self._world.lose(f"garbage collection ends with {error!r}")

    async def _disturb(self, chance: random.Random) -> None:
        """The clock jumps, clients go away, the daemon dies."""
        for _ in range(chance.randint(1, 5)):
            for _ in range(chance.choice((0, 5, 20, 60, 150))):
                await trio.lowlevel.checkpoint()
            act = chance.random()
            if act < 0.65:
                self._world.jump(chance.choice(JUMPS_MS))
            elif act < 0.85:
                self._world.drop_request()
            else:
                await self._world.crash()

    def _fork(self) -> random.Random:
        return random.Random(self._chance.random())


def play(seeds: Iterable[int], *, until_lost: bool = False) -> Outcome:
    """One schedule after the other; the first whose invariants don't hold is the last one with ``until_lost``."""
    total = Outcome()
    with quietly(), TemporaryDirectory() as spare, schedule.in_memory(Path(spare)) as folder:
        template = folder / "template"
        schedule.run(0, lambda: make_template(template))
        for seed in seeds:
            with TemporaryDirectory(dir=folder) as place:
                outcome = Race(seed, template, Path(place)).play()
            total.add(outcome)
            total.trace = outcome.trace
            if total.lost and until_lost:
                break
    return total


def run(_folder: Path, *, full: bool) -> Report:
    """Play the seeds from 0 on, for so long or (``full``) so many."""
    end = time.monotonic() + (float("inf") if full else _SHORT_SECONDS)
    starts = iter(range(0, _FULL_SEEDS, _SEEDS_PER_JOB)) if full else count(0, _SEEDS_PER_JOB)
    total = Outcome()
    with ProcessPoolExecutor(_PROCESSES, multiprocessing.get_context("spawn")) as processes:
        jobs = {processes.submit(play, _seeds(start)) for _, start in zip(range(_PROCESSES), starts, strict=False)}
        while jobs:
            done, jobs = wait(jobs, return_when=FIRST_COMPLETED)
            for job in done:
                total.add(job.result())
                if time.monotonic() < end and (start := next(starts, None)) is not None:
                    jobs.add(processes.submit(play, _seeds(start)))
    return _report(total)


def _seeds(start: int) -> range:
    return range(start, start + _SEEDS_PER_JOB)


def _report(total: Outcome) -> Report:
    figures = {
        "distinct schedules": f"{len(total.schedules):,}",
        "crashes": f"{total.figures['crashes']:,}",
        "links collected": f"{total.figures['links']:,}",
        "manifests collected": f"{total.figures['manifests']:,}",
        "blobs removed": f"{total.figures['removed']:,}",
        **{f"rightly missed, {excuse}": f"{times:,}" for excuse, times in sorted(total.excuses.items())},
    }
    return Report("races", total.figures["schedules"], total.figures["acknowledged"], total.lost, figures)


if __name__ == "__main__":
    played = play([int(sys.argv[1])])
    print("\n".join([*played.trace, *played.lost]))  # noqa: T201
