"""The state of a registry in one dictionary, for the operator and for metrics."""

from __future__ import annotations

from dataclasses import asdict, dataclass
from typing import TYPE_CHECKING, Any

import trio

from registry.service import actions
from registry.store import damage, holdings, mark

if TYPE_CHECKING:
    from collections.abc import Iterable, Mapping

    from registry.service.registry import Registry
    from registry.store.holdings import Inventory
    from registry.store.transactions import ReadTx
    from registry.tally import Histogram


_CHEAP_SECONDS = 0.05
_KEPT_TIMES = 20
"""Who asks again and again causes one second of counting in so many."""


@dataclass(frozen=True, slots=True)
class Counted:
    """What takes the longer the more there is. The blobs that are due wait for the scrub."""

    inventory: Inventory
    due_blobs: int
    due_bytes: int


class Status:
    def __init__(self, registry: Registry) -> None:
        self._registry = registry
        self._started_at = trio.current_time()
        self._counting = trio.Lock()
        self._counted: Counted | None = None
        self._counted_at = 0.0
        self._counting_seconds = 0.0

    async def read(self, *, exact: bool = True) -> dict[str, Any]:
        """Ages and times in seconds; None for what has not happened yet.

        Unless ``exact``, counts that took long are told again for a while: they grow with the registry.
        """
        registry = self._registry
        counted = await self._count(exact=exact)
        state = registry.database.read_now(mark.state)
        return {
            "inventory": asdict(counted.inventory),
            "up_seconds": _age(self._started_at),
            "is_ready": not registry.health.degraded(),
            "database": {"log_bytes": await registry.database.log_bytes()},
            "garbage": self._garbage(counted.inventory.oldest_condemned_ms),
            "disk": {"free_bytes": registry.space.free_bytes, "reserve_bytes": registry.space.reserve_bytes},
            "scrub": {
                "verified_blobs": registry.scrub.verified_blobs,
                "verified_bytes": registry.scrub.verified_bytes,
                "due_blobs": counted.due_blobs,
                "due_bytes": counted.due_bytes,
            },
            "backup": {
                "file": str(registry.backup.target),
                "age_seconds": _age(registry.backup.taken_at),
                "behind_seconds": _age(registry.backup.whole_at),
                "interval_seconds": registry.policy.backup_interval_seconds,
                "failure": registry.backup.failure,
                "last_failure_age_seconds": _age(registry.backup.failed_at),
                "restores_in_full_since_ms": state.restorable_since_ms,
                "restores_in_full_since_seconds": state.restorable_since_ms / 1000,
            },
            "is_restored": registry.restoration.is_open,
        }

    def action_seconds(self) -> Iterable[tuple[str, str, Histogram]]:
        """Driver and action, of the disk and the database, and how long it took each time."""
        return actions.times(self._registry.hops.times)

    def garbage_seconds(self) -> Mapping[tuple[bool, bool], Histogram]:
        """How long garbage collections took, by whether they found nothing, and whether they failed."""
        return self._registry.garbage.times

    def write_queue_seconds(self) -> Histogram:
        """How long each transaction waited for its turn."""
        return self._registry.database.waits

    async def _count(self, *, exact: bool) -> Counted:
        async with self._counting:
            age_seconds = trio.current_time() - self._counted_at
            is_due = self._counting_seconds < _CHEAP_SECONDS or age_seconds > _KEPT_TIMES * self._counting_seconds
            if exact or is_due or self._counted is None:
                started = trio.current_time()
                verified_ms = int(self._registry.policy.scrub.verified_seconds * 1000)
                self._counted = await self._registry.database.read(_count, verified_ms)
                self._counted_at = trio.current_time()
                self._counting_seconds = self._counted_at - started
            return self._counted

    def _garbage(self, oldest_condemned_ms: int | None) -> dict[str, Any]:
        garbage, policy = self._registry.garbage, self._registry.policy.garbage
        next_removal = None
        if oldest_condemned_ms is not None:
            age_seconds = (self._registry.database.clock.now_ms() - oldest_condemned_ms) / 1000
            next_removal = max(policy.horizon_seconds - age_seconds, 0.0)
        return {
            "runs": garbage.runs,
            "interval_seconds": policy.interval_seconds,
            "last_run_age_seconds": _age(garbage.ended_at),
            "last_run_seconds": garbage.last_seconds,
            "last_failure": garbage.last_failure,
            "last_failure_age_seconds": _age(garbage.failed_at),
            "last_run": asdict(garbage.last_totals),
            "all_time": asdict(garbage.all_time),
            "next_removal_seconds": next_removal,
        }


def _count(tx: ReadTx, verified_ms: int) -> Counted:
    due = damage.unverified(tx, before_ms=tx.clock_ms - verified_ms)
    return Counted(holdings.take_inventory(tx), *due)


def _age(moment: float | None) -> float | None:
    return None if moment is None else trio.current_time() - moment
