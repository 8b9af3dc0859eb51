"""The daemon's own snapshots of its database."""

from __future__ import annotations

import os
import sqlite3
from contextlib import closing
from typing import TYPE_CHECKING

import pytest
import trio.testing

from tests.tools.content import digest_of, push_blob, push_image

if TYPE_CHECKING:
    from pathlib import Path

    from trio.testing import MockClock

    from tests.tools.life import Life


def tags(database: Path) -> list[str]:
    with closing(sqlite3.connect(f"{database.as_uri()}?mode=ro", uri=True)) as connection:
        assert connection.execute("PRAGMA integrity_check").fetchone() == ("ok",)
        assert connection.execute("PRAGMA foreign_key_check").fetchall() == []
        return [name for (name,) in connection.execute("SELECT name FROM tag ORDER BY name")]


async def test_a_snapshot_holds_all_that_was_committed_and_needs_no_other_file(life: Life, tmp_path: Path) -> None:
    async with life.opened() as opened:
        await push_image(opened.client, "team/app", "1", b"layer")
        assert await opened.registry.backup.take_if_changed()
        copy = tmp_path / "copy.db"
        copy.write_bytes(opened.registry.backup.target.read_bytes())
        await push_image(opened.client, "team/app", "2", b"layer")
    assert copy.read_bytes()[18:20] == b"\x01\x01"
    assert tags(copy) == ["1"]
    assert (life.data / "registry.db").read_bytes()[18:20] == b"\x02\x02"


async def test_the_last_one_is_made_at_the_stop(life: Life) -> None:
    async with life.opened() as opened:
        await push_image(opened.client, "team/app", "1", b"layer")
    assert tags(life.data / "backup/registry.db") == ["1"]
    assert os.listdir(life.data / "backup") == ["registry.db"]


async def test_one_is_made_only_when_something_has_changed(life: Life) -> None:
    async with life.opened() as opened:
        backup = opened.registry.backup
        assert await backup.take_if_changed()
        first = backup.target.stat().st_ino
        await opened.save_clock()
        await opened.status("HEAD", f"team/app/blobs/{digest_of(b'none')}")
        assert await backup.take_if_changed()
        assert backup.target.stat().st_ino == first
        await push_blob(opened.client, "team/app", b"layer")
        assert await backup.take_if_changed()
        assert backup.target.stat().st_ino != first


async def test_it_is_made_by_itself(life: Life, mock_clock: MockClock) -> None:
    async with life.opened() as opened:
        await push_image(opened.client, "team/app", "1", b"layer")
        await trio.testing.wait_all_tasks_blocked()
        mock_clock.jump(opened.registry.policy.backup_interval_seconds - 1)
        await trio.testing.wait_all_tasks_blocked()
        assert not opened.registry.backup.target.exists()
        assert (await opened.registry.status.read())["backup"]["age_seconds"] is None
        mock_clock.jump(1)
        await trio.testing.wait_all_tasks_blocked()
        assert tags(opened.registry.backup.target) == ["1"]
        mock_clock.jump(30)
        assert (await opened.registry.status.read())["backup"]["age_seconds"] == pytest.approx(30, abs=1)


async def test_one_that_fails_leaves_the_one_before_and_is_shown(life: Life) -> None:
    async with life.opened() as opened:
        await push_image(opened.client, "team/app", "1", b"layer")
        backup = opened.registry.backup
        assert await backup.take_if_changed()
        await push_image(opened.client, "team/app", "2", b"layer")
        in_the_way = backup.target.with_name("registry.db.new")
        in_the_way.mkdir()
        assert not await backup.take_if_changed()
        assert tags(backup.target) == ["1"]
        assert (await opened.registry.status.read())["backup"]["failure"]
        in_the_way.rmdir()
        assert await backup.take_if_changed()
        assert tags(backup.target) == ["1", "2"]
        assert (await opened.registry.status.read())["backup"]["failure"] is None


async def test_one_that_takes_too_long_at_the_stop_leaves_the_one_before(life: Life) -> None:
    async with life.opened() as opened:
        backup = opened.registry.backup
        assert await backup.take_if_changed()
        await opened.registry.database.write(
            lambda tx: (
                tx.execute(
                    "WITH RECURSIVE counter (n) AS (SELECT 1 UNION ALL SELECT n + 1 FROM counter LIMIT 30000)"
                    " INSERT INTO repository (name, created_ms) SELECT 'r/' || n, 0 FROM counter"
                ).rowcount
            )
        )
        assert not await backup.take_if_changed(limit_seconds=0)
        assert tags(backup.target) == []
        assert os.listdir(backup.target.parent) == ["registry.db"]


async def test_what_a_crash_left_of_one_is_no_obstacle(life: Life) -> None:
    async with life.opened():
        pass
    (life.data / "backup/registry.db.new").write_bytes(b"half")
    (life.data / "backup/registry.db.new-journal").write_bytes(b"half")
    async with life.opened() as opened:
        await push_image(opened.client, "team/app", "1", b"layer")
    assert tags(life.data / "backup/registry.db") == ["1"]
    assert os.listdir(life.data / "backup") == ["registry.db"]
