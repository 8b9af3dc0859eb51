"""One registry: its database, its files, its background tasks, and what it was told to allow."""

from __future__ import annotations

import sqlite3
from contextlib import asynccontextmanager
from dataclasses import dataclass
from typing import TYPE_CHECKING

import structlog
import trio

from registry.service.health import Health
from registry.service.locks import KeyedLocks
from registry.service.uploads import Uploads
from registry.store import folder
from registry.store.database import Database
from registry.store.files import Files
from registry.store.hops import Hops

if TYPE_CHECKING:
    from collections.abc import AsyncIterator
    from pathlib import Path

    from registry.oci.digests import Digest

_EXPIRY_SECONDS = 60
"""How often idle uploads are looked for."""

log = structlog.get_logger()


@dataclass(frozen=True, slots=True)
class Policy:
    """What the operator decided; the configuration table in README explains each."""

    allow_missing: bool = False
    delete_enabled: bool = True
    read_only: bool = False
    concurrent_uploads: int = 1000
    upload_idle_seconds: float = 24 * 3600
    stall_seconds: float = 30
    allow_network: bool = False


class Registry:
    """What the acts of this layer work on. Made by ``open_registry``."""

    def __init__(self, data: Path, policy: Policy, hops: Hops) -> None:
        self.policy = policy
        self.hops = hops
        self.database = Database(data / "registry.db", hops)
        self.files = Files(data)
        self.digest_locks: KeyedLocks[Digest] = KeyedLocks()
        self.parsing = trio.Lock()
        """Held while a large manifest is parsed: several at once would keep the event loop from running."""
        self.uploads = Uploads(self)
        self.health = Health(self)


@asynccontextmanager
async def open_registry(data: Path, policy: Policy, *, hops: Hops | None = None) -> AsyncIterator[Registry]:
    """Open the data folder, created where it is missing, and keep its background tasks running.

    Raises FolderUnusable, DatabaseTooNew, sqlite3.Error, OSError. A background task that fails ends the context.
    """
    with folder.hold(data, allow_network=policy.allow_network):
        registry = Registry(data, policy, Hops() if hops is None else hops)
        await registry.hops(registry.files.prepare)
        await registry.database.open()
        try:
            async with trio.open_nursery() as background:
                background.start_soon(registry.database.run)
                background.start_soon(_expire_uploads, registry)
                background.start_soon(registry.health.watch)
                yield registry
                background.cancel_scope.cancel()
        finally:
            with trio.CancelScope(shield=True):
                await registry.database.close()


async def _expire_uploads(registry: Registry) -> None:
    """Remove idle uploads now and then. A disk that is full or fails is no reason to end: pulls go on."""
    while True:
        try:
            await registry.uploads.expire(registry.policy.upload_idle_seconds)
        except (OSError, sqlite3.Error) as error:
            log.warning("idle uploads stay until the next try", error=str(error), seconds=_EXPIRY_SECONDS)
        await trio.sleep(_EXPIRY_SECONDS)
