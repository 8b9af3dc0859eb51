"""A database that was put back from the past, or beside another blob folder: recognised, made harmless, ended."""

from __future__ import annotations

import secrets
import sqlite3
from contextlib import suppress
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING

import structlog
import trio

from registry.service.damage import BlobDamaged
from registry.service.principals import OPERATOR
from registry.store import audit, damage, mark, snapshot, tokens
from registry.store.audit import Author
from registry.store.mark import Mark
from registry.store.space import StorageFull, is_full

if TYPE_CHECKING:
    from collections.abc import Iterable
    from pathlib import Path

    from registry.oci.digests import Digest
    from registry.service.registry import Registry
    from registry.store.damage import BrokenTag
    from registry.store.transactions import WriteTx

_CLOCK_SECONDS = 60

_AUTHOR = Author("daemon")
"""Who put the database back, it does not know."""

log = structlog.get_logger()


@dataclass(frozen=True, slots=True)
class Losses:
    """Blobs that are missing or corrupt, and the tags whose images need them."""

    was_restored: bool
    blobs: list[tuple[str, str]]
    tags: list[BrokenTag]


class Restoration:
    """While it ``is_open`` nothing is swept: files that the database does not know may be all there is of them."""

    def __init__(self, registry: Registry, data: Path) -> None:
        self._registry = registry
        self._database = data / "registry.db"
        self._blobs = data / "blobs"
        self._start_id = ""
        self._mark = Mark(None, 0)
        self._marking = trio.Lock()
        self._is_snapshot = False
        self.is_open = False

    def prepare(self) -> None:
        """Before SQLite opens the file: keep it from playing another database's -wal into a snapshot."""
        snapshot.end_interrupted(self._database)
        self._is_snapshot = snapshot.is_snapshot(self._database)
        if self._is_snapshot:
            known = mark.read(self._blobs)
            if known is not None:  # SQLite is about to make a live database of it, and the start may be cut short
                mark.write(self._blobs, replace(known, beside_snapshot=True))
            for path in snapshot.set_aside_wal(self._database):
                log.warning(
                    "a snapshot was copied back; what belonged to the database before it is aside", path=str(path)
                )

    async def begin(self) -> None:
        """Tell whether database and blob folder belong together, and give both the id of this start.

        On a disk that is full this takes the ballast.
        """
        try:
            await self._begin()
        except (OSError, StorageFull) as error:
            if not is_full(error) or not await self._registry.hops(self._registry.store_space.drop_ballast):
                raise
            await self._begin()
        if self.is_open:
            log.error("database and blob folder are not of one time: nothing is swept until recovered")

    async def _begin(self) -> None:
        """The id is announced in the folder first, so that a crash between the two writes is no restoration.

        Where it is one, nothing is announced: until the database knows that it was restored, the two disagree.
        """
        registry = self._registry
        found, known = registry.database.read_now(mark.state), await registry.hops(mark.read, self._blobs)
        is_snapshot = self._is_snapshot or (known is not None and known.beside_snapshot)
        restored = mark.is_restored(known, found, is_snapshot=is_snapshot)
        self._start_id = secrets.token_hex(16)
        if not restored:
            commits = found.commits if known is None else known.commits
            self._mark = Mark(found.start_id, commits, next_id=self._start_id)
            await self._write_mark()
        await registry.database.write(_begin, self._start_id, restored=restored)
        self.is_open = restored or found.restored_ms is not None
        await self.raise_mark()

    async def end(self) -> None:
        """At a clean stop the mark is raised to the last commit: the snapshot that is made then is no older."""
        try:
            await self.save_clock()
            kept = self._registry.backup.commits_kept()
            await self.raise_mark(is_final=True, commits=kept)
        except (OSError, sqlite3.Error, StorageFull) as error:
            log.warning("the mark in the blob folder is not raised", error=str(error))

    async def raise_mark(self, *, is_final: bool = False, commits: int | None = None) -> None:
        """Make durable that files may be gone which older states of the database know."""
        async with self._marking:
            if commits is None:
                commits = self._registry.database.read_now(mark.state).commits
            self._mark = Mark(self._start_id, commits, is_final=is_final)
            await self._write_mark()

    async def save_clock(self) -> None:
        """The mark goes first: a crash between the two must not make the folder look older than the database."""
        async with self._marking:
            await self._write_mark()
        await self._registry.database.write(mark.state)

    async def _write_mark(self) -> None:
        clock = self._registry.database.clock
        clock_ms = clock.now_ms()
        self._mark = replace(self._mark, clock_ms=clock_ms)
        await self._registry.hops(mark.write, self._blobs, self._mark)
        clock.note_mark(clock_ms)

    async def require_folder(self) -> None:
        """Raises OSError unless the blob folder is still the one of this start, and not, say, an empty mount point."""
        known = await self._registry.hops(mark.read, self._blobs)
        if known is None or known.start_id != self._start_id:
            raise OSError(f"{self._blobs} is not the folder that this daemon began with")

    async def watch(self) -> None:
        """Look for what is missing, beside the requests, and save the daemon's clock each minute."""
        if self.is_open:
            await self._look_at_all()
        while True:
            await trio.sleep(_CLOCK_SECONDS)
            try:
                await self.save_clock()
            except (OSError, sqlite3.Error, StorageFull) as error:
                log.warning("the clock is not saved; the next minute tries again", error=str(error))

    async def _look_at_all(self) -> None:
        try:
            await self.check_files()
            losses = await self.losses()
        except (OSError, sqlite3.Error, StorageFull) as error:
            log.warning("not all files could be looked for; cargohold recover does it", error=str(error))
        else:
            log.error("restored: looked at every blob", damaged=len(losses.blobs), broken_tags=len(losses.tags))

    async def check_files(self) -> None:
        """Mark the blobs whose files are missing or bad, and clear the mark of those that have come back."""
        after = ""
        while page := await self._registry.database.read(damage.list_blobs, after=after):
            for digest, size, known in page:
                try:
                    await self._check_file(digest, size, known)
                except OSError as error:
                    log.warning("a file can't be looked at", digest=str(digest), error=str(error))
            after = str(page[-1][0])

    async def look_for(self, digests: Iterable[Digest]) -> None:
        """Look for the files of these blobs now: a push is about to rely on them."""
        for digest in digests:
            size = self._registry.database.read_now(damage.find_size, digest)
            if size is not None:
                await self._check_file(digest, size, None)

    async def _check_file(self, digest: Digest, size: int, known: str | None) -> None:
        registry = self._registry
        try:
            found = await registry.hops(registry.files.size_of_blob, digest)
        except OSError as error:
            with suppress(BlobDamaged):
                await registry.damage.report_error(digest, error)
            return
        if found is None and known is None:
            await registry.damage.report(digest, "missing")
        elif found == size and known == "missing":
            await registry.database.write(damage.set_present, digest)
        elif found not in {None, size} and known is None:
            await registry.damage.verify(digest, size)

    async def losses(self) -> Losses:
        return Losses(
            self.is_open,
            await self._registry.database.read(damage.list_damaged),
            await self._registry.database.read(damage.list_broken_tags),
        )

    async def recover(self, author: Author = OPERATOR.author) -> Losses:
        """End the state; what is lost. Damaged blobs stay marked until they are pushed again."""
        if self.is_open:
            await self.check_files()  # perhaps once more, so that nothing is missing from what is told
        losses = await self.losses()
        await self._registry.database.write(_end, author)
        self.is_open = False
        return losses


def _begin(tx: WriteTx, start_id: str, *, restored: bool) -> None:
    """What was taken away since the time of the database stands in it again: old tokens must not."""
    mark.begin(tx, start_id, restored=restored)
    if restored:
        tokens.remove_all(tx)
        audit.record(tx, _AUTHOR, "restoration recognised")


def _end(tx: WriteTx, author: Author) -> None:
    if mark.state(tx).restored_ms is not None:
        mark.end_restoration(tx)
        audit.record(tx, author, "restoration ended")
