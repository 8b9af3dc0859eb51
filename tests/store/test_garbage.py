"""The steps of garbage collection as transactions: each asks again, and the database itself refuses what is wrong."""

from __future__ import annotations

import sqlite3
from typing import TYPE_CHECKING

import pytest

from registry.oci.digests import Digest
from registry.oci.manifest import parse
from registry.oci.names import RepositoryName, Tag
from registry.store import blobs, garbage, links, manifests, repositories, tags
from registry.store.audit import Author
from registry.store.clock import Clock
from registry.store.garbage import Judged, Rules
from tests.store.conftest import opened
from tests.tools.content import digest_of, image

if TYPE_CHECKING:
    from collections.abc import AsyncIterator
    from pathlib import Path

    from registry.store.database import Database
    from registry.store.garbage import Plan
    from registry.store.transactions import ReadTx, WriteTx

NAME = RepositoryName.parse("team/app")
RULES = Rules(grace=100, lease=10, horizon=1000, untagged_after=None, orphaned_tags=False)


class Time:
    """What the clock of the tests shows."""

    def __init__(self) -> None:
        self.ms = 0


@pytest.fixture
def time() -> Time:
    return Time()


@pytest.fixture
async def database(tmp_path: Path, time: Time) -> AsyncIterator[Database]:
    async with opened(tmp_path / "registry.db", Clock(source=lambda: time.ms)) as database:
        yield database


def add_blob(tx: WriteTx, content: bytes, name: RepositoryName = NAME) -> None:
    blobs.add(tx, name, Digest.parse(digest_of(content)), len(content), lease_ms=10)


def add_image(tx: WriteTx, *layers: bytes, tag: str | None = None) -> int:
    body = image(*layers, config=layers[0])
    repository, digest = repositories.find_or_create(tx, NAME), Digest.parse(digest_of(body))
    manifest = manifests.add(tx, repository, digest, parse(body, None))
    if tag is not None:
        tags.point(tx, repository, Tag(tag), manifest, digest, Author("anybody"))
    return manifest


def value(tx: ReadTx, sql: str) -> object:
    return tx.execute(sql).fetchone()[0]


@pytest.mark.parametrize(
    ("sql", "message"),
    [
        ("DELETE FROM repository_blob", "FOREIGN KEY constraint failed"),
        ("DELETE FROM blob", "FOREIGN KEY constraint failed"),
        ("UPDATE blob SET condemned_clock_ms = 5", "a repository links the blob: it cannot be condemned"),
    ],
)
async def test_the_database_keeps_what_a_manifest_holds(database: Database, sql: str, message: str) -> None:
    await database.write(add_blob, b"layer")
    await database.write(add_image, b"layer")
    with pytest.raises(sqlite3.IntegrityError, match=message):
        await database.write(lambda tx: tx.execute(sql).rowcount)


async def test_the_database_links_no_condemned_blob(database: Database) -> None:
    await database.write(add_blob, b"layer")
    await database.write(blobs.unlink, NAME, Digest.parse(digest_of(b"layer")))
    with pytest.raises(sqlite3.IntegrityError, match="the blob is condemned: it cannot be linked"):
        await database.write(lambda tx: tx.execute("INSERT INTO repository_blob VALUES (1, 1, 0, 0, 0)").rowcount)
    await database.write(add_blob, b"layer")
    assert database.read_now(value, "SELECT condemned_clock_ms FROM blob") is None


async def test_links_are_marked_by_what_makes_them_so(database: Database, time: Time) -> None:
    sql = "SELECT unreferenced_clock_ms FROM repository_blob"
    time.ms = 5
    await database.write(add_blob, b"layer")
    assert database.read_now(value, sql) == 5
    first = await database.write(add_image, b"layer")
    second = await database.write(add_image, b"layer", b"layer")
    assert database.read_now(value, sql) is None
    await database.write(manifests.remove, first)
    assert database.read_now(value, sql) is None
    time.ms = 9
    await database.write(manifests.remove, second)
    assert database.read_now(value, sql) == 9


def planned(tx: ReadTx, rules: Rules) -> Plan:
    """By one read."""
    judged = Judged()
    garbage.judge(tx, rules, judged, start=0)
    return garbage.plan(tx, rules, judged)


@pytest.mark.parametrize("act", ["push", "lease", "manifest"])
async def test_a_link_is_asked_about_again(database: Database, time: Time, act: str) -> None:
    """Between the plan and its step a client has come."""
    await database.write(add_blob, b"layer")
    time.ms = 100
    plan = await database.read(planned, RULES)
    assert plan.links == [(1, 1)]
    if act == "push":
        await database.write(add_blob, b"layer")
    elif act == "lease":
        assert await database.write(links.lease, NAME, Digest.parse(digest_of(b"layer")), lease_ms=10)
    else:
        await database.write(add_image, b"layer")
    assert await database.write(garbage.collect_link, (1, 1), grace_ms=100) == (False, None)
    assert await database.write(garbage.collect_link, (1, 1), grace_ms=0) == (False, None)


