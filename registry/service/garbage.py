"""Garbage collection, online: plan by reads, then small transactions that ask again, then files.

A blob goes in two steps. When nothing keeps its last link it is condemned: no client sees it, its file stays, and a
push brings it back. When it has been condemned for the horizon its row goes, and after that COMMIT its file.
"""

from __future__ import annotations

import sqlite3
from collections import Counter
from contextlib import AsyncExitStack
from dataclasses import asdict, dataclass, replace
from functools import partial
from typing import TYPE_CHECKING, Any, TypeVar

import structlog
import trio

from registry.oci.errors import GarbagePaused
from registry.store import audit, garbage, orphans, tags
from registry.store.garbage import Judged
from registry.store.space import StorageFull
from registry.tally import SECONDS, Histogram

if TYPE_CHECKING:
    from collections.abc import AsyncIterator, Callable, Sequence

    from registry.oci.digests import Digest
    from registry.service.registry import Registry
    from registry.store.audit import Author
    from registry.store.garbage import Plan, Rules
    from registry.store.transactions import WriteTx

T = TypeVar("T")

_WALK_SECONDS = 24 * 3600.0
"""How often the folders are walked for files without a row."""

_FREE_PAGES = 1024
_FREE_SHARE = 4
"""The database is cut when more pages than these, and more than one in so many, are unused."""

_STEP_PAGES = 256
"""One transaction cuts so many, which takes 20 ms."""

log = structlog.get_logger()


@dataclass(frozen=True, slots=True)
class Totals:
    """What one run did, or would do."""

    manifests: int = 0
    tags: int = 0
    links: int = 0
    condemned_blobs: int = 0
    condemned_bytes: int = 0
    removed_blobs: int = 0
    removed_bytes: int = 0
    orphans: int = 0

    @property
    def is_nothing(self) -> bool:
        return not any(asdict(self).values())


