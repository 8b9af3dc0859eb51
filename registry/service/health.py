"""Whether the registry can serve: what is degraded, and a probe that really pushes."""

from __future__ import annotations

import sqlite3
from typing import TYPE_CHECKING

import structlog
import trio

from registry.store.space import StorageFull
from registry.store.transactions import count_commits

if TYPE_CHECKING:
    from registry.service.registry import Registry

_PROBE_KEPT_SECONDS = 1.0
_WATCH_SECONDS = 1.0

log = structlog.get_logger()


class Health:
    def __init__(self, registry: Registry) -> None:
        self._registry = registry
        self._stalled: str | None = None
        self._probing = trio.Lock()
        self._probed_at = -_PROBE_KEPT_SECONDS
        self._probe_result: str | None = None

    def degraded(self) -> list[str]:
        """What is wrong, in words for the operator; empty while pulls can be served."""
        return [reason for reason in (self._stalled, self.database_failure()) if reason is not None]

    def database_failure(self) -> str | None:
        """Why the database can't be read just now."""
        try:
            self._registry.database.read_now(count_commits)
        except sqlite3.Error as error:
            return f"database: {error}"
        return None

    def notices(self) -> list[str]:
        """What the operator has to know although pulls are served."""
        complaint = self._registry.space.complaint()
        notices = [] if complaint is None else [complaint]
        if self._registry.restoration.is_open:
            notices.append("restored: nothing is swept until cargohold recover")
        read_only = self._registry.mode.current.complaint
        notices += [] if read_only is None else [read_only]
        return notices

    async def probe_push(self) -> str | None:
        """Write a row (of the commit counter), create, sync and remove a file: why it failed, None if it did not.

        One probe at a time; what it found is kept for 1 s.
        """
        async with self._probing:
            if trio.current_time() - self._probed_at >= _PROBE_KEPT_SECONDS:
                self._probe_result = await self._probe_push()
                self._probed_at = trio.current_time()
            return self._probe_result

    async def _probe_push(self) -> str | None:
        if self._stalled is not None:
            return self._stalled
        complaint = self._registry.space.complaint()
        if complaint is not None:
            return complaint
        try:
            await self._registry.database.write(count_commits)
        except StorageFull as error:
            return f"disk: {error}"
        except sqlite3.Error as error:
            return f"database: {error}"
        try:
            await self._registry.hops(self._registry.files.probe)
        except OSError as error:
            return f"disk: {error}"
        return None

    async def watch(self) -> None:
        """Notice file system calls that don't come back: log the first, and be degraded until they do."""
        while True:
            slowest = self._registry.hops.slowest()
            stalled = slowest is not None and slowest[1] >= self._registry.policy.stall_seconds
            if slowest is not None and stalled:
                if self._stalled is None:
                    log.error("storage stalls", call=slowest[0], seconds=round(slowest[1], 1))
                self._stalled = f"disk: {slowest[0]} has taken {slowest[1]:.0f} s"
            elif self._stalled is not None:
                log.warning("storage answers again")
                self._stalled = None
            await trio.sleep(_WATCH_SECONDS)
