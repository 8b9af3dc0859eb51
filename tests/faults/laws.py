"""What has to be true of a data folder at any moment, a crash included: asked of a copy, so that nothing is touched."""

from __future__ import annotations

import shutil
import sqlite3
import tempfile
from contextlib import closing
from pathlib import Path
from typing import Any

from registry.store.snapshot import is_snapshot


def broken_laws(data: Path) -> list[str]:
    """One sentence for each row without its bytes. No daemon may run."""
    if not (data / "registry.db").exists():
        return []
    with tempfile.TemporaryDirectory(prefix="cargohold-copy-") as copy:
        shutil.copy(data / "registry.db", copy)
        if (data / "registry.db-wal").exists() and not is_snapshot(data / "registry.db"):
            shutil.copy(data / "registry.db-wal", copy)
        with closing(sqlite3.connect(Path(copy) / "registry.db")) as database:
            database.row_factory = sqlite3.Row
            try:
                return _damage(database) or [*_blobs_without_file(database, data), *_short_uploads(database, data)]
            except sqlite3.DatabaseError as error:
                return [f"registry.db: {error}"]


def _damage(database: sqlite3.Connection) -> list[str]:
    found = [str(row[0]) for row in database.execute("PRAGMA integrity_check")]
    found += [f"row of {row[0]} without {row[2]}" for row in database.execute("PRAGMA foreign_key_check")]
    return [f"registry.db: {sentence}" for sentence in found if sentence != "ok"]


def _rows(database: sqlite3.Connection, table: str) -> list[dict[str, Any]]:
    """All of a table; none of one that the first start had not made yet when it was killed."""
    known = database.execute("SELECT 1 FROM sqlite_master WHERE name = ?", (table,)).fetchone()
    return [dict(row) for row in database.execute(f"SELECT * FROM {table}")] if known else []


def _blobs_without_file(database: sqlite3.Connection, data: Path) -> list[str]:
    sentences = []
    for row in _rows(database, "blob"):
        path = data / "blobs" / row["digest"].replace(":", "/")
        size = path.stat().st_size if path.exists() else None
        if size != row["size"] and row.get("damage") is None:
            sentences.append(f"blob {row['digest']} has a row with {row['size']} bytes and a file with {size}")
    return sentences


def _short_uploads(database: sqlite3.Connection, data: Path) -> list[str]:
    """A file may be missing: a crash came between the rename that published it and the COMMIT."""
    sentences = []
    for row in _rows(database, "upload"):
        path = data / "uploads" / row["id"]
        if path.exists() and path.stat().st_size < row["offset"]:
            sentences.append(f"upload {row['id']} is at {row['offset']} in {path.stat().st_size} bytes")
    return sentences
