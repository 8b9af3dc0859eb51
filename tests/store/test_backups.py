"""Backup files: what can be read as one, and how one is put back."""

from __future__ import annotations

import filecmp
import os
import shutil
import sqlite3
from contextlib import closing
from typing import TYPE_CHECKING

import pytest
import sqlite_utils
import trio
from sqlite_utils.migrations import Migrations

from registry.store import backups, schema, snapshot
from registry.store.backups import BackupUnusable
from registry.store.schema import DatabaseTooNew
from tests.store.conftest import add, names, opened

if TYPE_CHECKING:
    from pathlib import Path

TAKEN_NS = 1_700_000_000_123_000_000


@pytest.fixture
def taken(tmp_path: Path) -> Path:
    """A snapshot with one repository, ``a``."""

    async def take() -> None:
        async with opened(tmp_path / "live.db") as database:
            await database.write(add, "a")
            snapshot.take(tmp_path / "live.db", tmp_path / "taken.db")

    trio.run(take)
    return tmp_path / "taken.db"


def written(taken: Path, path: Path) -> Path:
    seen: list[int] = []
    os.utime(taken, ns=(TAKEN_NS, TAKEN_NS))
    with taken.open("rb") as source, path.open("wb") as file:
        backups.write(source, file, seen.append, compressed=path.suffix == ".zst")
    assert sum(seen) == taken.stat().st_size
    return path


@pytest.mark.parametrize("name", ["b.db", "b.db.zst"])
def test_a_backup_is_read_as_it_was_written(taken: Path, tmp_path: Path, name: str) -> None:
    path = written(taken, tmp_path / name)
    assert (path.stat().st_mtime_ns, path.stat().st_mode & 0o777) == (TAKEN_NS, 0o600)
    with backups.plain(path) as plain:
        assert plain.read_bytes() == taken.read_bytes()
        assert backups.findings(plain) == []
        with backups.opened(plain) as tx:
            assert names(tx) == ["a"]
            assert backups.summarize(tx).repositories == 1


