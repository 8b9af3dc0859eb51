"""The one writer: functions that callers queue are run and committed in groups.

Each function has a savepoint of its own inside one transaction; all of them wait for the same COMMIT, and an exception
rolls back what its function did and no more.
"""

from __future__ import annotations

import os
import sqlite3
import time
from contextlib import suppress
from typing import TYPE_CHECKING, Any, Concatenate, ParamSpec, TypeVar

import trio

from registry.store import reserve, schema, snapshot
from registry.store.failures import CommitUnknown, DatabaseDamaged, closed, code, is_damage, unknown
from registry.store.jobs import Job, Queue, fail_all
from registry.store.space import Space, StorageFull
from registry.store.transactions import ReadTx, WriteTx, count_commits
from registry.tally import QUICK_SECONDS, Histogram

if TYPE_CHECKING:
    from collections.abc import Callable
    from pathlib import Path

    from registry.store.clock import Clock
    from registry.store.hops import Hops

P = ParamSpec("P")
T = TypeVar("T")

GROUP_LIMIT = 256
"""Most transactions that share one COMMIT."""

GROUP_SECONDS = 0.05
"""How long a group may run before it is committed; the jobs that are left make the next one."""

_LOOK_SECONDS = 1.0


class Writer:
    """The connection that writes, and the queue in front of it. Keep ``run`` going in a nursery.

    Without ``checkpoints`` it leaves them to a program whose SQLite has no https://sqlite.org/wal.html#walresetbug,
    and does not give the log its room either: that program may be writing to its end.
    """

    def __init__(self, path: Path, hops: Hops, clock: Clock, *, checkpoints: bool = True) -> None:
        self._path = path
        self._checkpoints = checkpoints
        self._space = Space(path.parent)
        self._hops = hops
        self._clock = clock
        self._queue: Queue[Job[Any]] = Queue()
        self._connection: sqlite3.Connection
        self._look_at = 0.0
        self.commits = 0
        """How many groups were committed since the database was made: it rises before anybody is told of one."""
        self.is_committing = False
        """Whether a group can be read, perhaps, that is not counted yet."""
        self.changes = 0
        """How many groups changed more than the row that counts them."""
        self.waits = Histogram(QUICK_SECONDS)
        """Seconds from the call of ``write`` to the beginning of the group that its function is tried in."""

    def open(self) -> list[str]:
        """Open or create the file; the names of the migrations applied. Raises DatabaseTooNew, DatabaseDamaged."""
        try:
            if not self._path.exists() or snapshot.is_snapshot(self._path):
                os.close(os.open(self._path, os.O_RDWR | os.O_CREAT | os.O_CLOEXEC, 0o600))  # it holds secrets
                self._connect().close()  # from now on it has a log
            if self._checkpoints:
                reserve.lay_wal(self._path, self._space.share(reserve.WAL_BYTES))
            self._connection = self._connect()
        except (sqlite3.DatabaseError, UnicodeDecodeError) as error:  # the message may quote damaged text
            raise DatabaseDamaged(f"{self._path} can't be opened: {error}") from error
        try:
            if schema.is_outdated(self._connection):
                snapshot.take(self._path, self._path.parent / "backup" / self._path.name)
            applied = schema.migrate(self._connection)
            self.commits = self._counted()
            (saved_ms,) = self._connection.execute("SELECT clock_ms FROM daemon").fetchone()
            self._clock.go_on(saved_ms)
        except BaseException:
            self._connection.close()
            raise
        return applied

    def close(self) -> None:
        """Close the connection; the last one to the file checkpoints it."""
        self._connection.close()

    async def write(self, function: Callable[Concatenate[WriteTx, P], T], *args: P.args, **kwargs: P.kwargs) -> T:
        """Run the function in a transaction; returns after COMMIT.

        Cancellation is noticed before the function is queued. From then on the call waits for its outcome.
        """
        await trio.lowlevel.checkpoint_if_cancelled()
        return await self.queue(Job(function, args, kwargs)).outcome()

    def queue(self, job: Job[T]) -> Job[T]:
        """Have the job run in a transaction; it ends after COMMIT."""
        job.queued = time.monotonic()
        if not self._queue.put(job):
            job.end(closed())
        return job

    async def run(self) -> None:
        """Commit what callers queue, in groups, until cancelled. Raises DatabaseDamaged, or what reopening raised."""
        try:
            while True:
                group = await self._queue.take(GROUP_LIMIT)
                while group:
                    group = await self._commit_group(group)
        finally:
            for job in self._queue.close():
                job.end(closed())

    async def _commit_group(self, group: list[Job[Any]]) -> list[Job[Any]]:
        """Run and commit a group, as much of it as GROUP_SECONDS allow; the jobs that are left."""
        tried = group
        began = time.monotonic()
        try:
            with trio.CancelScope(shield=True):
                tried = await self._hops(self._commit, group)
        except BaseException as error:
            fail_all(tried, error, CommitUnknown)
            raise
        finally:
            for job in tried:
                self.waits.observe(began - job.queued)
                job.end()
        return group[len(tried) :]

    def _commit(self, group: list[Job[Any]]) -> list[Job[Any]]:
        """Give each job that is tried its outcome; those jobs. Raises DatabaseDamaged, and what reopening raises.

        Where there is no room, the log is begun anew, and if that is not enough the ballast given up. Meanwhile the
        group is its first job, which another one that needs much must not take along.
        """
        self._keep_pages()
        tried, error = self._try(group)
        for make_room in (self._restart_log, self._drop_ballast):
            if error is not None and self._is_full(error):
                make_room()
                tried, error = self._try(group[:1])
        if error is not None:
            fail_all(tried, error, _kind(error, is_full=self._is_full(error)))
        return tried

    def _try(self, group: list[Job[Any]]) -> tuple[list[Job[Any]], sqlite3.Error | None]:
        """Run and commit; the jobs that were tried, and why none of it was committed."""
        tried: list[Job[Any]] = []
        before = self._connection.total_changes
        try:
            self._connection.execute("BEGIN IMMEDIATE")
            self._run_jobs(group, tried)
            changed = self._connection.total_changes > before
            self._connection.execute(
                "UPDATE daemon SET commits = commits + 1, clock_ms = ?", (self._clock.savable_ms(),)
            )
        except sqlite3.Error as error:
            if self._connection.in_transaction:
                self._connection.execute("ROLLBACK")
            if is_damage(error):
                self._reopen(error)
            return tried or group, error
        self.is_committing = True
        try:
            return tried, self._end(changed=changed)
        finally:
            self.is_committing = False

    def _end(self, *, changed: bool) -> sqlite3.Error | None:
        """Commit, and count it; why it was not committed, or nobody knows whether it was."""
        try:
            self._connection.execute("COMMIT")
            self.commits += 1
        except sqlite3.Error as error:
            self._reopen(error)
            expected, self.commits = self.commits + 1, self._counted()
            if self.commits != expected:
                is_known = self._overwrite() or code(error) == sqlite3.SQLITE_FULL  # the last frame was not written
                return error if is_known else unknown(error)
        self.changes += changed
        return None

    def _keep_pages(self) -> None:
        """Give the database unused pages where it has few, at most once a second, while there is room for them."""
        if time.monotonic() < self._look_at or reserve.has_pages(self._connection):
            return
        self._look_at = time.monotonic() + _LOOK_SECONDS
        if self._space.room().free_bytes > 4 * reserve.PAGES_BYTES:
            self._try([Job(reserve.add_pages, (), {})])
            self._checkpoint("PASSIVE")  # their blocks are taken now

    def _restart_log(self) -> None:
        """The next commit is written over the log from its beginning; the file keeps its room."""
        self._checkpoint("RESTART")

    def _drop_ballast(self) -> None:
        self._space.drop_ballast()
        self._restart_log()  # may have needed that room

    def _checkpoint(self, mode: str) -> None:
        if self._checkpoints:
            with suppress(sqlite3.Error):
                self._connection.execute(f"PRAGMA wal_checkpoint({mode})")

    def _overwrite(self) -> bool:
        """Commit a row of our own in the place of a group that failed, which a restart might find in the WAL after all.

        Where this fails as well, the next commit does it, and until then the outcome is unknown.
        """
        try:
            self._connection.execute("UPDATE daemon SET commits = commits + 1")
        except sqlite3.Error:
            return False
        self.commits += 1
        return True

    def _is_full(self, error: sqlite3.Error) -> bool:
        """Whether there was no room. A quota that is used up is an I/O error to SQLite, so the disk is asked."""
        return code(error) == sqlite3.SQLITE_FULL or (is_damage(error) and not self._space.takes_writes())

    def _run_jobs(self, group: list[Job[Any]], tried: list[Job[Any]]) -> None:
        """Run each job in a savepoint of its own. Raises sqlite3.Error where the whole transaction is lost."""
        tx = WriteTx(self._connection, self._clock)
        end = time.monotonic() + GROUP_SECONDS
        for job in group:
            tried.append(job)
            job.error = None
            self._connection.execute("SAVEPOINT job")
            try:
                job.result = job.function(tx, *job.args, **job.kwargs)
            except BaseException as error:
                if is_damage(error) or code(error) == sqlite3.SQLITE_FULL:
                    raise
                if not self._connection.in_transaction:  # some errors end the transaction, not the job
                    raise sqlite3.OperationalError(f"the transaction was lost: {error}") from error
                self._connection.execute("ROLLBACK TO job")
                job.error = error.with_traceback(error.__traceback__ and error.__traceback__.tb_next)
            self._connection.execute("RELEASE job")
            if time.monotonic() >= end:
                return

    def _reopen(self, error: sqlite3.Error) -> None:
        """Open the file again after an error that leaves open what it holds, and check it where it may be damaged.

        The readers stay, and with them the index of the WAL: a COMMIT whose sync failed is then not in the database,
        and what it wrote is overwritten by the next one.
        """
        self._connection.close()
        try:
            self._connection = self._connect()
            verdict = "ok"
            if is_damage(error):
                (verdict,) = self._connection.execute("PRAGMA integrity_check(1)").fetchone()
        except (sqlite3.DatabaseError, UnicodeDecodeError) as failure:
            if isinstance(failure, sqlite3.Error) and not is_damage(failure):
                raise
            verdict = str(failure)
        if verdict != "ok":
            raise DatabaseDamaged(f"{self._path}: {verdict}") from error

    def _counted(self) -> int:
        return count_commits(ReadTx(self._connection, self._clock))

    def _connect(self) -> sqlite3.Connection:
        connection = sqlite3.connect(self._path, isolation_level=None, check_same_thread=False)
        (pages,) = connection.execute("PRAGMA page_count").fetchone()
        if pages == 0:  # later it would be a write without an effect
            connection.execute("PRAGMA auto_vacuum = INCREMENTAL")
        connection.execute("PRAGMA temp_store = MEMORY")
        connection.execute("PRAGMA journal_mode = WAL")
        connection.execute("PRAGMA synchronous = FULL")
        connection.execute("PRAGMA foreign_keys = ON")
        connection.execute(f"PRAGMA wal_autocheckpoint = {1000 if self._checkpoints else 0}")
        if self._checkpoints:
            connection.execute(f"PRAGMA journal_size_limit = {reserve.WAL_LIMIT_BYTES}")
        return connection


def _kind(error: sqlite3.Error, *, is_full: bool) -> type[Exception]:
    """What callers are told of a group that was not committed."""
    if isinstance(error, CommitUnknown):
        return CommitUnknown
    return StorageFull if is_full else sqlite3.OperationalError
