"""The daemon's own snapshots: ``backup/registry.db`` may be copied by any tool at any time, and copied back."""

from __future__ import annotations

import math
import sqlite3
from typing import TYPE_CHECKING

import structlog
import trio

from registry.oci.errors import InsufficientStorage
from registry.store import snapshot
from registry.store.transactions import count_commits

if TYPE_CHECKING:
    from pathlib import Path

    from registry.service.registry import Registry

_STOP_SECONDS = 3.0
"""How long the last snapshot may take while somebody waits for the daemon to stop."""

log = structlog.get_logger()


class Backup:
    """Takes snapshots while the registry is open, when something has changed."""

    def __init__(self, registry: Registry, data: Path) -> None:
        self._registry = registry
        self._hops = registry.hops.unwatched()
        self._database = data / "registry.db"
        self.target = data / "backup" / "registry.db"
        self._changes_kept: int | None = None
        self._commits_kept: int | None = None
        self.taken_at: float | None = None
        self.whole_at = trio.current_time()
        """When a snapshot last held all that there was, as far as this life of the daemon knows."""
        self.failure: str | None = None
        self.failed_at: float | None = None

    async def watch(self) -> None:
        while True:
            await trio.sleep(self._registry.policy.backup_interval_seconds)
            await self.take_if_changed()

    async def at_stop(self) -> None:
        """The last snapshot; where the database is too large for it, the one before stays, and that is logged."""
        await self.take_if_changed(limit_seconds=_STOP_SECONDS)

    async def take_now(self) -> bool:
        """For the operator: likewise, also where somebody has taken the file away."""
        if not await self._registry.hops(self.target.exists):
            self._changes_kept = None
        return await self.take_if_changed()

    async def take_if_changed(self, *, limit_seconds: float = math.inf) -> bool:
        """Take a snapshot if anything was written since the one before; whether there is one of now.

        A failure is logged and shown; the snapshot from before stays.
        """
        changes, commits = self._registry.database.changes, self._registry.database.read_now(count_commits)
        began = trio.current_time()
        if not self._has_changed():
            self.whole_at = began
            return True
        try:
            await self._registry.space.require(self._database.stat().st_size)
            await self._hops(snapshot.take, self._database, self.target, limit_seconds=limit_seconds)
        except (OSError, sqlite3.Error, InsufficientStorage) as error:
            self.failure, self.failed_at = str(error), trio.current_time()
            log.warning("no snapshot was taken; the one before stays", file=str(self.target), error=str(error))
            return False
        self._commits_kept = commits
        self._changes_kept, self.taken_at, self.failure = changes, trio.current_time(), None
        self.whole_at = began
        return True

    def commits_kept(self) -> int | None:
        """What the last snapshot counted, at least, if nothing has changed since; None where something has."""
        return None if self._has_changed() else self._commits_kept

    def _has_changed(self) -> bool:
        return self._changes_kept != self._registry.database.changes
