"""Snapshots as files: what they are, and what makes copying one back safe."""

from __future__ import annotations

import os
import shutil
import sqlite3
from contextlib import closing
from typing import TYPE_CHECKING

import pytest

from registry.store import snapshot
from registry.store.snapshot import SnapshotDamaged
from tests.store.conftest import add, names, opened

if TYPE_CHECKING:
    from pathlib import Path

    from registry.store.database import Database


async def test_it_is_taken_beside_the_writer_and_says_that_it_is_one(database: Database, tmp_path: Path) -> None:
    live, target = tmp_path / "registry.db", tmp_path / "backup" / "registry.db"
    await database.write(add, "a")
    snapshot.take(live, target)
    await database.write(add, "b")
    assert target.read_bytes()[18:20] == b"\x01\x01"
    assert (snapshot.is_snapshot(live), snapshot.is_snapshot(target)) == (False, True)
    assert os.listdir(target.parent) == ["registry.db"]
    snapshot.take(live, target)
    with closing(sqlite3.connect(target)) as connection:
        assert connection.execute("SELECT name FROM repository ORDER BY name").fetchall() == [("a",), ("b",)]


@pytest.mark.parametrize("content", [None, b"", b"short", b"x" * 200, b"SQLite format 3\x00" + b"\x02" * 100])
def test_what_is_no_snapshot(tmp_path: Path, content: bytes | None) -> None:
    path = tmp_path / "registry.db"
    if content is not None:
        path.write_bytes(content)
    assert not snapshot.is_snapshot(path)


async def test_a_database_that_breaks_its_own_rules_makes_no_snapshot(tmp_path: Path) -> None:
    live, target = tmp_path / "registry.db", tmp_path / "backup" / "registry.db"
    async with opened(live) as database:
        await database.write(add, "a")
        snapshot.take(live, target)
    with closing(sqlite3.connect(live)) as connection, connection:
        connection.execute("INSERT INTO tag (repository_id, name, manifest_id) VALUES (1, 'x', 5)")
    before = target.read_bytes()
    with pytest.raises(SnapshotDamaged, match="a row of tag refers to a row that is not there"):
        snapshot.take(live, target)
    assert target.read_bytes() == before
    assert list(target.parent.iterdir()) == [target]


async def test_one_that_takes_longer_than_it_may_is_given_up(database: Database, tmp_path: Path) -> None:
    for number in range(3):
        await database.write(
            lambda tx, number=number: (
                tx.execute(
                    "WITH RECURSIVE counter (n) AS (SELECT 1 UNION ALL SELECT n + 1 FROM counter LIMIT 20000)"
                    " INSERT INTO repository (name, created_ms) SELECT ? || n, 0 FROM counter",
                    f"{number}/",
                ).rowcount
            )
        )
    target = tmp_path / "backup" / "registry.db"
    with pytest.raises(sqlite3.OperationalError, match="interrupted"):
        snapshot.take(tmp_path / "registry.db", target, limit_seconds=0)
    assert os.listdir(target.parent) == []


async def test_a_stale_wal_is_not_played_into_the_snapshot(tmp_path: Path) -> None:
    live = tmp_path / "live" / "registry.db"
    live.parent.mkdir()
    restored = tmp_path / "restored" / "registry.db"
    async with opened(live) as database:
        await database.write(add, "before")
        snapshot.take(live, tmp_path / "snapshot.db")
        for number in range(200):
            await database.write(add, f"after/{number}")
        shutil.copytree(live.parent, restored.parent)
    stale = [restored.with_name(f"registry.db{end}") for end in ("-wal", "-shm")]
    contents = [path.read_bytes() for path in stale]
    shutil.copy(tmp_path / "snapshot.db", restored)
    moved = snapshot.set_aside_wal(restored)
    assert [path.read_bytes() for path in moved] == contents
    assert not any(path.exists() for path in stale)
    assert snapshot.set_aside_wal(restored) == []
    async with opened(restored) as database:
        assert database.read_now(names) == ["before"]
