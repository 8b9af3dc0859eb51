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
    from registry.oci.digests import Digest
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
        """Verify what was not verified for scrub.verified_seconds, at scrub.bytes_per_second.

        A blob whose reading fails for a reason that says nothing of it is passed over until all others were read.
        """
        registry, passed = self._registry, set[str]()
        found: tuple[Digest, int] | None = None
        while True:
            before_ms = registry.database.clock.now_ms() - int(registry.policy.scrub.verified_seconds * 1000)
            try:
                found = await registry.database.read(damage.find_unverified, before_ms=before_ms, passed=passed)
                if found is None:
                    passed.clear()
                    await trio.sleep(_IDLE_SECONDS)
                    continue
                await self._verify(*found, self._pace)
            except (OSError, sqlite3.Error, StorageFull) as error:
                log.warning("the scrub waits", error=str(error), seconds=_IDLE_SECONDS)
                passed |= set() if found is None else {str(found[0])}
                await trio.sleep(_IDLE_SECONDS)

    async def run(self, *, before_ms: int | None, seconds: float) -> Progress:
        """Verify as fast as the disk allows for so long; ``before_ms`` is that of the first step, None to begin."""
        registry = self._registry
        before = registry.database.clock.now_ms() if before_ms is None else before_ms
        verified, size, bad = 0, 0, []
        end = trio.current_time() + seconds
        while verified == 0 or trio.current_time() < end:
            found = await registry.database.read(damage.find_unverified, before_ms=before)
            if found is None:
                break
            if not await self._verify(*found, None):
                bad.append(str(found[0]))
            verified, size = verified + 1, size + found[1]
        left_blobs, left_bytes = await registry.database.read(damage.unverified, before_ms=before)
        return Progress(before, verified, size, bad, left_blobs, left_bytes)

    async def _verify(self, digest: Digest, size: int, pace: Pace | None) -> bool:
        """Verify one blob; whether it is good."""
        is_good = await self._registry.damage.verify(digest, size, pace)
        self.verified_blobs += 1
        self.verified_bytes += size
        return is_good

    async def _pace(self, length: int) -> None:
        await trio.sleep(length / self._registry.policy.scrub.bytes_per_second)
