"""Snapshots of the database: one file that any tool may copy at any time, and what makes copying it back safe."""

from __future__ import annotations

import itertools
import math
import os
import shutil
import sqlite3
import time
from contextlib import closing, contextmanager
from typing import TYPE_CHECKING

from registry.store import folder

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

_MAGIC = b"SQLite format 3\x00"
_VERSIONS = slice(18, 20)
"""Where the header says how the file is journaled (https://sqlite.org/fileformat.html, section 1.3)."""

_ROLLBACK, _WAL = b"\x01\x01", b"\x02\x02"

_STEPS = 10_000
"""After how many of SQLite's steps, about a millisecond, the clock is looked at."""


class SnapshotDamaged(sqlite3.DatabaseError):
    """What was written did not pass SQLite's checks; the snapshot before it stays."""


def take(database: Path, target: Path, *, limit_seconds: float = math.inf) -> None:
    """Write a snapshot of what is committed now, check it, and put it in the place of the one before, durably.

    Raises SnapshotDamaged, sqlite3.Error (also where it would take longer than the limit), OSError.
    """
    deadline = time.monotonic() + limit_seconds
    target.parent.mkdir(mode=0o700, exist_ok=True)
    new = target.with_name(f"{target.name}.new")
    for leftover in (new, new.with_name(f"{new.name}-journal")):
        leftover.unlink(missing_ok=True)
    try:
        with reading(database, deadline) as connection:
            connection.execute("VACUUM INTO ?", (str(new),))
        check(new, deadline)
    except sqlite3.Error:
        new.unlink(missing_ok=True)
        raise
    descriptor = os.open(new, os.O_RDONLY | os.O_CLOEXEC)
    try:
        os.fsync(descriptor)
    finally:
        os.close(descriptor)
    new.rename(target)
    folder.sync(target.parent)


@contextmanager
def reading(path: Path, deadline: float) -> Iterator[sqlite3.Connection]:
    """A connection that only reads, and is interrupted at the deadline."""
    uri = f"{path.absolute().as_uri()}?mode=ro"
    with closing(sqlite3.connect(uri, uri=True, isolation_level=None)) as connection:
        connection.set_progress_handler(lambda: time.monotonic() >= deadline, _STEPS)
        yield connection


def check(path: Path, deadline: float = math.inf) -> None:
    """SQLite's own checks of the whole file. Raises SnapshotDamaged, sqlite3.Error."""
    with reading(path, deadline) as connection:
        (verdict,) = connection.execute("PRAGMA integrity_check(1)").fetchone()
        if verdict != "ok":
            raise SnapshotDamaged(f"{path}: {verdict}")
        broken = connection.execute("PRAGMA foreign_key_check").fetchone()
        if broken is not None:
            raise SnapshotDamaged(f"{path}: a row of {broken[0]} refers to a row that is not there")


def is_snapshot(database: Path) -> bool:
    """Whether the file is a snapshot that was copied here: the live database is journaled by WAL."""
    return _versions(database) == _ROLLBACK


def is_closed(database: Path) -> bool:
    """Whether the file was a live database, or is what litestream restores of one, and nothing is left in a log."""
    log = database.with_name(f"{database.name}-wal")
    return _versions(database) == _WAL and not (log.exists() and log.stat().st_size)


def make_of_closed(database: Path, target: Path) -> None:
    """A snapshot of a database that is closed differs from it by how the header says that it is journaled."""
    shutil.copyfile(database, target)
    with target.open("r+b") as file:
        file.seek(_VERSIONS.start)
        file.write(_ROLLBACK)


def _versions(database: Path) -> bytes | None:
    """None where it is no database."""
    try:
        with database.open("rb") as file:
            header = file.read(100)
    except FileNotFoundError:
        return None
    return header[_VERSIONS] if header.startswith(_MAGIC) else None


def set_aside_wal(database: Path) -> list[Path]:
    """Move away the -wal and -shm of another database, which SQLite would play into this one; where they are now.

    One that ``backups.put_back`` has kept beside its database already only loses this name.
    """
    moved = []
    for name in (f"{database.name}-wal", f"{database.name}-shm"):
        stale = database.with_name(name)
        if not stale.exists():
            continue
        if stale.stat().st_nlink > 1:
            stale.unlink()
        else:
            moved.append(stale.rename(_free_name(stale)))
    folder.sync(database.parent)
    return moved


def end_interrupted(database: Path) -> None:
    """Remove what a ``backups.put_back`` left that was cut short before the snapshot stood.

    The second names of the database that lives on, and of its -wal: who opened it by those, beside a daemon or after
    one, would write an old -wal into it.
    """
    database.with_name(f"{database.name}.new").unlink(missing_ok=True)
    if not database.exists():
        return
    for aside in database.parent.glob(f"{database.name}.before-*"):
        if not aside.name.endswith(("-wal", "-shm")) and aside.samefile(database):
            aside.with_name(f"{aside.name}-wal").unlink(missing_ok=True)
            aside.unlink()


def _free_name(path: Path) -> Path:
    """What earlier restorations have set aside stays."""
    endings = itertools.chain([".stale"], (f".stale-{number}" for number in itertools.count(2)))
    names = (path.with_name(f"{path.name}{ending}") for ending in endings)
    return next(name for name in names if not name.exists())
