"""The database file: its readers, its settings, its schema."""

from __future__ import annotations

import os
import sqlite3
from typing import TYPE_CHECKING, Any

import pytest
import sqlite_utils

from registry.store.clock import Clock
from registry.store.database import Database
from registry.store.hops import Hops
from registry.store.readers import Readers
from registry.store.schema import DatabaseTooNew
from tests.store.conftest import add, names, opened

if TYPE_CHECKING:
    from pathlib import Path

    from registry.store.transactions import ReadTx, WriteTx


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


async def test_a_read_that_fails_says_its_own_error(database: Database) -> None:
    def fail(tx: ReadTx) -> None:
        tx.execute("COMMIT")
        raise sqlite3.OperationalError("disk I/O error")

    with pytest.raises(sqlite3.OperationalError, match="disk I/O error"):
        database.read_now(fail)
    assert database.read_now(names) == []


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
    names = ["0001_core", "0002_garbage", "0003_access", "0004_packed_manifests", "0005_mode", "0006_counts"]
    for expected in (names, []):
        database = Database(tmp_path / "registry.db", Hops())
        assert await database.open() == expected
        await database.close()


async def test_what_asks_in_one_statement_sees_each_commit(database: Database) -> None:
    for name in ("a", "b"):
        await database.write(add, name)
        assert database.ask_now(names)[-1] == name


async def test_a_second_statement_needs_a_transaction(database: Database) -> None:
    def ask_twice(tx: ReadTx) -> list[list[str]]:
        return [names(tx), names(tx)]

    with pytest.raises(RuntimeError, match="second statement"):
        database.ask_now(ask_twice)
    assert database.read_now(ask_twice) == [[], []]


async def test_what_was_asked_is_not_read_again_until_something_is_committed(database: Database) -> None:
    read = []

    def count(tx: ReadTx, name: str) -> int:
        read.append(name)
        (found,) = tx.execute("SELECT count(*) FROM repository WHERE name = ?", name).fetchone()
        return int(found)

    assert [database.recall_now(count, name) for name in ("a", "b", "a")] == [0, 0, 0]
    assert read == ["a", "b"]
    await database.write(add, "a")
    assert database.ask_now(names) == ["a"]  # by which the connection has seen the commit before
    assert [database.recall_now(count, name) for name in ("a", "b", "a")] == [1, 0, 1]
    assert read == ["a", "b"] * 2


async def test_a_process_that_only_reads_sees_at_once_what_another_one_commits(
    database: Database, tmp_path: Path
) -> None:
    readers = Readers(tmp_path / "registry.db", Hops(), Clock(), threads=1)
    readers.open_readers()
    for expected in ([], ["a"], ["a", "b"]):
        assert readers.recall_now(names) == database.recall_now(names) == expected
        await database.write(add, "ab"[len(expected) : len(expected) + 1])
    readers.close_readers()


async def test_only_so_much_is_kept(database: Database, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("registry.store.readers._RECALLED", 3)

    def echo(tx: ReadTx, number: int) -> tuple[int, int]:
        return number, len(asked.append(number) or asked)

    asked: list[int] = []
    for number in (1, 2, 3, 4, 4, 3, 2, 1):
        database.recall_now(echo, number)
    assert asked == [1, 2, 3, 4, 1]
