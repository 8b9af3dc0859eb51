"""A database that was put back from the past, or beside another blob folder: what is recognised, and what follows."""

from __future__ import annotations

import shutil
import sqlite3
from contextlib import closing
from typing import TYPE_CHECKING

import pytest

from registry.oci.errors import GarbagePaused
from registry.service.garbage import Totals
from registry.store.damage import BrokenTag
from tests.tools.content import begin_upload, digest_of, index, push_blob, push_image, push_manifest
from tests.tools.life import DAY, HORIZON, Life, Opened

if TYPE_CHECKING:
    from collections.abc import Callable
    from pathlib import Path

NAME = "team/app"


async def is_restored(life: Life) -> bool:
    async with life.opened() as opened:
        return opened.registry.restoration.is_open


async def take_snapshot(opened: Opened) -> None:
    assert await opened.registry.backup.take_if_changed()


async def collect_all(life: Life, opened: Opened) -> Totals:
    """Condemn and remove whatever nothing holds."""
    for seconds in (DAY, HORIZON):
        life.go_on(seconds)
        totals = await opened.registry.garbage.run(walk=True)
    return totals


async def test_a_snapshot_copied_over_after_a_kill(life: Life) -> None:
    """The -wal of the database that was killed stands beside it; SQLite would play it into the snapshot."""
    async with life.opened() as opened:
        await push_image(opened.client, NAME, "1", b"first")
        await take_snapshot(opened)
        second = await push_image(opened.client, NAME, "2", b"second")
        died = life.died()
    assert (died.data / "registry.db-wal").stat().st_size > 0
    wal = (died.data / "registry.db-wal").read_bytes()
    died.restore()
    async with died.opened() as opened:
        assert opened.registry.restoration.is_open
        assert (died.data / "registry.db-wal.stale").read_bytes() == wal
        assert await opened.status("GET", f"{NAME}/manifests/1") == 200
        assert await opened.status("GET", f"{NAME}/blobs/{digest_of(b'first')}") == 200
        assert await opened.status("GET", f"{NAME}/manifests/2") == 404
        assert await opened.status("GET", f"{NAME}/blobs/{digest_of(b'second')}") == 404
        assert (await push_image(opened.client, NAME, "2", b"second")) == second
    async with died.opened() as opened:
        assert opened.registry.restoration.is_open  # until the operator ends it


async def test_an_old_snapshot_from_before_garbage_collection_removed_files(life: Life) -> None:
    async with life.opened() as opened:
        image = await push_image(opened.client, NAME, "1", b"lost")
        assert (await push_manifest(opened.client, NAME, "all", index(image))).status == 201
        await push_image(opened.client, NAME, "2", b"kept")
        await take_snapshot(opened)
        old = life.data.with_name("old.db")
        shutil.copy(opened.registry.backup.target, old)
        for reference in ("all", digest_of(index(image)), digest_of(image)):
            assert await opened.status("DELETE", f"{NAME}/manifests/{reference}") == 202
        assert (await collect_all(life, opened)).removed_blobs == 1
        await push_image(opened.client, NAME, "3", b"new")
        begun = await begin_upload(opened.client, NAME)
    life.restore(old)
    async with life.opened() as opened:
        registry = opened.registry
        assert registry.restoration.is_open
        assert (await registry.status.read())["is_restored"]
        assert [notice.split(":")[0] for notice in registry.health.notices()] == ["restored"]
        await registry.restoration.check_files()
        losses = await registry.restoration.losses()
        assert losses.blobs == [(digest_of(b"lost"), "missing")]
        assert losses.tags == [
            BrokenTag(NAME, "1", digest_of(image)),
            BrokenTag(NAME, "all", digest_of(index(image))),
        ]
        assert await opened.status("HEAD", f"{NAME}/blobs/{digest_of(b'lost')}") == 404
        assert (await opened.client("GET", begun)).status == 404
        await push_blob(opened.client, NAME, b"lost")
        assert await registry.restoration.losses() == type(losses)(was_restored=True, blobs=[], tags=[])


