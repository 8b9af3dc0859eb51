"""The state of a registry in one dictionary, for the operator and for metrics."""

from __future__ import annotations

from dataclasses import asdict
from typing import TYPE_CHECKING, Any

import trio

from registry.store import holdings, mark

if TYPE_CHECKING:
    from registry.service.registry import Registry
    from registry.store.holdings import Inventory


_CHEAP_SECONDS = 0.05
_KEPT_TIMES = 20
"""Who asks again and again causes one second of counting in so many."""


class Status:
    def __init__(self, registry: Registry) -> None:
        self._registry = registry
        self._counting = trio.Lock()
        self._counted: Inventory | None = None
        self._counted_at = 0.0
        self._counting_seconds = 0.0

    async def read(self, *, exact: bool = True) -> dict[str, Any]:
        """Ages and times in seconds; None for what has not happened yet.

        Unless ``exact``, counts that took long are told again for a while: they grow with the registry.
        """
        registry = self._registry
        inventory = await self._count(exact=exact)
        state = registry.database.read_now(mark.state)
        return {
            "inventory": asdict(inventory),
            "garbage": self._garbage(inventory.oldest_condemned_ms),
            "disk": {"free_bytes": registry.space.free_bytes, "reserve_bytes": registry.space.reserve_bytes},
            "scrub": {
                "verified_blobs": registry.scrub.verified_blobs,
                "verified_bytes": registry.scrub.verified_bytes,
            },
            "backup": {
                "file": str(registry.backup.target),
                "age_seconds": _age(registry.backup.taken_at),
                "failure": registry.backup.failure,
                "last_failure_age_seconds": _age(registry.backup.failed_at),
                "restores_in_full_since_ms": state.restorable_since_ms,
                "restores_in_full_since_seconds": state.restorable_since_ms / 1000,
            },
            "is_restored": registry.restoration.is_open,
        }

    async def _count(self, *, exact: bool) -> Inventory:
        async with self._counting:
            age_seconds = trio.current_time() - self._counted_at
            is_due = self._counting_seconds < _CHEAP_SECONDS or age_seconds > _KEPT_TIMES * self._counting_seconds
            if exact or is_due or self._counted is None:
                started = trio.current_time()
                self._counted = await self._registry.database.read(holdings.take_inventory)
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
            "last_run_age_seconds": _age(garbage.ended_at),
            "last_run_seconds": garbage.last_seconds,
            "last_failure": garbage.last_failure,
            "last_failure_age_seconds": _age(garbage.failed_at),
            "last_run": asdict(garbage.last_totals),
            "all_time": asdict(garbage.all_time),
            "next_removal_seconds": next_removal,
        }


def _age(moment: float | None) -> float | None:
    return None if moment is None else trio.current_time() - moment
