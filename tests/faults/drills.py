"""Restorations of random pairs: an older database with newer blobs, and a newer database with older blobs.

A registry lives through pushes, deletes, collections and days; backups are made on the way, with the blobs as they
stood then. From a snapshot that is younger than the horizon nothing may be missing; from any other one, what is
missing is exactly what is said.
"""

from __future__ import annotations

import random
import shutil
import time
from dataclasses import dataclass
from typing import TYPE_CHECKING

import trio

from registry import recovery, vault
from registry.service.policy import GarbagePolicy
from tests.faults.quiet import quietly
from tests.faults.report import Report
from tests.tools.content import CONFIG, digest_of, push_image
from tests.tools.life import DAY, HORIZON, Life

if TYPE_CHECKING:
    from pathlib import Path

    from tests.tools.life import Opened

KIND = "drills"

_SHORT_DRILLS, _FULL_DRILLS = 12, 200
_NAME = "team/app"
_BACKUPS = 3
_HOUR = 3600


def run(folder: Path, *, full: bool) -> Report:
    report = Report(KIND)
    first = time.time_ns() % 1_000_000
    for number in range(_FULL_DRILLS if full else _SHORT_DRILLS):
        drill = Drill(folder / f"drill-{number}", first + number)
        with quietly():
            report.lost += trio.run(drill.run)
        report.states += 1
        report.acknowledged += drill.pushed
        for name in (drill.direction, drill.age):
            report.figures[name] = int(str(report.figures.get(name, 0))) + 1
        report.figures["blobs missing, as said"] = (
            int(str(report.figures.get("blobs missing, as said", 0))) + drill.missing
        )
        shutil.rmtree(folder / f"drill-{number}")
    return report


@dataclass(frozen=True)
class Taken:
    """A backup, the blob folder of that moment, and the tags with the layer of each."""

    path: Path
    blobs_then: Path
    at_ms: int
    tags: dict[str, bytes]


class Drill:
    """``horizon_seconds`` is what the collector keeps to, which a test makes less than was promised."""

    def __init__(self, folder: Path, seed: int, horizon_seconds: float = HORIZON) -> None:
        self._folder = folder
        self._seed = seed
        self._chance = random.Random(seed)
        self._policy = GarbagePolicy(horizon_seconds=horizon_seconds)
        folder.mkdir(parents=True)
        self._life = Life(folder / "data")
        self._tags: dict[str, bytes] = {}
        self._manifests: dict[str, bytes] = {}
        self.pushed = self.missing = 0
        self.direction = self.age = ""

    async def run(self) -> list[str]:
        """What is wrong, one sentence each."""
        taken = []
        for number in range(_BACKUPS):
            async with self._life.opened(self._policy) as opened:
                await self._live(opened)
                assert await opened.registry.backup.take_now()
                taken.append(self._take(number))
                await self._live(opened)
        found = await self._drill(taken)
        return [f"seed {self._seed}, {self.direction}, {self.age}: {sentence}" for sentence in found]

    async def _live(self, opened: Opened) -> None:
        for _ in range(self._chance.randint(1, 12)):
            match self._chance.choice(["push", "push", "delete", "collect", "wait"]):
                case "push":
                    tag = f"v{self._chance.randint(0, 5)}"
                    layer = self._chance.randbytes(self._chance.randint(1, 3000))
                    self._manifests[tag] = await push_image(opened.client, _NAME, tag, layer)
                    self._tags[tag] = layer
                    self.pushed += 1
                case "delete" if self._tags:
                    tag = self._chance.choice(sorted(self._tags))
                    digest = digest_of(self._manifests[tag])
                    assert await opened.status("DELETE", f"{_NAME}/manifests/{digest}") == 202
                    del self._tags[tag]
                case "collect":
                    await opened.registry.garbage.run(now=self._chance.random() < 0.5, walk=True)
                case _:
                    self._life.go_on(self._chance.choice([_HOUR, 6 * _HOUR, DAY, 3 * DAY]))

    def _take(self, number: int) -> Taken:
        path, blobs_then = self._folder / f"backup-{number}.db.zst", self._folder / f"blobs-{number}"
        vault.create(self._life.data, path, self._folder / "vault", force=False)
        shutil.copytree(self._life.data / "blobs", blobs_then)
        return Taken(path, blobs_then, self._life.now_ms, dict(self._tags))

    async def _drill(self, taken: list[Taken]) -> list[str]:
        older, newer = sorted(self._chance.sample(range(len(taken)), 2))
        kept = None
        if self._chance.random() < 0.5:
            self.direction = "older database, newer blobs"
            chosen, is_promised = taken[older], self._is_young(taken[older])
        else:
            self.direction = "newer database, older blobs"
            chosen = taken[newer]
            is_promised = self._chance.random() < 0.5
            kept = self._folder / "vault" if is_promised else None
            shutil.rmtree(self._life.data / "blobs")
            shutil.copytree(taken[older].blobs_then, self._life.data / "blobs")
        self.age = "nothing may be missing" if is_promised else "some may be missing"
        done = recovery.restore(self._life.data, chosen.path, kept, allow_network=True, dry_run=False)
        self.missing = len(done.missing)
        found = [f"{digest} {fault}" for digest, fault in done.missing] if is_promised else []
        return found + await self._check(chosen, {digest for digest, _ in done.missing})

    def _is_young(self, taken: Taken) -> bool:
        return self._life.now_ms - taken.at_ms < HORIZON * 1000

    async def _check(self, chosen: Taken, missing: set[str]) -> list[str]:
        """After the start, after the end of the restoration, and after a collection."""
        async with self._life.opened(self._policy) as opened:
            if not opened.registry.restoration.is_open:
                return ["the start does not know that it is one after a restoration"]
            found = await self._pull(opened, chosen, missing)
            losses = await opened.registry.restoration.recover()
            if {digest for digest, _ in losses.blobs} != missing:
                found.append(f"recover says {losses.blobs}, restore said {sorted(missing)}")
            await opened.registry.garbage.run(now=True, walk=True)
            return found + await self._pull(opened, chosen, missing)

    @staticmethod
    async def _pull(opened: Opened, chosen: Taken, missing: set[str]) -> list[str]:
        found = []
        for tag, layer in chosen.tags.items():
            if (status := await opened.status("GET", f"{_NAME}/manifests/{tag}")) != 200:
                found.append(f"the tag {tag} is answered with {status}")
            for content in (CONFIG, layer):
                reply = await opened.client("GET", f"/v2/{_NAME}/blobs/{digest_of(content)}")
                if (reply.status != 200 or reply.body != content) and digest_of(content) not in missing:
                    found.append(
                        f"{digest_of(content)} is answered with {reply.status}, and was not said to be missing"
                    )
        return found
