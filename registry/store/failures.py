"""What SQLite's errors mean for what was being written."""

from __future__ import annotations

import sqlite3


class DatabaseDamaged(Exception):
    """The file is no database, or SQLite's own check found damage after an I/O error. Nothing is written any more."""


class CommitUnknown(sqlite3.OperationalError):
    """A COMMIT failed, and it can't be ruled out that what it wrote is there after the next start."""


def is_damage(error: BaseException) -> bool:
    """Whether after this error the file itself is in doubt (https://sqlite.org/rescode.html)."""
    return isinstance(error, sqlite3.Error) and code(error) in {sqlite3.SQLITE_IOERR, sqlite3.SQLITE_CORRUPT}


def code(error: BaseException) -> int:
    """The primary result code of SQLite; 0 for an error that has none."""
    return getattr(error, "sqlite_errorcode", 0) & 0xFF


def unknown(error: sqlite3.Error) -> CommitUnknown:
    in_doubt = CommitUnknown(str(error))
    in_doubt.sqlite_errorcode = error.sqlite_errorcode
    return in_doubt


def closed() -> sqlite3.Error:
    return sqlite3.OperationalError("the database is closed")