def test_a_compressed_one_that_is_cut_off_or_changed_is_noticed(taken: Path, tmp_path: Path) -> None:
    content = written(taken, tmp_path / "b.zst").read_bytes()
    flipped = bytearray(content)
    flipped[len(content) // 2] ^= 1
    for damaged in (content[: len(content) // 2], content[:-1], bytes(flipped), content[:4], content[:12]):
        (tmp_path / "b.zst").write_bytes(damaged)
        with pytest.raises(BackupUnusable, match=r"cut off|can't be decompressed"), backups.plain(tmp_path / "b.zst"):
            pass


async def test_what_is_no_snapshot(tmp_path: Path) -> None:
    async with opened(tmp_path / "live.db"):
        for ending in ("", "-wal"):
            shutil.copyfile(tmp_path / f"live.db{ending}", tmp_path / f"copy.db{ending}")
    (tmp_path / "text").write_text("text")
    for name in ("copy.db", "text"):
        with pytest.raises(BackupUnusable, match="is no snapshot"), backups.plain(tmp_path / name):
            pass


async def test_a_database_that_was_closed_is_read_as_a_snapshot(tmp_path: Path) -> None:
    async with opened(tmp_path / "closed.db") as database:
        await database.write(add, "a")
    before = (tmp_path / "closed.db").read_bytes()
    (tmp_path / "closed.db-wal").touch()  # some programs leave it empty
    with backups.plain(tmp_path / "closed.db") as plain:
        assert snapshot.is_snapshot(plain)
        assert backups.findings(plain) == []
        with backups.opened(plain) as tx:
            assert names(tx) == ["a"]
    assert (tmp_path / "closed.db").read_bytes() == before


def test_damage_is_found(taken: Path, tmp_path: Path) -> None:
    with taken.open("r+b") as file:
        file.seek(3 * 4096)
        file.write(b"x" * 4096)
    assert backups.findings(taken)
    with closing(sqlite3.connect(tmp_path / "other.db")) as connection, connection:
        connection.execute("CREATE TABLE t (x)")
    [finding] = backups.findings(tmp_path / "other.db")
    assert "no such table" in finding


def test_one_of_an_earlier_release_is_read_and_not_changed(tmp_path: Path) -> None:
    migrations, _ = schema._load()
    with closing(sqlite3.connect(tmp_path / "old.db", isolation_level=None)) as connection:
        migrations.apply(sqlite_utils.Database(connection), stop_before="0002_garbage")
        connection.execute("INSERT INTO blob (digest, size, created_ms) VALUES ('sha256:' || hex(zeroblob(32)), 5, 0)")
    before = (tmp_path / "old.db").read_bytes()
    assert backups.findings(tmp_path / "old.db") == []
    with backups.opened(tmp_path / "old.db") as tx:
        [needed] = backups.needed_blobs(tx)
        assert (needed.size, needed.damage) == (5, None)
    assert (tmp_path / "old.db").read_bytes() == before


def test_one_of_a_later_release_is_refused(taken: Path) -> None:
    with closing(sqlite3.connect(taken)) as connection, connection:
        table = Migrations.migrations_table
        connection.execute(
            f"INSERT INTO {table} (migration_set, name, applied_at)"
            f" SELECT migration_set, '9999_x', '' FROM {table} LIMIT 1"
        )
    with pytest.raises(DatabaseTooNew), backups.opened(taken):
        pass


async def test_it_is_put_back_and_what_was_there_is_whole_beside_it(taken: Path, tmp_path: Path) -> None:
    data = tmp_path / "data"
    data.mkdir()
    async with opened(tmp_path / "other.db") as database:
        await database.write(add, "b")
        for ending in ("", "-wal", "-shm"):
            (data / f"registry.db{ending}").write_bytes((tmp_path / f"other.db{ending}").read_bytes())
    moved = backups.put_back(taken, data / "registry.db", "T")
    assert sorted(os.listdir(data)) == ["registry.db", *sorted(path.name for path in moved)]
    assert filecmp.cmp(data / "registry.db", taken, shallow=False)
    with closing(sqlite3.connect(data / "registry.db.before-T")) as connection:
        assert connection.execute("SELECT name FROM repository").fetchall() == [("b",)]


def test_into_an_empty_folder(taken: Path, tmp_path: Path) -> None:
    assert backups.put_back(taken, tmp_path / "registry.db", "T") == []
    assert snapshot.is_snapshot(tmp_path / "registry.db")


def test_one_that_can_not_be_put_back_changes_nothing(taken: Path, tmp_path: Path) -> None:
    data = tmp_path / "data"
    data.mkdir()
    (data / "registry.db").write_bytes(b"before")
    (data / "registry.db.before-T").write_bytes(b"in the way")
    with pytest.raises(FileExistsError):
        backups.put_back(taken, data / "registry.db", "T")
    assert (data / "registry.db").read_bytes() == b"before"
    assert sorted(os.listdir(data)) == ["registry.db", "registry.db.before-T"]


def test_what_one_that_was_cut_short_has_left_goes(taken: Path, tmp_path: Path) -> None:
    """The database goes on under its own name alone; what earlier ones have kept stays."""
    database = tmp_path / "registry.db"
    for name in ("registry.db", "registry.db-wal", "registry.db.before-1", "registry.db.before-1-wal"):
        (tmp_path / name).write_bytes(name.encode())
    kept = backups._keep(database, tmp_path / "registry.db.before-2")
    assert [path.name for path in kept] == ["registry.db.before-2", "registry.db.before-2-wal"]
    (tmp_path / "registry.db.new").touch()
    snapshot.end_interrupted(database)
    names = ["registry.db", "registry.db-wal", "registry.db.before-1", "registry.db.before-1-wal", taken.name]
    assert sorted(path.name for path in tmp_path.iterdir() if path.name in names or "2" in path.name) == sorted(names)
    assert not (tmp_path / "registry.db.new").exists()
    assert (tmp_path / "registry.db-wal").read_bytes() == b"registry.db-wal"


def test_a_wal_that_is_kept_already_only_loses_its_name(taken: Path, tmp_path: Path) -> None:
    taken.rename(tmp_path / "registry.db")
    (tmp_path / "registry.db-wal").write_bytes(b"of the one before")
    (tmp_path / "registry.db.before-1-wal").hardlink_to(tmp_path / "registry.db-wal")
    assert snapshot.set_aside_wal(tmp_path / "registry.db") == []
    assert not (tmp_path / "registry.db-wal").exists()
    assert (tmp_path / "registry.db.before-1-wal").read_bytes() == b"of the one before"
