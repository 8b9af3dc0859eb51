"""The room that SQLite's own files keep, and who is told that there is none left."""

from __future__ import annotations

import os
import sqlite3
from contextlib import closing
from typing import TYPE_CHECKING

import pytest
import trio

from registry.store import reserve
from registry.store.space import Space, StorageFull
from tests.store.conftest import add, names, opened

if TYPE_CHECKING:
    from pathlib import Path

    from registry.store.database import Database
    from registry.store.transactions import ReadTx, WriteTx


def allocated(path: Path) -> int:
    return path.stat().st_blocks * 512


def unused_pages(tx: ReadTx) -> int:
    return tx.execute("PRAGMA freelist_count").fetchone()[0]


def fill_up(database: Database) -> None:
    """From now on the database gets no page more: what SQLite says then is what it says on a full disk."""
    database._writer._connection.execute("PRAGMA max_page_count = 1").fetchall()  # that is: as many as there are


async def test_the_log_has_its_room_from_the_start_and_keeps_it(tmp_path: Path) -> None:
    log = tmp_path / "registry.db-wal"
    for _ in range(2):  # a new database, and one that was there
        async with opened(tmp_path / "registry.db") as database:
            assert allocated(log) >= Space(tmp_path).share(reserve.WAL_BYTES) > 1024 * 1024
            fill_up(database)
            with pytest.raises(StorageFull):
                await database.write(insert, 4 * reserve.PAGES_BYTES)
            assert allocated(log) >= reserve.WAL_BYTES
            await database.write(add, f"name-{os.urandom(4).hex()}")
        assert not log.exists()


def insert(tx: WriteTx, size: int) -> None:
    tx.execute("CREATE TABLE large (body BLOB)")
    tx.execute("INSERT INTO large VALUES (zeroblob(?))", size)


async def test_what_a_killed_daemon_left_in_the_log_stays(tmp_path: Path) -> None:
    copy = tmp_path / "copy"
    copy.mkdir()
    async with opened(tmp_path / "registry.db") as database:
        await database.write(add, "there")
        for name in ("registry.db", "registry.db-wal"):
            content = (tmp_path / name).read_bytes()
            (copy / name).write_bytes(content.rstrip(b"\0") if name.endswith("-wal") else content)
    async with opened(copy / "registry.db") as database:
        assert database.read_now(names) == ["there"]


async def test_unused_pages_have_their_blocks(tmp_path: Path) -> None:
    path = tmp_path / "registry.db"
    async with opened(path) as database:
        await database.write(add, "first")
        assert database.read_now(unused_pages) >= reserve.PAGES
        assert allocated(path) >= path.stat().st_size >= reserve.PAGES_BYTES
        await database.write(insert, reserve.PAGES_BYTES)
        database._writer._look_at = 0.0
        await database.write(add, "second")
        assert database.read_now(unused_pages) >= reserve.PAGES
    with closing(sqlite3.connect(path)) as connection:
        assert connection.execute("SELECT name FROM sqlite_master WHERE name = 'reserve'").fetchall() == []


async def test_rows_go_on_where_the_database_can_not_grow(database: Database) -> None:
    await database.write(add, "first")
    fill_up(database)
    for number in range(1000):
        await database.write(add, f"name-{number}")
    assert len(database.read_now(names)) == 1001


async def test_a_job_that_does_not_fit_takes_no_other_along(database: Database) -> None:
    outcomes: dict[str, str] = {}

    async def write(name: str, size: int) -> None:
        try:
            await database.write(insert if size else add, size or name)  # type: ignore[arg-type]
        except StorageFull:
            outcomes[name] = "full"
        else:
            outcomes[name] = "done"

    await database.write(add, "first")
    fill_up(database)
    async with trio.open_nursery() as nursery:
        for number in range(4):
            nursery.start_soon(write, f"small-{number}", 0)
            nursery.start_soon(write, f"large-{number}", 4 * reserve.PAGES_BYTES)
    assert outcomes == {f"{kind}-{n}": told for kind, told in (("small", "done"), ("large", "full")) for n in range(4)}