class Garbage:
    """The collector of a registry; one run at a time."""

    def __init__(self, registry: Registry) -> None:
        self._registry = registry
        self._files = registry.files
        self._running = trio.Lock()
        self._walked_at = -_WALK_SECONDS
        self.runs = 0
        self.last_totals = Totals()
        self.last_seconds = 0.0
        self.last_failure: str | None = None
        self.failed_at: float | None = None
        self.ended_at: float | None = None
        self.all_time = Totals()
        self.times = {kind: Histogram(SECONDS) for kind in ((False, False), (True, False), (True, True))}
        """How long runs took, in seconds: whether one did nothing, whether it failed."""

    async def watch(self) -> None:
        """Run now and then. A disk that is full or fails is no reason to end: pulls go on."""
        while True:
            await trio.sleep(self._registry.policy.garbage.interval_seconds)
            try:
                await self.run()
            except GarbagePaused:
                continue
            except (OSError, sqlite3.Error, StorageFull) as error:
                log.warning("garbage collection did not end; it begins anew with the next run", error=str(error))

    async def run(self, *, now: bool = False, walk: bool = False) -> Totals:
        """Collect once. ``now`` leaves out the grace; leases and open uploads are kept all the same.

        Cancelled, it ends between two transactions; the next run goes on. Raises GarbagePaused.
        """
        async with self._running:
            started = trio.current_time()
            try:
                totals = await self._collect(now=now, walk=walk)
            except (OSError, sqlite3.Error, StorageFull) as error:
                self.last_failure, self.failed_at = str(error), trio.current_time()
                self.times[True, True].observe(trio.current_time() - started)
                raise
            self._note(totals, trio.current_time() - started)
            return totals

    async def _collect(self, *, now: bool, walk: bool) -> Totals:
        await self._registry.expiry.expire(self._registry.policy.upload_idle_seconds)
        plan = await self._plan(now=now)
        totals = await self._execute(plan, grace_ms=self._rules(now=now).grace)
        totals = replace(totals, orphans=await self._sweep_orphans(walk=walk))
        await self._tidy()
        return totals

    async def run_by_hand(self, author: Author, *, now: bool) -> Totals:
        """For the operator; the audit says so before anything goes. Raises GarbagePaused."""
        self._require_unpaused()
        await self._registry.database.write(audit.record, author, "gc run", after="without grace" if now else None)
        return await self.run(now=now, walk=True)

    async def dry_run(self, *, now: bool = False, walk: bool = False) -> Totals:
        """What ``run`` would do if nothing changed until then. Raises GarbagePaused."""
        plan = await self._plan(now=now)
        found = [path async for paths in self._walk() for path in paths] if walk else []
        return Totals(
            manifests=len(plan.manifests),
            tags=len(plan.tags),
            links=len(plan.links),
            condemned_blobs=plan.condemned_blobs,
            condemned_bytes=plan.condemned_bytes,
            removed_blobs=len(plan.removed),
            removed_bytes=plan.removed_bytes,
            orphans=len(await self._orphans_to_remove(found)),
        )

    async def _plan(self, *, now: bool) -> Plan:
        self._require_unpaused()
        database, rules = self._registry.database, self._rules(now=now)
        judged, start = Judged(), 0
        while (following := await database.read_long(garbage.judge, rules, judged, start=start)) is not None:
            start = following
        return await database.read_long(garbage.plan, rules, judged)

    def _require_unpaused(self) -> None:
        if self._registry.restoration.is_open:
            raise GarbagePaused("garbage collection is paused: the database was restored; see cargohold recover")

    def _rules(self, *, now: bool) -> Rules:
        policy = self._registry.policy.garbage
        untagged = policy.untagged_after_seconds
        return garbage.Rules(
            grace=0 if now else int(policy.grace_seconds * 1000),
            lease=policy.lease_ms,
            horizon=int(policy.horizon_seconds * 1000),
            untagged_after=None if untagged is None else int(untagged * 1000),
            orphaned_tags=policy.collect_orphaned_tags,
            shortage_bytes=self._registry.space.shortage_bytes(),
        )

    async def _execute(self, plan: Plan, *, grace_ms: int) -> Totals:
        policy = self._registry.policy.garbage
        after_ms = int((policy.untagged_after_seconds or 0) * 1000)
        await self._each(garbage.mark_manifest, plan.to_mark)
        await self._each(garbage.clear_manifest, plan.to_clear)
        await self._each(garbage.mark_tag, plan.tags_to_mark)
        manifests = await self._each(partial(garbage.collect_manifest, untagged_after_ms=after_ms), plan.manifests)
        for name, digest in filter(None, manifests):
            log.info("untagged manifest collected", repository=name, digest=digest)
            await trio.lowlevel.checkpoint()  # a line takes its time, and there may be many
        tags_removed = await self._each(partial(garbage.collect_tag, grace_ms=grace_ms), plan.tags)
        links = await self._each(partial(garbage.collect_link, grace_ms=grace_ms), plan.links)
        condemned = [size for _, size in links if size is not None]
        removed = await self._remove(plan.removed, plan.removal_age_ms)
        return Totals(
            manifests=sum(each is not None for each in manifests),
            tags=sum(tags_removed),
            links=sum(gone for gone, _ in links),
            condemned_blobs=len(condemned),
            condemned_bytes=sum(condemned),
            removed_blobs=len(removed),
            removed_bytes=sum(removed),
        )

    async def _each(self, step: Callable[[WriteTx, Any], T], items: Sequence[Any]) -> list[T]:
        """Take the step for each item, in transactions of at most gc.batch items and gc.max_lock_ms."""
        policy = self._registry.policy.garbage
        results: list[T] = []
        while len(results) < len(items):
            batch = items[len(results) : len(results) + policy.batch]
            results += await self._registry.database.write(garbage.each, step, batch, limit_ms=policy.max_lock_ms)
        return results

    async def _remove(self, digests: Sequence[Digest], age_ms: int) -> list[int]:
        """Rows of condemned blobs first, then, after their COMMIT, the files; the sizes of those removed."""
        policy = self._registry.policy.garbage
        sizes: list[int] = []
        for start in range(0, len(digests), policy.batch):
            batch = digests[start : start + policy.batch]
            async with AsyncExitStack() as locks:
                for digest in batch:
                    await locks.enter_async_context(self._registry.digest_locks.hold(digest))
                with trio.CancelScope(shield=True):
                    removed = await self._each(partial(garbage.remove_blob, age_ms=age_ms), batch)
                    gone = [digest for digest, size in zip(batch, removed, strict=True) if size is not None]
                    await self._registry.restoration.raise_mark()
                    for digest in gone:
                        await self._registry.hops(self._files.remove_blob, digest)
            sizes += [size for size in removed if size is not None]
        return sizes

    async def _sweep_orphans(self, *, walk: bool) -> int:
        """Note files without a row, now and then, and remove those that were noted long enough ago."""
        if walk or trio.current_time() - self._walked_at >= _WALK_SECONDS:
            async for found in self._walk():
                await self._each(orphans.note, found)
            self._walked_at = trio.current_time()
        paths = await self._orphans_to_remove()
        if paths:
            await self._registry.restoration.raise_mark()
        removed = sum([await self._remove_orphan(path) for path in paths])
        gone = [path for path in await self._due_orphans() if not await self._registry.hops(self._files.exists, path)]
        await self._each(orphans.forget, gone)
        return removed

    async def _due_orphans(self, found: Sequence[str] = ()) -> list[str]:
        """Those that were noted long enough ago, or would be if what was found were noted now."""
        policy = self._registry.policy
        idle_ms, horizon_ms = int(policy.upload_idle_seconds * 1000), int(policy.garbage.horizon_seconds * 1000)
        return await self._registry.database.read(orphans.due, found, horizon_ms=horizon_ms, upload_idle_ms=idle_ms)

    async def _orphans_to_remove(self, found: Sequence[str] = ()) -> list[str]:
        """Files whose time has come, that have still no row, and that nobody writes to."""
        registry = self._registry
        due = await self._due_orphans(found)
        existing = [path for path in due if await registry.hops(self._files.exists, path)]
        unknown = await registry.database.read(orphans.without_row, existing)
        return [path for path in unknown if registry.uploads.is_idle(path.rpartition("/")[2])]

    async def _walk(self) -> AsyncIterator[list[str]]:
        """Files of ours without a row, some at a time."""
        walk = self._files.walk()
        nothing: list[str] = []
        while paths := await self._registry.hops(next, walk, nothing):
            unknown = await self._registry.database.read(orphans.without_row, paths)
            yield [path for path in unknown if orphans.is_ours(path)]

    async def _remove_orphan(self, path: str) -> bool:
        registry = self._registry
        digest = orphans.digest_of(path)
        if digest is None:
            return await registry.expiry.remove_orphan(path)
        async with registry.digest_locks.hold(digest):
            with trio.CancelScope(shield=True):
                is_orphan = await registry.database.write(orphans.forget, path)
                if is_orphan:
                    await registry.hops(self._files.remove_blob, digest)
        return is_orphan

    async def _tidy(self) -> None:
        """Forget old changes of tags, and give unused pages of the database back to the file system."""
        database, policy = self._registry.database, self._registry.policy.garbage
        history_ms = int(policy.history_seconds * 1000)
        while await database.read(tags.has_old_history, age_ms=history_ms):
            await database.write(tags.prune_history, age_ms=history_ms)
        free, total = await database.read(garbage.free_pages)
        while free > max(_FREE_PAGES, total // _FREE_SHARE):
            await database.write(garbage.give_back_pages, _STEP_PAGES)
            before, (free, total) = free, await database.read(garbage.free_pages)
            if free >= before:
                break  # a database from before incremental vacuum

    def _note(self, totals: Totals, seconds: float) -> None:
        self.times[totals.is_nothing, False].observe(seconds)
        self.runs += 1
        self.ended_at = trio.current_time()
        self.last_totals, self.last_seconds, self.last_failure = totals, seconds, None
        counts = asdict(totals)
        self.all_time = Totals(**Counter(asdict(self.all_time)) + Counter(counts))
        if not totals.is_nothing:
            log.info("garbage collected", seconds=round(seconds, 3), **counts)