async def test_nothing_is_swept_until_the_operator_ends_it(life: Life) -> None:
    async with life.opened() as opened:
        await push_image(opened.client, NAME, "1", b"layer")
        await take_snapshot(opened)
        unknown = await push_blob(opened.client, NAME, b"only its file tells of it")
        died = life.died()
    died.restore()
    async with died.opened() as opened:
        digest = await push_blob(opened.client, NAME, b"garbage")
        died.go_on(2 * HORIZON)
        for act in (opened.registry.garbage.run, opened.registry.garbage.dry_run):
            with pytest.raises(GarbagePaused):
                await act(now=True)
        assert died.blob(unknown).exists()
        assert (await opened.registry.restoration.recover()).was_restored
        assert not (await opened.registry.restoration.recover()).was_restored
        assert (await opened.registry.garbage.run(walk=True)).condemned_blobs == 1
        assert await opened.state(digest) == "condemned"
        assert died.blob(unknown).exists()
        died.go_on(HORIZON)
        assert (await opened.registry.garbage.run(walk=True)) == Totals(removed_blobs=1, removed_bytes=7, orphans=1)
    assert not await is_restored(died)


async def test_sessions_are_dropped_and_their_files_go_later(life: Life) -> None:
    async with life.opened() as opened:
        location = await begin_upload(opened.client, NAME)
        location = (await opened.client("PATCH", location, b"bytes")).headers["location"]
        await take_snapshot(opened)
        died = life.died()
    died.restore()
    async with died.opened() as opened:
        assert (await opened.client("GET", location)).status == 404
        assert len(list((died.data / "uploads").iterdir())) == 1
        await opened.registry.restoration.recover()
        await opened.registry.garbage.run(walk=True)
        died.go_on(DAY)
        assert (await opened.registry.garbage.run(walk=True)).orphans == 1
        assert not list((died.data / "uploads").iterdir())


async def test_the_database_of_another_folder(life: Life, tmp_path: Path) -> None:
    other = Life(tmp_path / "other")
    async with other.opened() as opened:
        await push_image(opened.client, NAME, "1", b"elsewhere")
    async with life.opened() as opened:
        await push_blob(opened.client, NAME, b"here")
    shutil.copy(other.data / "registry.db", life.data / "registry.db")
    async with life.opened() as opened:
        assert opened.registry.restoration.is_open
        await opened.registry.restoration.check_files()
        losses = await opened.registry.restoration.losses()
        assert (digest_of(b"elsewhere"), "missing") in losses.blobs
        assert [tag.tag for tag in losses.tags] == ["1"]


def _empty(blobs: Path) -> None:
    shutil.rmtree(blobs)


def _new(blobs: Path) -> None:
    shutil.rmtree(blobs)
    (blobs / "sha256").mkdir(parents=True)


@pytest.mark.parametrize("change", [_empty, _new])
async def test_a_blob_folder_that_is_empty(life: Life, change: Callable[[Path], None]) -> None:
    async with life.opened() as opened:
        await push_image(opened.client, NAME, "1", b"layer")
    change(life.data / "blobs")
    async with life.opened() as opened:
        assert opened.registry.restoration.is_open
        await opened.registry.restoration.check_files()
        assert len((await opened.registry.restoration.losses()).blobs) == 2
        await push_image(opened.client, NAME, "1", b"layer")
        assert not (await opened.registry.restoration.recover()).blobs


async def test_a_blob_folder_from_the_past(life: Life) -> None:
    async with life.opened() as opened:
        await push_blob(opened.client, NAME, b"old")
    shutil.copytree(life.data / "blobs", life.data.with_name("old"))
    async with life.opened() as opened:
        await push_blob(opened.client, NAME, b"new")
    shutil.rmtree(life.data / "blobs")
    life.data.with_name("old").rename(life.data / "blobs")
    async with life.opened() as opened:
        assert opened.registry.restoration.is_open
        await opened.registry.restoration.check_files()
        assert (await opened.registry.restoration.losses()).blobs == [(digest_of(b"new"), "missing")]


