"""The SQLite file: one writer that commits in groups, readers beside it.

A transaction is a function. ``await database.write(fn, *args)`` calls ``fn(tx, *args)`` inside a transaction and
returns its result after COMMIT; an exception rolls back what this one function did and is raised to its caller.
"""

from __future__ import annotations

from contextlib import ExitStack
from typing import TYPE_CHECKING, Concatenate, ParamSpec, TypeVar

from registry.store.clock import Clock
from registry.store.readers import Readers
from registry.store.writer import Writer

if TYPE_CHECKING:
    from collections.abc import Callable
    from pathlib import Path

    from registry.store.hops import Hops
    from registry.store.jobs import Job
    from registry.store.transactions import ReadTx, WriteTx
    from registry.tally import Histogram

P = ParamSpec("P")
T = TypeVar("T")

READERS = 4
"""Connections for reads that run in threads."""


class Database(Readers):
    """Open it with ``open``, keep ``run`` going in a nursery, close it last."""

    def __init__(self, path: Path, hops: Hops, clock: Clock | None = None, *, checkpoints: bool = True) -> None:
        super().__init__(path, hops.with_own_threads(1 + READERS), clock or Clock(), READERS)
        self._long_hops = hops.unwatched()
        self._writer = Writer(path, self._hops, self.clock, checkpoints=checkpoints)

    async def open(self) -> list[str]:
        """Open or create the file; the names of the migrations applied. Raises DatabaseTooNew, sqlite3.Error."""
        return await self._hops(self._open)

    def _open(self) -> list[str]:
        with ExitStack() as opened:
            applied = self._writer.open()
            opened.callback(self._writer.close)
            self.open_readers()
            opened.pop_all()
        return applied

    async def close(self) -> None:
        """Close every connection, the writer last: it checkpoints, and leaves one file."""
        self._loop_reader.close()  # on the loop, which may still read with it: in a thread that crashed the process
        await self._hops(self._close)

    def _close(self) -> None:
        self.close_readers()
        self._writer.close()

    @property
    def changes(self) -> int:
        """How many commits changed something since the database was opened."""
        return self._writer.changes

    @property
    def waits(self) -> Histogram:
        """How long transactions waited for the writer (see Writer)."""
        return self._writer.waits

    def version_now(self) -> object:
        """As of Readers, and cheaper: only this process writes (what another one might is not noticed), and it counts.

        A group can be read before it is counted, while COMMIT goes on with a checkpoint, or the writer waits its turn.
        """
        return super().version_now() if self._writer.is_committing else self._writer.commits

    async def log_bytes(self) -> int:
        """The size of the write-ahead log's file, which stays when the log is begun anew."""
        return await self._hops(self._log_bytes)

    def _log_bytes(self) -> int:
        try:
            return self._path.with_name(f"{self._path.name}-wal").stat().st_size
        except FileNotFoundError:
            return 0

    async def read_long(self, function: Callable[Concatenate[ReadTx, P], T], *args: P.args, **kwargs: P.kwargs) -> T:
        """A read that may take many seconds without anything being wrong with the disk."""
        return await self._read_by(self._long_hops, function, args, kwargs)

    async def write(self, function: Callable[Concatenate[WriteTx, P], T], *args: P.args, **kwargs: P.kwargs) -> T:
        """Run the function in a transaction; returns after COMMIT (see Writer.write)."""
        return await self._writer.write(function, *args, **kwargs)

    def queue(self, job: Job[T]) -> Job[T]:
        """Have the job run in a transaction, without waiting for it (see Writer.queue)."""
        return self._writer.queue(job)

    async def run(self) -> None:
        """Commit what callers queue until cancelled (see Writer.run)."""
        await self._writer.run()