async def test_a_manifest_is_asked_about_again(database: Database, time: Time) -> None:
    await database.write(add_blob, b"layer")
    manifest = await database.write(add_image, b"layer")
    await database.write(garbage.mark_manifest, manifest)
    time.ms = 50
    rules = Rules(grace=100, lease=10, horizon=1000, untagged_after=50, orphaned_tags=False)
    assert (await database.read(planned, rules)).manifests == [manifest]
    await database.write(add_image, b"layer", tag="1")
    assert await database.write(garbage.collect_manifest, manifest, untagged_after_ms=50) is None
    assert await database.write(garbage.collect_manifest, 77, untagged_after_ms=50) is None
    assert database.read_now(value, "SELECT COUNT(*) FROM manifest") == 1


async def test_a_blob_is_asked_about_again_before_its_row_goes(database: Database, time: Time) -> None:
    digest = Digest.parse(digest_of(b"layer"))
    await database.write(add_blob, b"layer")
    assert await database.write(garbage.remove_blob, digest, age_ms=0) is None
    await database.write(blobs.unlink, NAME, digest)
    time.ms = 999
    assert await database.write(garbage.remove_blob, digest, age_ms=1000) is None
    time.ms = 1000
    assert await database.write(garbage.remove_blob, digest, age_ms=1000) == 5
    assert await database.write(garbage.remove_blob, digest, age_ms=1000) is None


@pytest.mark.parametrize(
    ("shortage", "removed"),
    [
        (0, ["1"]),
        (1, ["1"]),
        (10, ["1"]),
        (11, ["1", "2"]),
        (20, ["1", "2"]),
        (21, ["1", "2", "3"]),
        (99, ["1", "2", "3"]),
    ],
)
async def test_where_room_is_short_the_oldest_go_first(
    database: Database, time: Time, shortage: int, removed: list[str]
) -> None:
    """The first is past the horizon, the fourth is younger than a lease."""
    contents = {Digest.parse(digest_of(text.encode() * 10)): text for text in "1234"}
    for when, digest in zip((0, 500, 600, 995), contents, strict=True):
        await database.write(blobs.add, NAME, digest, 10, lease_ms=0)
        time.ms = when
        await database.write(blobs.unlink, NAME, digest)
    time.ms = 1000
    rules = Rules(grace=100, lease=10, horizon=1000, untagged_after=None, orphaned_tags=False, shortage_bytes=shortage)
    plan = await database.read(planned, rules)
    assert [contents[digest] for digest in plan.removed] == removed
    assert plan.removed_bytes == 10 * len(removed)


async def test_the_newest_condemnation_of_all_that_was_removed_is_remembered(database: Database, time: Time) -> None:
    """Snapshots from before it miss files."""
    wall: list[int] = []
    for text in (b"1", b"2", b"3"):
        time.ms += 1000
        await database.write(add_blob, text)
        await database.write(blobs.unlink, NAME, Digest.parse(digest_of(text)))
    time.ms = 10_000
    for text, ages_ms in ((b"2", 8000), (b"1", 9000), (b"3", 7000)):
        before = await database.read(lambda tx: tx.now_ms)
        await database.write(garbage.remove_blob, Digest.parse(digest_of(text)), age_ms=0)
        after = await database.read(lambda tx: tx.now_ms)
        since = database.read_now(value, "SELECT restorable_since_ms FROM daemon")
        assert isinstance(since, int)
        wall.append(since)
        if text != b"1":
            assert before - ages_ms <= since <= after - ages_ms
    assert wall[1] == wall[0] < wall[2]


async def test_a_step_is_taken_for_at_least_one_and_for_no_longer_than_allowed(database: Database) -> None:
    for limit_ms, done in ((0, [1]), (60_000, [1, 2, 3])):
        assert await database.write(garbage.each, lambda tx, item: item, [1, 2, 3], limit_ms=limit_ms) == done


async def test_as_many_pages_are_given_back_as_were_asked_for(database: Database) -> None:
    def fill(tx: WriteTx) -> None:
        tx.execute("CREATE TABLE large (content BLOB)")
        tx.execute("INSERT INTO large VALUES (zeroblob(4000000))")
        tx.execute("DROP TABLE large")

    await database.write(fill)
    free, total = await database.read(garbage.free_pages)
    await database.write(garbage.give_back_pages, 200)
    assert await database.read(garbage.free_pages) == (free - 200, total - 200)