async def test_a_database_that_is_gone(life: Life) -> None:
    async with life.opened() as opened:
        digest = await push_blob(opened.client, NAME, b"layer")
    (life.data / "registry.db").unlink()
    async with life.opened() as opened:
        assert opened.registry.restoration.is_open
        assert life.blob(digest).exists()


async def test_what_is_no_restoration(life: Life) -> None:
    """A new folder, a restart, a kill, and the snapshot of the clean stop copied back."""
    assert not await is_restored(life)
    async with life.opened() as opened:
        assert not opened.registry.restoration.is_open
        await push_image(opened.client, NAME, "1", b"layer")
        died = life.died()
    assert not await is_restored(died)
    life.restore()
    assert not await is_restored(life)


async def test_a_snapshot_of_a_clean_stop_is_not_the_past_after_an_earlier_one(life: Life) -> None:
    async with life.opened() as opened:
        await push_blob(opened.client, NAME, b"1")
        await take_snapshot(opened)
        await push_blob(opened.client, NAME, b"2")
    life.restore()
    assert not await is_restored(life)


# A commit that changes nothing (the clock's, each minute; a probe's) raises the mark, and no snapshot is made of it.
async def test_a_snapshot_of_a_clean_stop_is_not_the_past_after_a_quiet_time(life: Life) -> None:
    async with life.opened() as opened:
        await push_blob(opened.client, NAME, b"1")
        await take_snapshot(opened)
        await opened.save_clock()
    life.restore()
    assert not await is_restored(life)


async def test_a_snapshot_from_right_after_a_removal_is_the_past_after_a_push(life: Life) -> None:
    """The mark was raised to the very commit that the snapshot holds: before a stop that says nothing."""
    async with life.opened() as opened:
        await push_blob(opened.client, NAME, b"garbage")
        assert (await collect_all(life, opened)).removed_blobs == 1
        await take_snapshot(opened)
        await push_image(opened.client, NAME, "1", b"lost with the database")
        died = life.died()
    died.restore()
    assert await is_restored(died)


async def test_a_mark_that_can_not_be_read_counts_as_none(life: Life) -> None:
    assert not await is_restored(life)
    (life.data / "blobs/mark").write_bytes(b"\0" * 512)
    assert await is_restored(life)
    with closing(sqlite3.connect(life.data / "registry.db")) as connection:
        assert connection.execute("SELECT restored_ms IS NOT NULL FROM daemon").fetchone() == (1,)


async def test_a_blob_folder_copied_back_from_earlier_in_the_same_start(life: Life) -> None:
    async with life.opened() as opened:
        await push_image(opened.client, NAME, "1", b"first")
        early = life.died("early")
        for _ in range(11):
            life.go_on(60)
            await opened.save_clock()
        await push_image(opened.client, NAME, "2", b"second")
        died = life.died()
    shutil.rmtree(died.data / "blobs")
    shutil.copytree(early.data / "blobs", died.data / "blobs")
    async with died.opened() as opened:
        assert opened.registry.restoration.is_open
        lost = {digest for digest, _ in (await opened.registry.restoration.recover()).blobs}
        assert digest_of(b"second") in lost
        assert digest_of(b"first") not in lost
    assert not await is_restored(died)


@pytest.mark.parametrize("saves_after_sleep", [False, True])
async def test_a_crash_is_no_older_folder_though_the_machine_slept(life: Life, *, saves_after_sleep: bool) -> None:
    async with life.opened() as opened:
        life.go_on(8 * 3600)
        if saves_after_sleep:
            await opened.save_clock()
        await push_image(opened.client, NAME, "1", b"first")
        died = life.died()
    assert not await is_restored(died)
