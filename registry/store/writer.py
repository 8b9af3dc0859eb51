"""The one writer: functions that callers queue are run and committed in groups.

Each function has a savepoint of its own inside one transaction; all of them wait for the same COMMIT, and an exception
rolls back what its function did and no more.
"""

from __future__ import annotations

import math
import sqlite3
import time
from typing import TYPE_CHECKING, Any, Concatenate, Generic, ParamSpec, TypeVar

import trio

from registry.store import schema
from registry.store.transactions import ReadTx, WriteTx, count_commits, now_ms

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator
    from pathlib import Path

    from registry.store.hops import Hops

P = ParamSpec("P")
T = TypeVar("T")

GROUP_LIMIT = 256
"""Most transactions that share one COMMIT."""

GROUP_SECONDS = 0.05
"""How long a group may run before it is committed; the jobs that are left make the next one."""


class DatabaseDamaged(Exception):
    """The file is no database, or SQLite's own check found damage after an I/O error. Nothing is written any more."""


class _Job(Generic[T]):
    """One function that waits for its COMMIT, and then its outcome."""

    __slots__ = ("args", "done", "error", "function", "kwargs", "result")

    def __init__(self, function: Callable[..., T], args: tuple[Any, ...], kwargs: dict[str, Any]) -> None:
        self.function, self.args, self.kwargs = function, args, kwargs
        self.done = trio.Event()
        self.error: BaseException | None = None
        self.result: T | None = None


class Writer:
    """The connection that writes, and the queue in front of it. Keep ``run`` going in a nursery."""

    def __init__(self, path: Path, hops: Hops) -> None:
        self._path = path
        self._hops = hops
        self._send, self._receive = trio.open_memory_channel[_Job[Any]](math.inf)
        self._connection: sqlite3.Connection
        self._commits = 0

    def open(self) -> list[str]:
        """Open or create the file; the names of the migrations applied. Raises DatabaseTooNew, DatabaseDamaged."""
        try:
            self._connection = self._connect()
        except sqlite3.DatabaseError as error:
            raise DatabaseDamaged(f"{self._path} can't be opened: {error}") from error
        try:
            applied = schema.migrate(self._connection)
            self._commits = self._counted()
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
        await trio.lowlevel.checkpoint()
        job = _Job(function, args, kwargs)
        try:
            self._send.send_nowait(job)
        except trio.BrokenResourceError:
            raise _closed() from None
        with trio.CancelScope(shield=True):
            await job.done.wait()
        try:
            if job.error is not None:
                raise job.error
            return job.result  # type: ignore[return-value]  # None only where T is
        finally:
            del job  # a cycle with the error's traceback would keep the arguments

    async def run(self) -> None:
        """Commit what callers queue, in groups, until cancelled. Raises DatabaseDamaged, or what reopening raised."""
        try:
            async for job in self._receive:
                group = [job, *self._waiting(GROUP_LIMIT - 1)]
                while group:
                    group = await self._commit_group(group)
        finally:
            for job in self._waiting(math.inf):
                job.error = _closed()
                job.done.set()
            self._receive.close()

    def _waiting(self, limit: float) -> Iterator[_Job[Any]]:
        """The jobs that wait already, at most ``limit`` of them."""
        while limit > 0:
            try:
                yield self._receive.receive_nowait()
            except trio.WouldBlock:
                return
            limit -= 1

    async def _commit_group(self, group: list[_Job[Any]]) -> list[_Job[Any]]:
        """Run and commit a group, as much of it as GROUP_SECONDS allow; the jobs that are left."""
        tried = group
        try:
            with trio.CancelScope(shield=True):
                tried = await self._hops(self._commit, group)
        except BaseException as error:
            _fail(tried, error)
            raise
        finally:
            for job in tried:
                job.done.set()
        return group[len(tried) :]

    def _commit(self, group: list[_Job[Any]]) -> list[_Job[Any]]:
        """Give each job that is tried its outcome; those jobs. Raises DatabaseDamaged, and what reopening raises."""
        tried: list[_Job[Any]] = []
        try:
            self._connection.execute("BEGIN IMMEDIATE")
            self._run_jobs(group, tried)
            self._connection.execute("UPDATE commit_counter SET commits = commits + 1")
        except sqlite3.Error as error:
            if self._connection.in_transaction:
                self._connection.execute("ROLLBACK")
            _fail(tried or group, error)
            if _is_damage(error):
                self._reopen(error)
            return tried or group
        try:
            self._connection.execute("COMMIT")
        except sqlite3.Error as error:
            self._reopen(error)
            expected, self._commits = self._commits + 1, self._counted()
            if self._commits != expected:
                _fail(tried, error)
        else:
            self._commits += 1
        return tried

    def _run_jobs(self, group: list[_Job[Any]], tried: list[_Job[Any]]) -> None:
        """Run each job in a savepoint of its own. Raises sqlite3.Error where the whole transaction is lost."""
        tx = WriteTx(self._connection, now_ms())
        end = time.monotonic() + GROUP_SECONDS
        for job in group:
            tried.append(job)
            self._connection.execute("SAVEPOINT job")
            try:
                job.result = job.function(tx, *job.args, **job.kwargs)
            except BaseException as error:
                if _is_damage(error):
                    raise
                if not self._connection.in_transaction:  # SQLITE_FULL and its like end the transaction, not the job
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
        self._connection = self._connect()
        if _is_damage(error):
            (verdict,) = self._connection.execute("PRAGMA integrity_check(1)").fetchone()
            if verdict != "ok":
                raise DatabaseDamaged(f"{self._path}: {verdict}") from error

    def _counted(self) -> int:
        return count_commits(ReadTx(self._connection, now_ms()))

    def _connect(self) -> sqlite3.Connection:
        connection = sqlite3.connect(self._path, isolation_level=None, check_same_thread=False)
        connection.execute("PRAGMA journal_mode = WAL")
        connection.execute("PRAGMA synchronous = FULL")
        connection.execute("PRAGMA foreign_keys = ON")
        return connection


def _is_damage(error: BaseException) -> bool:
    """Whether after this error the file itself is in doubt (https://sqlite.org/rescode.html)."""
    code = getattr(error, "sqlite_errorcode", 0) & 0xFF
    return isinstance(error, sqlite3.Error) and code in {sqlite3.SQLITE_IOERR, sqlite3.SQLITE_CORRUPT}


def _fail(jobs: list[_Job[Any]], error: BaseException) -> None:
    """Give each job an error of its own: each is raised in another task."""
    for job in jobs:
        job.result = None
        job.error = sqlite3.OperationalError(str(error))
        job.error.__cause__ = error


def _closed() -> sqlite3.Error:
    return sqlite3.OperationalError("the database is closed")
