"""Snapshots with their blobs, against a registry that goes on."""

from __future__ import annotations

from contextlib import contextmanager
from typing import TYPE_CHECKING

import pytest

from registry.oci.digests import Digest
from registry.store import backups, pairs
from registry.store.copies import Copies
from tests.tools.content import CONFIG, digest_of, push_blob, push_image
from tests.tools.life import DAY, HORIZON, Life, flip

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

    from registry.store.pairs import Saved
    from tests.tools.life import Opened


@pytest.fixture
def target(tmp_path: Path) -> Iterator[Copies]:
    copies = Copies(tmp_path / "copies")
    with copies.held():
        yield copies


@contextmanager
def needed(snapshot: Path) -> Iterator[Iterator[backups.NeededBlob]]:
    with backups.plain(snapshot) as plain, backups.opened(plain) as tx:
        yield backups.needed_blobs(tx)


def save(life: Life, snapshot: Path, target: Copies) -> Saved:
    with needed(snapshot) as blobs:
        return pairs.save(blobs, Copies(life.data / "blobs"), target, int)


def faults(snapshot: Path, target: Copies) -> list[tuple[str, str]]:
    with needed(snapshot) as blobs:
        return pairs.faults(blobs, target, int)


async def pushed(life: Life, opened: Opened, tmp_path: Path) -> tuple[bytes, Path]:
    """A manifest, and a snapshot that knows it."""
    manifest = await push_image(opened.client, "team/app", "1", b"layer")
    assert await opened.registry.backup.take_now()
    kept = tmp_path / "kept.db"
    kept.write_bytes(opened.registry.backup.target.read_bytes())
    return manifest, kept


async def test_only_what_is_new_comes_over(life: Life, tmp_path: Path, target: Copies) -> None:
    async with life.opened() as opened:
        _, kept = await pushed(life, opened, tmp_path)
        first = save(life, kept, target)
        assert (first.present, first.linked + first.copied, first.missing) == (0, 2, [])
        assert target.path_of(Digest.parse(digest_of(b"layer"))).read_bytes() == b"layer"
        await push_blob(opened.client, "team/app", b"newer")
        assert await opened.registry.backup.take_now()
        second = save(life, opened.registry.backup.target, target)
        assert (second.present, second.linked + second.copied) == (2, 1)
        assert faults(kept, target) == []


# The snapshot is taken first: what goes away before its blobs come over must not be among these.
async def test_what_is_collected_between_snapshot_and_blobs_is_still_there(
    life: Life, tmp_path: Path, target: Copies
) -> None:
    async with life.opened() as opened:
        manifest, kept = await pushed(life, opened, tmp_path)
        assert await opened.status("DELETE", f"team/app/manifests/{digest_of(manifest)}") == 202
        life.go_on(DAY)
        assert (await opened.registry.garbage.run(walk=True)).condemned_blobs == 2
        life.go_on(HORIZON - 1)
        assert (await opened.registry.garbage.run(walk=True)).removed_blobs == 0
        assert save(life, kept, target).missing == []
        assert faults(kept, target) == []


async def test_after_the_horizon_it_says_what_has_gone(life: Life, tmp_path: Path, target: Copies) -> None:
    async with life.opened() as opened:
        manifest, kept = await pushed(life, opened, tmp_path)
        assert await opened.status("DELETE", f"team/app/manifests/{digest_of(manifest)}") == 202
        life.go_on(DAY)
        await opened.registry.garbage.run(walk=True)
        life.go_on(HORIZON)
        await opened.registry.garbage.run(walk=True)
        expected = sorted((digest_of(content), "is not there") for content in (CONFIG, b"layer"))
        assert save(life, kept, target).missing == expected
        assert faults(kept, target) == expected


async def test_nobody_misses_what_was_condemned(life: Life, tmp_path: Path, target: Copies) -> None:
    async with life.opened() as opened:
        digest = await push_blob(opened.client, "team/app", b"garbage")
        life.go_on(DAY)
        await opened.registry.garbage.run(walk=True)
        assert await opened.registry.backup.take_now()
        snapshot = opened.registry.backup.target
        with needed(snapshot) as blobs:
            assert [blob.is_condemned for blob in blobs] == [True]
        life.blob(digest).unlink()
        assert save(life, snapshot, target).missing == faults(snapshot, target) == []
        with needed(snapshot) as blobs:
            assert pairs.look(blobs, Copies(life.data / "blobs"), target).missing == []


async def test_what_is_known_to_be_damaged_is_no_part_of_a_backup(life: Life, tmp_path: Path, target: Copies) -> None:
    async with life.opened() as opened:
        await push_image(opened.client, "team/app", "1", b"layer")
        digest = Digest.parse(digest_of(b"layer"))
        flip(life.blob(str(digest)))
        life.go_on(1)
        assert (await opened.registry.scrub.run(before_ms=None, seconds=60)).bad == [str(digest)]
        assert await opened.registry.backup.take_now()
        snapshot = opened.registry.backup.target
        assert save(life, snapshot, target).missing == [(str(digest), "is corrupt")]
        assert target.size_of(digest) is None


async def test_what_is_missing_comes_back_verified(life: Life, tmp_path: Path, target: Copies) -> None:
    async with life.opened() as opened:
        _, kept = await pushed(life, opened, tmp_path)
    for content in (CONFIG, b"layer"):
        path = target.path_of(Digest.parse(digest_of(content)))
        path.write_bytes(content)
        life.blob(digest_of(content)).unlink()
    flip(target.path_of(Digest.parse(digest_of(b"layer"))))
    blobs = Copies(life.data / "blobs")
    with needed(kept) as wanted:
        outlook = pairs.look(wanted, blobs, target)
    assert (outlook.present, len(outlook.to_copy), outlook.bytes_to_copy, outlook.missing) == (0, 2, 7, [])
    bad = pairs.bring_back(outlook, target, blobs, int, by_way=life.data / "uploads/new")
    assert bad == [(digest_of(b"layer"), "has other content than its digest says")]
    assert life.blob(digest_of(CONFIG)).read_bytes() == CONFIG
    assert not life.blob(digest_of(b"layer")).exists()
