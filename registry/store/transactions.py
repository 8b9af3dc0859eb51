"""What a function of the store works on: a transaction."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from registry.store.clock import wall_ms

if TYPE_CHECKING:
    import sqlite3

    from registry.store.clock import Clock


class ReadTx:
    """A transaction that only reads: one snapshot, at one moment."""

    __slots__ = ("_connection", "clock_ms", "now_ms")

    def __init__(self, connection: sqlite3.Connection, clock: Clock) -> None:
        self._connection = connection
        self.now_ms = wall_ms()
        """Milliseconds since the epoch, for display."""
        self.clock_ms = clock.now_ms()
        """Milliseconds on the daemon's clock, for ages."""

    def execute(self, sql: str, *parameters: Any) -> sqlite3.Cursor:
        return self._connection.execute(sql, parameters)


class OneStatement(ReadTx):
    """What executes a single statement, which sees one state by itself: it does without BEGIN and COMMIT."""

    __slots__ = ("_is_spent",)

    def __init__(self, connection: sqlite3.Connection, clock: Clock) -> None:
        super().__init__(connection, clock)
        self._is_spent = False

    def execute(self, sql: str, *parameters: Any) -> sqlite3.Cursor:
        if self._is_spent:
            raise RuntimeError("a second statement needs a transaction, or it might see another state")
        self._is_spent = True
        return self._connection.execute(sql, parameters)


class WriteTx(ReadTx):
    """A transaction that may write."""

    __slots__ = ()


def count_commits(tx: ReadTx) -> int:
    """How many groups were committed; a write of its own, whatever it does, adds one."""
    (commits,) = tx.execute("SELECT commits FROM daemon").fetchone()
    return int(commits)
