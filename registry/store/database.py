"""The SQLite file: one writer that commits in groups, readers beside it.

A transaction is a function. ``await database.write(fn, *args)`` calls ``fn(tx, *args)`` inside a transaction and
returns its result after COMMIT; an exception rolls back what this one function did and is raised to its caller.
"""

from __future__ import annotations

import math
import sqlite3
import time
from typing import TYPE_CHECKING, Any, Concatenate, Generic, ParamSpec, TypeVar

import trio

from registry.store import schema

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator
    from pathlib import Path

    from registry.store.hops import Hops

P = ParamSpec("P")
T = TypeVar("T")

GROUP_LIMIT = 256
"""Most transactions that share one COMMIT."""

READERS = 4
"""Connections for reads that run in threads."""


class DatabaseDamaged(Exception):
    """SQLite's own check found damage after an I/O error. Nothing is written any more."""


class ReadTx:
    """A transaction that only reads: one snapshot, at one moment."""

    __slots__ = ("_connection", "now_ms")

    def __init__(self, connection: sqlite3.Connection, now_ms: int) -> None:
        self._connection = connection
        self.now_ms = now_ms
        """Milliseconds since the epoch."""

    def execute(self, sql: str, *parameters: Any) -> sqlite3.Cursor:
        return self._connection.execute(sql, parameters)


class WriteTx(ReadTx):
    """A transaction that may write."""

    __slots__ = ()


class _Job(Generic[T]):
    """One function that waits for its COMMIT, and then its outcome."""

    __slots__ = ("args", "done", "error", "function", "kwargs", "result")

    def __init__(self, function: Callable[..., T], args: tuple[Any, ...], kwargs: dict[str, Any]) -> None:
        self.function, self.args, self.kwargs = function, args, kwargs
        self.done = trio.Event()
        self.error: BaseException | None = None
        self.result: T | None = None


