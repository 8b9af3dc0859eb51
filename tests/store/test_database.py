"""The group-committing writer: what it promises to one caller, to many, and when SQLite fails."""

from __future__ import annotations

import os
import sqlite3
from contextlib import asynccontextmanager
from typing import TYPE_CHECKING, Any

import pytest
import sqlite_utils
import trio

from registry.store.database import Database, DatabaseDamaged, ReadTx, WriteTx
from registry.store.hops import Hops
from registry.store.schema import DatabaseTooNew

if TYPE_CHECKING:
    from collections.abc import AsyncIterator
    from pathlib import Path


@asynccontextmanager
async def opened(path: Path) -> AsyncIterator[Database]:
    database = Database(path, Hops())
    await database.open()
    async with trio.open_nursery() as nursery:
        nursery.start_soon(database.run)
        yield database
        nursery.cancel_scope.cancel()
    await database.close()


@pytest.fixture
async def database(tmp_path: Path) -> AsyncIterator[Database]:
    async with opened(tmp_path / "registry.db") as database:
        yield database


def add(tx: WriteTx, name: str) -> int:
    return tx.execute(
        "INSERT INTO repository (name, created_ms) VALUES (?, ?) RETURNING id", name, tx.now_ms
    ).fetchone()[0]


def names(tx: ReadTx) -> list[str]:
    return [name for (name,) in tx.execute("SELECT name FROM repository ORDER BY name")]


async def test_what_was_written_is_read_by_both_kinds_of_readers_and_after_reopening(
    database: Database, tmp_path: Path
) -> None:
    assert await database.write(add, "a") == 1
    assert database.read_now(names) == await database.read(names) == ["a"]
    with sqlite3.connect(f"file:{tmp_path}/registry.db?mode=ro", uri=True) as other:
        assert other.execute("SELECT name FROM repository").fetchall() == [("a",)]
    other.close()


async def test_the_settings_that_make_a_commit_durable(database: Database) -> None:
    def pragmas(tx: WriteTx) -> list[Any]:
        return [tx.execute(f"PRAGMA {name}").fetchone()[0] for name in ("journal_mode", "synchronous", "foreign_keys")]

    assert await database.write(pragmas) == ["wal", 2, 1]


async def test_a_reader_can_not_write(database: Database) -> None:
    with pytest.raises(sqlite3.OperationalError, match="readonly"):
        database.read_now(add, "a")


async def test_callers_share_a_commit_and_one_that_fails_rolls_back_alone(database: Database) -> None:
    outcomes: dict[str, Any] = {}

    def add_and_fail(tx: WriteTx, name: str) -> None:
        add(tx, name)
        raise ValueError(name)

    async def write(name: str) -> None:
        try:
            outcomes[name] = await database.write(add_and_fail if name == "bad" else add, name)
        except ValueError as error:
            outcomes[name] = error

    before = database.read_now(commits)
    async with trio.open_nursery() as nursery:
        for name in ("first", "bad", "last"):
            nursery.start_soon(write, name)
    assert isinstance(outcomes["bad"], ValueError)
    assert database.read_now(names) == ["first", "last"]
    assert database.read_now(commits) <= before + 2


async def test_a_job_that_loses_the_whole_transaction_fails_the_group_and_nothing_else(database: Database) -> None:
    """SQLITE_FULL ends the transaction, savepoints included; a trigger's ROLLBACK does the same."""

    def lose(tx: WriteTx) -> None:
        tx.execute("CREATE TEMP TRIGGER lose BEFORE INSERT ON repository BEGIN SELECT RAISE(ROLLBACK, 'full'); END")
        add(tx, "lost")

    errors: list[str] = []

    async def write(function: Any, *args: Any) -> None:
        try:
            await database.write(function, *args)
        except sqlite3.Error as error:
            errors.append(str(error))

    async with trio.open_nursery() as nursery:  # both are queued before the writer runs
        nursery.start_soon(write, lose)
        nursery.start_soon(write, add, "in the same group")
    assert errors == ["the transaction was lost: full"] * 2
    assert await database.write(add, "next") > 0
    assert database.read_now(names) == ["next"]


async def test_a_cancelled_caller_has_queued_nothing(database: Database) -> None:
    with trio.CancelScope() as scope:
        scope.cancel()
        await database.write(add, "never")
    assert scope.cancelled_caught
    await database.write(add, "other")
    assert database.read_now(names) == ["other"]


async def test_a_caller_cancelled_while_it_waits_learns_its_outcome(database: Database) -> None:
    with trio.CancelScope() as scope:

        def add_and_cancel(tx: WriteTx) -> int:
            trio.from_thread.run_sync(scope.cancel)
            return add(tx, "there")

        assert await database.write(add_and_cancel) == 1
        assert database.read_now(names) == ["there"]


