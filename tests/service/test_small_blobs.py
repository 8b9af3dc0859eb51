"""Small blobs come from memory, and whether they may be read is asked each time."""

from __future__ import annotations

import os
import tracemalloc

import pytest

from registry.oci.digests import Digest
from registry.service import small_blobs
from registry.service.small_blobs import SmallBlobs
from tests.tools.content import digest_of, image, push_blob, push_image, push_manifest
from tests.tools.life import DAY, Life, Opened, collect, flip

NAME = "team/app"
LAYER = b"layer"
DIGEST = digest_of(LAYER)
TARGET = f"{NAME}/blobs/{DIGEST}"


async def read(opened: Opened, content: bytes = LAYER) -> None:
    reply = await opened.client("GET", f"/v2/{NAME}/blobs/{digest_of(content)}")
    assert (reply.status, reply.body) == (200, content)


async def test_what_was_read_is_read_again_without_its_file(life: Life) -> None:
    async with life.opened() as opened:
        await push_image(opened.client, NAME, "1", LAYER)
        await read(opened)
        life.blob(DIGEST).rename(life.data / "elsewhere")
        await read(opened)
        reply = await opened.client("GET", f"/v2/{TARGET}", headers={"Range": "bytes=1-3"})
        assert (reply.status, reply.body) == (206, LAYER[1:4])
        assert await opened.status("GET", f"other/blobs/{DIGEST}") == 404


async def test_what_garbage_collection_takes_is_not_answered(life: Life) -> None:
    async with life.opened() as opened:
        await push_blob(opened.client, NAME, LAYER)
        await read(opened)
        life.go_on(30 * DAY)
        await collect(opened)
        assert await opened.status("GET", TARGET) == 404


async def test_what_a_scrub_found_damaged_is_not_answered_until_it_is_pushed_again(life: Life) -> None:
    async with life.opened() as opened:
        await push_image(opened.client, NAME, "1", LAYER)
        await read(opened)
        flip(life.blob(DIGEST))
        assert not await opened.registry.damage.verify(Digest.parse(DIGEST), len(LAYER))
        assert await opened.status("GET", TARGET) == 404
        await push_blob(opened.client, NAME, LAYER)
        await read(opened)


async def test_the_first_read_finds_a_wrong_content_before_the_answer(life: Life) -> None:
    async with life.opened() as opened:
        await push_image(opened.client, NAME, "1", LAYER)
        flip(life.blob(DIGEST))
        assert await opened.status("GET", TARGET) == 404
        assert await opened.state(DIGEST) == "corrupt"


async def test_the_file_is_read_when_it_is_to_be_verified(life: Life) -> None:
    async with life.opened() as opened:
        await push_blob(opened.client, NAME, LAYER)
        await push_manifest(opened.client, NAME, "1", image(config=LAYER))
        await read(opened)
        life.blob(DIGEST).unlink()
        life.go_on(opened.registry.policy.scrub.verified_seconds)
        assert await opened.status("GET", TARGET) == 404
        assert await opened.state(DIGEST) == "missing"


@pytest.mark.parametrize("size", [0, small_blobs.LIMIT_BYTES, small_blobs.LIMIT_BYTES + 1])
async def test_only_small_ones_are_kept(life: Life, size: int) -> None:
    content = os.urandom(size)
    async with life.opened() as opened:
        await push_image(opened.client, NAME, "1", content)
        await read(opened, content)
        kept = opened.registry.small_blobs.get(Digest.parse(digest_of(content)))
        assert kept == (content if size <= small_blobs.LIMIT_BYTES else None)


def test_the_oldest_one_gives_way() -> None:
    kept = SmallBlobs(10_000)
    contents = [letter * size for letter, size in ((b"a", 4000), (b"b", 4000), (b"c", 2000), (b"d", 1))]
    for content in contents:
        kept.keep(Digest.of(content), content)
    assert [kept.get(Digest.of(content)) for content in contents] == [None, *contents[1:]]


def test_the_smallest_ones_take_no_more_memory() -> None:
    """Anybody who may push can make as many of them as he likes."""
    kept = SmallBlobs()
    contents = [b"%x" % number for number in range(100_000)]
    tracemalloc.start()
    try:
        for content in contents:
            kept.keep(Digest.of(content), content)
        taken, _ = tracemalloc.get_traced_memory()
    finally:
        tracemalloc.stop()
    assert taken < 1.5 * small_blobs._ALL_BYTES