class Database:
    """Open it with ``open``, keep ``run`` going in a nursery, close it last."""

    def __init__(self, path: Path, hops: Hops) -> None:
        self._path = path
        self._hops = hops
        self._send, self._receive = trio.open_memory_channel[_Job[Any]](float("inf"))
        self._writer: sqlite3.Connection
        self._loop_reader: sqlite3.Connection
        self._idle_readers: list[sqlite3.Connection] = []
        self._reader_places = trio.CapacityLimiter(READERS)
        self._commits = 0

    async def open(self) -> list[str]:
        """Open or create the file; the names of the migrations applied. Raises DatabaseTooNew, sqlite3.Error."""
        return await self._hops(self._open)

    def _open(self) -> list[str]:
        self._writer = self._connect_writer()
        try:
            applied = schema.migrate(self._writer)
        except BaseException:
            self._writer.close()
            raise
        self._commits = self._counted()
        self._loop_reader = self._connect_reader()
        self._idle_readers = [self._connect_reader() for _ in range(READERS)]
        return applied

    async def close(self) -> None:
        """Close every connection, the writer last: it checkpoints, and leaves one file."""
        await self._hops(self._close)

    def _close(self) -> None:
        for reader in [self._loop_reader, *self._idle_readers]:
            reader.close()
        self._writer.close()

    def read_now(self, function: Callable[Concatenate[ReadTx, P], T], *args: P.args, **kwargs: P.kwargs) -> T:
        """A read on the event loop, for what takes microseconds: a few rows found by index."""
        return _read(self._loop_reader, function, args, kwargs)

    async def read(self, function: Callable[Concatenate[ReadTx, P], T], *args: P.args, **kwargs: P.kwargs) -> T:
        """A read in a thread, for what can be long."""
        async with self._reader_places:
            reader = self._idle_readers.pop()
            try:
                return await self._hops(_read, reader, function, args, kwargs)
            finally:
                self._idle_readers.append(reader)

    async def write(self, function: Callable[Concatenate[WriteTx, P], T], *args: P.args, **kwargs: P.kwargs) -> T:
        """Run the function in a transaction; returns after COMMIT.

        Cancellation is noticed before the function is queued. From then on the call waits for its outcome.
        """
        await trio.lowlevel.checkpoint()
        job = _Job(function, args, kwargs)
        self._send.send_nowait(job)
        with trio.CancelScope(shield=True):
            await job.done.wait()
        if job.error is not None:
            raise job.error
        return job.result  # type: ignore[return-value]  # None only where T is

    async def run(self) -> None:
        """Commit what callers queue, in groups, until cancelled. Raises DatabaseDamaged, or what reopening raised."""
        try:
            async for job in self._receive:
                await self._commit_group([job, *self._waiting(GROUP_LIMIT - 1)])
        finally:
            for job in self._waiting(math.inf):
                job.error = sqlite3.OperationalError("the database is closed")
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

    async def _commit_group(self, group: list[_Job[Any]]) -> None:
        try:
            with trio.CancelScope(shield=True):
                await self._hops(self._commit, group)
        except BaseException as error:
            for job in group:
                job.error = error
            raise
        finally:
            for job in group:
                job.done.set()

    def _commit(self, group: list[_Job[Any]]) -> None:
        try:
            self._writer.execute("BEGIN IMMEDIATE")
            self._run_jobs(group)
            self._writer.execute("UPDATE commit_counter SET commits = commits + 1")
        except sqlite3.Error as error:
            if self._writer.in_transaction:
                self._writer.execute("ROLLBACK")
            _fail(group, error)
            return
        try:
            self._writer.execute("COMMIT")
        except sqlite3.Error as error:
            if not self._landed_after(error):
                _fail(group, error)
        else:
            self._commits += 1

    def _run_jobs(self, group: list[_Job[Any]]) -> None:
        """Run each job in a savepoint of its own. Raises sqlite3.Error where the whole transaction is lost."""
        tx = WriteTx(self._writer, _now_ms())
        for job in group:
            self._writer.execute("SAVEPOINT job")
            try:
                job.result = job.function(tx, *job.args, **job.kwargs)
            except BaseException as error:
                if not self._writer.in_transaction:  # SQLITE_FULL and its like end the transaction, not the job
                    raise sqlite3.OperationalError(f"the transaction was lost: {error}") from error
                self._writer.execute("ROLLBACK TO job")
                job.error = error
            self._writer.execute("RELEASE job")

    def _landed_after(self, error: sqlite3.Error) -> bool:
        """Whether the batch whose COMMIT raised is in the database: reopen it and ask its counter."""
        self._writer.close()
        self._writer = self._connect_writer()
        if getattr(error, "sqlite_errorcode", 0) & 0xFF in {sqlite3.SQLITE_IOERR, sqlite3.SQLITE_CORRUPT}:
            (verdict,) = self._writer.execute("PRAGMA integrity_check(1)").fetchone()
            if verdict != "ok":
                raise DatabaseDamaged(f"{self._path}: {verdict}") from error
        expected, self._commits = self._commits + 1, self._counted()
        return self._commits == expected

    def _counted(self) -> int:
        return count_commits(ReadTx(self._writer, _now_ms()))

    def _connect_writer(self) -> sqlite3.Connection:
        connection = sqlite3.connect(self._path, isolation_level=None, check_same_thread=False)
        connection.execute("PRAGMA journal_mode = WAL")
        connection.execute("PRAGMA synchronous = FULL")
        connection.execute("PRAGMA foreign_keys = ON")
        return connection

    def _connect_reader(self) -> sqlite3.Connection:
        uri = f"{self._path.absolute().as_uri()}?mode=ro"
        return sqlite3.connect(uri, uri=True, isolation_level=None, check_same_thread=False)


def count_commits(tx: ReadTx) -> int:
    """How many groups were committed; a write of its own, whatever it does, adds one."""
    (commits,) = tx.execute("SELECT commits FROM commit_counter").fetchone()
    return int(commits)


def _read(
    connection: sqlite3.Connection, function: Callable[..., T], args: tuple[Any, ...], kwargs: dict[str, Any]
) -> T:
    connection.execute("BEGIN")
    try:
        return function(ReadTx(connection, _now_ms()), *args, **kwargs)
    finally:
        connection.execute("COMMIT")


def _fail(group: list[_Job[Any]], error: sqlite3.Error) -> None:
    for job in group:
        job.error, job.result = error, None


def _now_ms() -> int:
    return time.time_ns() // 1_000_000
