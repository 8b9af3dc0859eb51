"""Brings a database file to the schema of this program."""

from __future__ import annotations

import sqlite3
from functools import partial
from importlib import resources
from typing import TYPE_CHECKING

import sqlite_utils
from sqlite_utils.migrations import Migrations

if TYPE_CHECKING:
    from registry.store.transactions import ReadTx

_SET = "cargohold"

LITESTREAM = r"\_litestream\_"
"""How the names of its tables begin, as a pattern of LIKE that escapes by a backslash."""


class DatabaseTooNew(Exception):
    """The database was written by a later release; this one would not understand it."""


def migrate(connection: sqlite3.Connection) -> list[str]:
    """Apply the migrations that are missing; their names. Raises DatabaseTooNew, with the database untouched."""
    require_known(connection)
    database = sqlite_utils.Database(connection)
    migrations, _ = _load()
    pending = [migration.name for migration in migrations.pending(database)]
    migrations.apply(database)
    # apply makes this index in a transaction after that of the table, and only where there was no table.
    table = database.table(migrations.migrations_table)
    table.create_index(["migration_set", "name"], unique=True, if_not_exists=True)
    return pending


def require_known(connection: sqlite3.Connection) -> None:
    """Raises DatabaseTooNew, sqlite3.DatabaseError."""
    migrations, known = _load()
    unknown = sorted(_applied(migrations, sqlite_utils.Database(connection)) - known)
    if unknown:
        raise DatabaseTooNew(
            f"the database was written by a later release of cargohold (its schema has {', '.join(unknown)}); "
            "install that release, or restore a backup made by this one"
        )


def is_outdated(connection: sqlite3.Connection) -> bool:
    """Whether an earlier release has written the database: migrations were applied, and more are to come."""
    database = sqlite_utils.Database(connection)
    migrations, _ = _load()
    return bool(_applied(migrations, database)) and bool(list(migrations.pending(database)))


def is_replicated(tx: ReadTx) -> bool:
    """Whether litestream has ever had the database: it keeps tables of its own."""
    return bool(tx.execute("SELECT 1 FROM sqlite_master WHERE name LIKE ? ESCAPE '\\'", f"{LITESTREAM}%").fetchone())


def _load() -> tuple[Migrations, set[str]]:
    migrations = Migrations(_SET)
    names = set()
    for file in sorted(resources.files("registry.migrations").iterdir(), key=lambda file: file.name):
        if file.name.endswith(".sql"):
            name = file.name.removesuffix(".sql")
            migrations(name=name)(partial(_run_script, file.read_text("utf-8")))  # type: ignore[type-var]
            names.add(name)
    return migrations, names


def _applied(migrations: Migrations, database: sqlite_utils.Database) -> set[str]:
    """Their names. Raises sqlite3.DatabaseError, also where one bit of the table's definition has turned."""
    try:
        return {applied.name for applied in migrations.applied(database)}
    except KeyError as error:
        table = migrations.migrations_table
        raise sqlite3.DatabaseError(f"the database is damaged: its table {table} has no column {error}") from error


def _run_script(sql: str, database: sqlite_utils.Database) -> None:
    """Run the statements inside the transaction that sqlite-utils opened (``executescript`` would end it)."""
    statement = ""
    for line in sql.splitlines(keepends=True):
        statement += line
        if sqlite3.complete_statement(statement):
            database.conn.execute(statement)
            statement = ""
    if statement.strip():
        raise ValueError(f"a migration ends in the middle of a statement: {statement!r}")
