"""The daemon's own snapshots: ``backup/registry.db`` may be copied by any tool at any time, and copied back."""

from __future__ import annotations

import sqlite3
from typing import TYPE_CHECKING

import structlog
import trio

from registry.store import snapshot
from registry.store.snapshot import SnapshotDamaged

if TYPE_CHECKING:
    from pathlib import Path

    from registry.service.registry import Registry

_AT_STOP_BYTES = 256 * 1024 * 1024
"""A larger database is not copied while somebody waits for the daemon to stop."""

log = structlog.get_logger()


class Backup:
    """Takes snapshots while the registry is open, when something has changed."""

    def __init__(self, registry: Registry, data: Path) -> None:
        self._registry = registry
        self._hops = registry.hops.unwatched()
        self._database = data / "registry.db"
        self.target = data / "backup" / "registry.db"
        self._changes_kept: int | None = None
        self.taken_at: float | None = None
        self.failure: str | None = None

    async def watch(self) -> None:
        while True:
            await trio.sleep(self._registry.policy.backup_interval_seconds)
            await self.take_if_changed()

    async def at_stop(self) -> None:
        """The last snapshot, unless it would keep the daemon from stopping soon."""
        if self._database.stat().st_size <= _AT_STOP_BYTES:
            await self.take_if_changed()
        elif self._has_changed():
            log.warning("the last snapshot does not hold the last changes: the database is large", file=self.target)

    async def take_if_changed(self) -> bool:
        """Take a snapshot if anything was written since the one before; whether there is one of now.

        A failure is logged and shown; the snapshot from before stays.
        """
        changes = self._registry.database.changes
        if not self._has_changed():
            return True
        try:
            await self._hops(snapshot.take, self._database, self.target)
        except (OSError, sqlite3.Error, SnapshotDamaged) as error:
            self.failure = str(error)
            log.warning("no snapshot was taken; the one before stays", file=self.target, error=str(error))
            return False
        self._changes_kept, self.taken_at, self.failure = changes, trio.current_time(), None
        return True

    def _has_changed(self) -> bool:
        return self._changes_kept != self._registry.database.changes
