"""Who takes what stands in the write-ahead log into the database: the writer, or a program beside it."""

from __future__ import annotations

import sqlite3
from contextlib import closing
from typing import TYPE_CHECKING

import pytest

from registry.store import check, reserve, schema
from registry.store.space import StorageFull
from tests.store.conftest import add, names, opened

if TYPE_CHECKING:
    from pathlib import Path

    from registry.store.transactions import WriteTx

LARGE_BYTES = 2000 * 4096
"""More than SQLite lets the log become before it checkpoints by itself."""


def insert_large(tx: WriteTx) -> None:
    tx.execute("CREATE TABLE large (body BLOB)")
    tx.execute("INSERT INTO large VALUES (zeroblob(?))", LARGE_BYTES)


@pytest.mark.parametrize("checkpoints", [True, False])
async def test_only_a_writer_that_may_takes_the_log_into_the_database(tmp_path: Path, *, checkpoints: bool) -> None:
    path = tmp_path / "registry.db"
    async with opened(path):
        pass
    async with opened(path, checkpoints=checkpoints) as database:
        before = path.stat().st_size
        await database.write(insert_large)
        database._writer._connection.execute("PRAGMA max_page_count = 1").fetchall()  # that is: as many as there are
        with pytest.raises(StorageFull):  # in vain the log is begun anew
            await database.write(lambda tx: tx.execute("INSERT INTO large VALUES (zeroblob(?))", LARGE_BYTES))
        await database.write(add, "afterwards")
        assert (path.stat().st_size == before) is not checkpoints
    assert path.stat().st_size > LARGE_BYTES
    assert not path.with_name("registry.db-wal").exists()  # the last connection leaves one file


@pytest.mark.parametrize("checkpoints", [True, False])
async def test_a_log_that_has_grown_large_gives_room_back(tmp_path: Path, *, checkpoints: bool) -> None:
    path = tmp_path / "registry.db"
    log = path.with_name("registry.db-wal")
    async with opened(path, checkpoints=checkpoints) as database:
        await database.write(lambda tx: tx.execute("CREATE TABLE large (body BLOB)"))
        await database.write(
            lambda tx: tx.execute("INSERT INTO large VALUES (zeroblob(?))", reserve.WAL_LIMIT_BYTES + LARGE_BYTES)
        )
        grown = log.stat().st_size
        assert grown > reserve.WAL_LIMIT_BYTES + LARGE_BYTES
        await database.write(add, "begins the log anew")
        assert (log.stat().st_size == reserve.WAL_LIMIT_BYTES) is checkpoints
        assert (log.stat().st_size >= grown) is not checkpoints


async def test_the_log_of_another_program_is_not_made_longer(tmp_path: Path) -> None:
    path = tmp_path / "registry.db"
    async with opened(path, checkpoints=False) as database:
        await database.write(add, "there")
        beside = sqlite3.connect(path)
        beside.execute("SELECT * FROM sqlite_master").fetchall()
    with closing(beside):
        size = path.with_name("registry.db-wal").stat().st_size
        async with opened(path, checkpoints=False) as database:
            assert database.read_now(names) == ["there"]
            assert path.with_name("registry.db-wal").stat().st_size == size < reserve.WAL_BYTES


async def test_what_litestream_keeps_in_the_database_is_known_and_no_finding(tmp_path: Path) -> None:
    path = tmp_path / "registry.db"
    async with opened(path) as database:
        assert not database.read_now(schema.is_replicated)
        await database.write(lambda tx: tx.execute("CREATE TABLE _litestream_seq (id INTEGER PRIMARY KEY)"))
        assert database.read_now(schema.is_replicated)
        assert check.sqlite_findings(path) == []
        await database.write(lambda tx: tx.execute("CREATE TABLE litestream (id INTEGER PRIMARY KEY)"))
        assert [finding.subject for finding in check.sqlite_findings(path)] == ["litestream"]
