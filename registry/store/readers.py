"""Connections that only read: one for the event loop, and some for threads."""

from __future__ import annotations

import sqlite3
from contextlib import ExitStack, closing
from typing import TYPE_CHECKING, Any, Concatenate, ParamSpec, TypeVar

import trio

from registry.store.transactions import OneStatement, ReadTx

if TYPE_CHECKING:
    from collections.abc import Callable
    from pathlib import Path

    from registry.store.clock import Clock
    from registry.store.hops import Hops

P = ParamSpec("P")
T = TypeVar("T")


_RECALLED = 1024
"""Results that are kept at most."""


class Readers:
    """The file has to be there, and whoever writes it open it first and close it last."""

    def __init__(self, path: Path, hops: Hops, clock: Clock, threads: int) -> None:
        self._path = path
        self._hops = hops
        self.clock = clock
        self._threads = threads
        self._loop_reader: sqlite3.Connection
        self._idle_readers: list[sqlite3.Connection] = []
        self._reader_places = trio.CapacityLimiter(threads)
        self._recalled: dict[tuple[Any, ...], Any] = {}
        self._recalled_version: object = None

    def open_readers(self) -> None:
        """Raises sqlite3.Error."""
        with ExitStack() as opened:
            self._loop_reader, *self._idle_readers = [
                opened.enter_context(closing(self._connect_reader())) for _ in range(1 + self._threads)
            ]
            opened.pop_all()

    def close_readers(self) -> None:
        for reader in [self._loop_reader, *self._idle_readers]:
            reader.close()

    def read_now(self, function: Callable[Concatenate[ReadTx, P], T], *args: P.args, **kwargs: P.kwargs) -> T:
        """A read on the event loop, for what takes microseconds: a few rows found by index."""
        return self._read(self._loop_reader, function, args, kwargs)

    def ask_now(self, function: Callable[Concatenate[ReadTx, P], T], *args: P.args, **kwargs: P.kwargs) -> T:
        """Likewise, of a function that executes one statement and fetches all its rows: at half the price."""
        return function(OneStatement(self._loop_reader, self.clock), *args, **kwargs)

    def recall_now(self, function: Callable[Concatenate[ReadTx, P], T], *args: P.args, **kwargs: P.kwargs) -> T:
        """Likewise, for what is asked again and again: while nothing is committed, the result is what it was before.

        Everybody gets the same result, so it has to be a value, and a small one.
        """
        version = self.version_now()
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

    def version_now(self) -> object:
        """What is another value as soon as something was committed, by this process or another, or if nobody can tell.

        SQLite tells by what makes it read its pages again (PRAGMA data_version).
        """
        try:
            return self._loop_reader.execute("PRAGMA data_version").fetchone()
        except sqlite3.Error:  # whoever reads a row next will say so
            return object()

    async def read(self, function: Callable[Concatenate[ReadTx, P], T], *args: P.args, **kwargs: P.kwargs) -> T:
        """A read in a thread, for what can be long."""
        return await self._read_by(self._hops, function, args, kwargs)

    async def _read_by(
        self, hops: Hops, function: Callable[..., T], args: tuple[Any, ...], kwargs: dict[str, Any]
    ) -> T:
        async with self._reader_places:
            reader = self._idle_readers.pop()
            try:
                return await hops(self._read, reader, function, args, kwargs)
            finally:
                self._idle_readers.append(reader)

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
