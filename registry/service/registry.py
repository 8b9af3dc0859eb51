"""One registry: its database, its files, its background tasks, and what it was told to allow."""

from __future__ import annotations

from contextlib import asynccontextmanager
from typing import TYPE_CHECKING

import structlog
import trio

from registry.service.access import Access
from registry.service.authentication import Authentication
from registry.service.backup import Backup
from registry.service.check import Check
from registry.service.damage import Damage
from registry.service.expiry import Expiry
from registry.service.garbage import Garbage
from registry.service.health import Health
from registry.service.locks import KeyedLocks
from registry.service.mode import ModeSwitch
from registry.service.restoration import Restoration
from registry.service.scrub import Scrub
from registry.service.small_blobs import SmallBlobs
from registry.service.space import Space
from registry.service.status import Status
from registry.service.tokens import Tokens
from registry.service.uploads import Uploads
from registry.store import folder, schema
from registry.store import space as store_space
from registry.store.database import Database
from registry.store.files import Files
from registry.store.hops import Hops

if TYPE_CHECKING:
    from collections.abc import AsyncIterator, Awaitable, Callable
    from pathlib import Path

    from registry.oci.digests import Digest
    from registry.service.policy import Policy
    from registry.store.clock import Clock

log = structlog.get_logger()


class Registry:
    """What the acts of this layer work on. Made by ``open_registry``."""

    def __init__(self, data: Path, policy: Policy, hops: Hops, clock: Clock | None) -> None:
        self.policy = policy
        self.hops = hops
        self.database = Database(data / "registry.db", hops, clock, checkpoints=policy.checkpoints)
        self.files = Files(data)
        self.store_space = store_space.Space(data)
        self.small_blobs = SmallBlobs()
        self.digest_locks: KeyedLocks[Digest] = KeyedLocks()
        self.parsing = trio.Lock()
        """Held while a large manifest is parsed: several at once would keep the event loop from running."""
        self.mode = ModeSwitch(self)
        self.access = Access(self)
        self.authentication = Authentication(self)
        self.tokens = Tokens(self)
        self.uploads = Uploads(self)
        self.expiry = Expiry(self)
        self.space = Space(self)
        self.damage = Damage(self)
        self.garbage = Garbage(self)
        self.scrub = Scrub(self)
        self.check = Check(self, data)
        self.backup = Backup(self, data)
        self.restoration = Restoration(self, data)
        self.health = Health(self)
        self.status = Status(self)

    def follow(self, policy: Policy) -> None:
        """Take other decisions of the operator, all at once; an interval under way ends as it began.

        Raises HtpasswdInvalid, and then nothing has changed. ``allow_network`` and ``checkpoints`` count at the start.
        """
        self.authentication.follow(policy.access)
        self.policy = policy

    def watches(self) -> tuple[Callable[[], Awaitable[None]], ...]:
        """The background tasks."""
        return (
            self.space.watch,
            self.health.watch,
            self.expiry.watch,
            self.tokens.watch,
            self.garbage.watch,
            self.scrub.watch,
            self.backup.watch,
            self.restoration.watch,
        )

    def is_lease_old(self, kept_until_ms: int) -> bool:
        """Whether a lease is so old that who asks now needs another one: a quarter of it has gone by."""
        return kept_until_ms - self.database.clock.now_ms() < self.policy.garbage.lease_ms * 3 / 4


@asynccontextmanager
async def open_registry(
    data: Path, policy: Policy, *, hops: Hops | None = None, clock: Clock | None = None
) -> AsyncIterator[Registry]:
    """Open the data folder, created where it is missing, and keep its background tasks running.

    Raises FolderUnusable, DatabaseTooNew, sqlite3.Error, OSError. A background task that fails ends the context.
    """
    with folder.hold(data, allow_network=policy.allow_network):
        registry = Registry(data, policy, Hops() if hops is None else hops, clock)
        await registry.hops(registry.files.prepare)
        await registry.hops(registry.restoration.prepare)
        await registry.database.open()
        if policy.checkpoints and registry.database.read_now(schema.is_replicated):
            log.warning("litestream was here: beside it, storage.checkpoint has to be external")
        registry.authentication.open()
        registry.mode.look()
        try:
            async with trio.open_nursery() as background:
                background.start_soon(registry.database.run)
                background.start_soon(registry.uploads.publisher.run)
                await registry.restoration.begin()
                await registry.expiry.drop_lost()
                await registry.space.look()
                async with trio.open_nursery() as watching:
                    for watch in registry.watches():
                        watching.start_soon(watch)
                    yield registry
                    watching.cancel_scope.cancel()
                with trio.CancelScope(shield=True):
                    await registry.restoration.end()
                    await registry.backup.at_stop()
                background.cancel_scope.cancel()
        finally:
            with trio.CancelScope(shield=True):
                await registry.database.close()
