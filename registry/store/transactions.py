"""What a function of the store works on: a transaction."""

from __future__ import annotations

import time
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    import sqlite3


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


def count_commits(tx: ReadTx) -> int:
    """How many groups were committed; a write of its own, whatever it does, adds one."""
    (commits,) = tx.execute("SELECT commits FROM commit_counter").fetchone()
    return int(commits)


def now_ms() -> int:
    """Milliseconds since the epoch."""
    return time.time_ns() // 1_000_000
