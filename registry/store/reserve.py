"""Room that SQLite's own files keep, so that a delete or the move of a tag takes none from a disk that is full.

The write-ahead log has its room from the start, and is written over rather than cut, unless it has grown large. The
database has unused pages, with their blocks on the disk, so that a few more rows don't make it longer.
"""

from __future__ import annotations

import os
from contextlib import suppress
from typing import TYPE_CHECKING

from registry.store import folder

if TYPE_CHECKING:
    import sqlite3
    from pathlib import Path

    from registry.store.transactions import WriteTx

WAL_BYTES = 4 * 1024 * 1024
"""What the log comes to by itself before SQLite begins it anew."""

WAL_LIMIT_BYTES = 64 * 1024 * 1024
"""What the log keeps at most when it is begun anew: under a long read, such as that of a snapshot, it only grows."""

_PIECE_BYTES = 1024 * 1024

PAGES = 128
PAGES_BYTES = PAGES * 4096


def lay_wal(database: Path, size: int) -> None:
    """Give the log of a database in WAL mode its room, if the disk has it. SQLite must not have the files open.

    What the log holds stays; zeros behind it, or alone, are no frames to SQLite. They are written and synced, with the
    log's name: SQLite syncs a folder only for a log that it has made itself, and blocks that were allocated and never
    written would leave it to the file system when they count.
    """
    with suppress(OSError):
        mode = database.stat().st_mode & 0o777
        descriptor = os.open(f"{database}-wal", os.O_RDWR | os.O_CREAT | os.O_CLOEXEC, mode)
        try:
            start = os.fstat(descriptor).st_size
            while start < size:
                start += os.pwrite(descriptor, bytes(min(size - start, _PIECE_BYTES)), start)
            os.fsync(descriptor)
        finally:
            os.close(descriptor)
        folder.sync(database.parent)


def has_pages(connection: sqlite3.Connection) -> bool:
    (unused,) = connection.execute("PRAGMA freelist_count").fetchone()
    return int(unused) >= PAGES // 2


def add_pages(tx: WriteTx) -> None:
    """Pages that a table has had for a moment; ``secure_delete`` writes them, so that they are no holes in the file."""
    tx.execute("PRAGMA secure_delete = ON")
    tx.execute("CREATE TABLE reserve (zeros BLOB)")
    tx.execute("INSERT INTO reserve VALUES (zeroblob(?))", PAGES_BYTES)
    tx.execute("DROP TABLE reserve")