def commits(tx: ReadTx) -> int:
    return tx.execute("SELECT commits FROM commit_counter").fetchone()[0]


class _FailingCommit:
    """A connection whose next COMMIT raises, either after it was carried out or instead of it."""

    def __init__(self, real: sqlite3.Connection, *, lands: bool) -> None:
        self._real = real
        self._lands = lands

    def execute(self, sql: str, *parameters: Any) -> sqlite3.Cursor:
        if sql != "COMMIT":
            return self._real.execute(sql, *parameters)
        if self._lands:
            self._real.execute(sql)
        error = sqlite3.OperationalError("disk I/O error")
        error.sqlite_errorcode = sqlite3.SQLITE_IOERR_FSYNC
        raise error

    def __getattr__(self, name: str) -> Any:
        return getattr(self._real, name)


@pytest.mark.parametrize("lands", [True, False])
async def test_a_commit_that_raised_is_asked_for_not_guessed(database: Database, *, lands: bool) -> None:
    await database.write(add, "before")
    database._writer = _FailingCommit(database._writer, lands=lands)  # type: ignore[assignment]
    if lands:
        assert await database.write(add, "unknown") > 0
    else:
        with pytest.raises(sqlite3.OperationalError, match="disk I/O error"):
            await database.write(add, "unknown")
    await database.write(add, "after")
    assert ("unknown" in database.read_now(names)) is lands
    assert {"before", "after"} <= set(database.read_now(names))


async def test_damage_ends_the_writer_and_no_caller_is_told_of_success(tmp_path: Path) -> None:
    outcomes: list[BaseException] = []

    async def write(database: Database, name: str) -> None:
        try:
            await database.write(add, name)
        except DatabaseDamaged as error:
            outcomes.append(error)

    async def damage_and_write() -> None:
        async with opened(tmp_path / "registry.db") as database:
            await database.write(_many_rows)
            database._writer.execute("PRAGMA wal_checkpoint(TRUNCATE)")
            _damage(tmp_path / "registry.db")
            database._writer = _FailingCommit(database._writer, lands=True)  # type: ignore[assignment]
            await write(database, "x")

    with pytest.raises(ExceptionGroup) as caught:
        await damage_and_write()
    assert caught.group_contains(DatabaseDamaged, match="registry.db")
    assert len(outcomes) == 1


def _many_rows(tx: WriteTx) -> None:
    for number in range(2000):
        add(tx, f"repository-{number:05}")


def _damage(path: Path) -> None:
    """Overwrite the middle of pages in the middle of the file (its header and schema stay)."""
    with path.open("r+b") as file:
        for page in range(8, path.stat().st_size // 4096 - 2):
            file.seek(page * 4096 + 100)
            file.write(b"\xff" * 200)


async def test_callers_left_behind_when_the_writer_ends_get_an_error(tmp_path: Path) -> None:
    database = Database(tmp_path / "registry.db", Hops())
    await database.open()
    async with trio.open_nursery() as nursery:
        errors = []

        async def write() -> None:
            try:
                await database.write(add, "a")
            except sqlite3.OperationalError as error:
                errors.append(str(error))

        nursery.start_soon(write)
        await trio.testing.wait_all_tasks_blocked()
        with trio.CancelScope() as scope:
            scope.cancel()
            await database.run()
    assert errors == ["the database is closed"]
    await database.close()


async def test_closing_leaves_one_file(tmp_path: Path) -> None:
    async with opened(tmp_path / "registry.db") as database:
        await database.write(add, "a")
    assert os.listdir(tmp_path) == ["registry.db"]


async def test_a_database_of_a_later_release_is_refused_untouched(tmp_path: Path) -> None:
    async with opened(tmp_path / "registry.db"):
        pass
    before = _add_migration_of_the_future(tmp_path / "registry.db")
    with pytest.raises(DatabaseTooNew, match="9999_future"):
        await Database(tmp_path / "registry.db", Hops()).open()
    assert _tables(tmp_path / "registry.db") == before


def _add_migration_of_the_future(path: Path) -> list[Any]:
    connection = sqlite3.connect(path)
    sqlite_utils.Database(connection)["_sqlite_migrations"].insert(
        {"migration_set": "cargohold", "name": "9999_future", "applied_at": "2030-01-01"}
    )
    connection.execute("DROP TABLE upload")
    connection.close()
    return _tables(path)


def _tables(path: Path) -> list[Any]:
    connection = sqlite3.connect(path)
    tables = connection.execute("SELECT name, sql FROM sqlite_master ORDER BY name").fetchall()
    connection.close()
    return tables


async def test_migrations_are_applied_once(tmp_path: Path) -> None:
    for expected in (["0001_core"], []):
        database = Database(tmp_path / "registry.db", Hops())
        assert await database.open() == expected
        await database.close()
