"""A piece of a body stays in its memory until it is in a file, whoever else needs memory meanwhile."""

from __future__ import annotations

import os
from typing import TYPE_CHECKING

import pytest
import trio

from registry.oci.digests import Digest
from registry.oci.names import RepositoryName
from registry.service.bodies import Chunk, PiecedBody
from registry.service.policy import Policy
from registry.service.registry import open_registry
from registry.service.rooms import Rooms
from registry.store.jobs import Queue

if TYPE_CHECKING:
    from collections.abc import AsyncIterator
    from pathlib import Path

_BYTES = 65_536


def test_a_room_is_lent_again_and_never_to_two_at_a_time() -> None:
    rooms = Rooms(_BYTES)
    first, second = rooms.lend(_BYTES), rooms.lend(_BYTES)
    assert first.obj is not second.obj
    rooms.take_back(first)
    third, fourth = rooms.lend(20_000), rooms.lend(_BYTES)
    assert third.obj is first.obj
    assert fourth.obj is not first.obj
    assert fourth.obj is not second.obj


@pytest.mark.parametrize(("wanted", "given"), [(1, 1), (16_384, 16_384), (16_385, 16_385), (70_000, _BYTES)])
def test_a_room_is_as_large_as_is_asked_for_up_to_the_most_that_there_is(wanted: int, given: int) -> None:
    rooms = Rooms(_BYTES)
    for _ in range(2):  # a new one, and one that was there
        room = rooms.lend(wanted)
        assert len(room) == given
        rooms.take_back(room)


def test_not_all_memory_is_kept() -> None:
    rooms = Rooms(_BYTES)
    first = [rooms.lend(_BYTES) for _ in range(40)]
    for room in first:
        rooms.take_back(room)
    again = [rooms.lend(_BYTES) for _ in range(40)]
    assert len({id(room.obj) for room in first} & {id(room.obj) for room in again}) == 16


async def test_what_waits_to_be_published_is_not_overwritten(tmp_path: Path) -> None:
    contents = [os.urandom(100_000) for _ in range(3)]

    async def body(content: bytes) -> AsyncIterator[bytes]:
        yield content

    async with open_registry(tmp_path, Policy()) as registry:
        publisher = registry.uploads.publisher
        waiting, publisher._queue = publisher._queue, Queue()
        async with trio.open_nursery() as nursery:
            for count, content in enumerate(contents, 1):
                chunk = Chunk(PiecedBody(body(content)), content_length=len(content))
                nursery.start_soon(registry.uploads.push, RepositoryName.parse("a"), chunk, Digest.of(content))
                while len(publisher._queue._items) < count:
                    await trio.lowlevel.checkpoint()
            for each in await publisher._queue.take(len(contents)):
                waiting.put(each)
    for content in contents:
        assert (tmp_path / "blobs/sha256" / Digest.of(content).hex).read_bytes() == content
