"""Reading what nobody has read for long, so that rot is found while the content is still somewhere else."""

from __future__ import annotations

import sqlite3
from dataclasses import dataclass
from typing import TYPE_CHECKING

import structlog
import trio

from registry.store import damage
from registry.store.space import StorageFull

if TYPE_CHECKING:
    from registry.service.damage import Pace
    from registry.service.registry import Registry

_IDLE_SECONDS = 60

log = structlog.get_logger()


@dataclass(frozen=True, slots=True)
class Progress:
    """Of a scrub that began at ``before_ms`` on the daemon's clock: what it did in this step, and what is left."""

    before_ms: int
    verified_blobs: int
    verified_bytes: int
    bad: list[str]
    left_blobs: int
    left_bytes: int


class Scrub:
    """Verifies blobs, those that were verified longest ago first."""

    def __init__(self, registry: Registry) -> None:
        self._registry = registry
        self.verified_blobs = 0
        self.verified_bytes = 0

    async def watch(self) -> None:
        """Verify what was not verified for scrub.verified_seconds, at scrub.bytes_per_second."""
        registry = self._registry
        while True:
            try:
                before_ms = registry.database.clock.now_ms() - int(registry.policy.scrub.verified_seconds * 1000)
                if await self._verify_next(before_ms, self._pace) is None:
                    await trio.sleep(_IDLE_SECONDS)
            except (OSError, sqlite3.Error, StorageFull) as error:
                log.warning("the scrub waits", error=str(error), seconds=_IDLE_SECONDS)
                await trio.sleep(_IDLE_SECONDS)

    async def run(self, *, before_ms: int | None, seconds: float) -> Progress:
        """Verify as fast as the disk allows for so long; ``before_ms`` is that of the first step, None to begin."""
        registry = self._registry
        before = registry.database.clock.now_ms() if before_ms is None else before_ms
        verified, size, bad = 0, 0, []
        with trio.move_on_after(seconds):
            while (found := await self._verify_next(before, None)) is not None:
                digest, length, is_good = found
                verified, size = verified + 1, size + length
                if not is_good:
                    bad.append(digest)
        left_blobs, left_bytes = await registry.database.read(damage.unverified, before_ms=before)
        return Progress(before, verified, size, bad, left_blobs, left_bytes)

    async def _verify_next(self, before_ms: int, pace: Pace | None) -> tuple[str, int, bool] | None:
        """Verify one blob: its digest, its size, whether it is good. None where none was verified before this."""
        found = await self._registry.database.read(damage.find_unverified, before_ms=before_ms)
        if found is None:
            return None
        digest, size = found
        with trio.CancelScope(shield=pace is None):
            is_good = await self._registry.damage.verify(digest, size, pace)
        self.verified_blobs += 1
        self.verified_bytes += size
        return str(digest), size, is_good

    async def _pace(self, length: int) -> None:
        await trio.sleep(length / self._registry.policy.scrub.bytes_per_second)
