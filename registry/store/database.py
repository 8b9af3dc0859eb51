"""The SQLite file: one writer that commits in groups, readers beside it.

A transaction is a function. ``await database.write(fn, *args)`` calls ``fn(tx, *args)`` inside a transaction and
returns its result after COMMIT; an exception rolls back what this one function did and is raised to its caller.
"""

from __future__ import annotations

import sqlite3
from contextlib import ExitStack, closing
from typing import TYPE_CHECKING, Any, Concatenate, ParamSpec, TypeVar

import trio

from registry.store.clock import Clock
from registry.store.transactions import OneStatement, ReadTx
from registry.store.writer import Writer

if TYPE_CHECKING:
    from collections.abc import Callable
    from pathlib import Path

    from registry.store.hops import Hops
    from registry.store.transactions import WriteTx
    from registry.tally import Histogram

P = ParamSpec("P")
T = TypeVar("T")

READERS = 4
"""Connections for reads that run in threads."""

_RECALLED = 1024
"""Results that are kept at most."""


class Database:
    """Open it with ``open``, keep ``run`` going in a nursery, close it last."""

    def __init__(self, path: Path, hops: Hops, clock: Clock | None = None, *, checkpoints: bool = True) -> None:
        self._path = path
        self._hops = hops.with_own_threads(1 + READERS)
        self._long_hops = hops.unwatched()
        self.clock = clock or Clock()
        self._writer = Writer(path, self._hops, self.clock, checkpoints=checkpoints)
        self._loop_reader: sqlite3.Connection
        self._idle_readers: list[sqlite3.Connection] = []
        self._reader_places = trio.CapacityLimiter(READERS)
        self._recalled: dict[tuple[Any, ...], Any] = {}
        self._recalled_version = 0

    async def open(self) -> list[str]:
        """Open or create the file; the names of the migrations applied. Raises DatabaseTooNew, sqlite3.Error."""
        return await self._hops(self._open)

    def _open(self) -> list[str]:
        with ExitStack() as opened:
            applied = self._writer.open()
            opened.callback(self._writer.close)
            self._loop_reader, *self._idle_readers = [
                opened.enter_context(closing(self._connect_reader())) for _ in range(1 + READERS)
            ]
            opened.pop_all()
        return applied

    async def close(self) -> None:
        """Close every connection, the writer last: it checkpoints, and leaves one file."""
        await self._hops(self._close)

    def _close(self) -> None:
        for reader in [self._loop_reader, *self._idle_readers]:
            reader.close()
        self._writer.close()

    @property
    def changes(self) -> int:
        """How many commits changed something since the database was opened."""
        return self._writer.changes

    @property
    def waits(self) -> Histogram:
        """How long transactions waited for the writer (see Writer)."""
        return self._writer.waits

    async def log_bytes(self) -> int:
        """The size of the write-ahead log's file, which stays when the log is begun anew."""
        return await self._hops(self._log_bytes)

    def _log_bytes(self) -> int:
        try:
            return self._path.with_name(f"{self._path.name}-wal").stat().st_size
        except FileNotFoundError:
            return 0

    def read_now(self, function: Callable[Concatenate[ReadTx, P], T], *args: P.args, **kwargs: P.kwargs) -> T:
        """A read on the event loop, for what takes microseconds: a few rows found by index."""
        return self._read(self._loop_reader, function, args, kwargs)

    def ask_now(self, function: Callable[Concatenate[ReadTx, P], T], *args: P.args, **kwargs: P.kwargs) -> T:
        """Likewise, of a function that executes one statement and fetches all its rows: at half the price."""
        return function(OneStatement(self._loop_reader, self.clock), *args, **kwargs)

    def recall_now(self, function: Callable[Concatenate[ReadTx, P], T], *args: P.args, **kwargs: P.kwargs) -> T:
        """Likewise, for what is asked again and again: while nothing is committed, the result is what it was before.

        Everybody gets the same result, so it has to be a value, and a small one. Whether there was a commit, of this
        process or another, SQLite tells by what makes it read its pages again (PRAGMA data_version).
        """
        (version,) = self._loop_reader.execute("PRAGMA data_version").fetchone()
        if version != self._recalled_version:
            self._recalled.clear()
            self._recalled_version = version
        key = (function, *args, *kwargs.items())
        try:
            result: T = self._recalled[key]
        except KeyError:
            result = self.ask_now(function, *args, **kwargs)  # of this version, or of a later one
            if len(self._recalled) >= _RECALLED:
                del self._recalled[next(iter(self._recalled))]
            self._recalled[key] = result
        return result

    async def read(self, function: Callable[Concatenate[ReadTx, P], T], *args: P.args, **kwargs: P.kwargs) -> T:
        """A read in a thread, for what can be long."""
        async with self._reader_places:
            reader = self._idle_readers.pop()
            try:
                return await self._hops(self._read, reader, function, args, kwargs)
            finally:
                self._idle_readers.append(reader)

    async def read_long(self, function: Callable[Concatenate[ReadTx, P], T], *args: P.args, **kwargs: P.kwargs) -> T:
        """A read that may take many seconds without anything being wrong with the disk."""
        async with self._reader_places:
            reader = self._idle_readers.pop()
            try:
                return await self._long_hops(self._read, reader, function, args, kwargs)
            finally:
                self._idle_readers.append(reader)

    async def write(self, function: Callable[Concatenate[WriteTx, P], T], *args: P.args, **kwargs: P.kwargs) -> T:
        """Run the function in a transaction; returns after COMMIT (see Writer.write)."""
        return await self._writer.write(function, *args, **kwargs)

    async def run(self) -> None:
        """Commit what callers queue until cancelled (see Writer.run)."""
        await self._writer.run()

    def _connect_reader(self) -> sqlite3.Connection:
        uri = f"{self._path.absolute().as_uri()}?mode=ro"
        return sqlite3.connect(uri, uri=True, isolation_level=None, check_same_thread=False)

    def _read(
        self,
        connection: sqlite3.Connection,
        function: Callable[..., T],
        args: tuple[Any, ...],
        kwargs: dict[str, Any],
    ) -> T:
        connection.execute("BEGIN")
        try:
            return function(ReadTx(connection, self.clock), *args, **kwargs)
        finally:
            if connection.in_transaction:  # an I/O error ends it
                connection.execute("COMMIT")
