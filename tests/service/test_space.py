"""Room on the disk: what is refused, and what goes on all the same."""

from __future__ import annotations

import errno
from typing import TYPE_CHECKING

import pytest

from registry.oci.errors import InsufficientStorage, Overloaded
from registry.service.policy import Policy
from registry.service.space import shortage
from registry.store.space import Room, StorageFull
from tests.tools.content import CONFIG, begin_upload, digest_of, image, push_image, push_manifest
from tests.tools.life import SLOW_SCRUB, Life

if TYPE_CHECKING:
    from collections.abc import AsyncGenerator

FULL = Policy(reserve_bytes=2**62, scrub=SLOW_SCRUB)
NAME = "team/app"


async def test_below_the_reserve_pushes_are_refused_and_the_rest_goes_on(life: Life) -> None:
    async with life.opened() as opened:
        manifest = await push_image(opened.client, NAME, "1", b"layer")
        await push_image(opened.client, NAME, "2", b"layer")
        location = await begin_upload(opened.client, NAME)
    async with life.opened(policy=FULL) as opened:
        for method, target, body in (
            ("POST", f"/v2/{NAME}/blobs/uploads/", b""),
            ("POST", f"/v2/{NAME}/blobs/uploads/?digest={digest_of(b'x')}", b"x"),
            ("PATCH", location, b"x"),
            ("PUT", f"{location}?digest={digest_of(b'x')}", b"x"),
        ):
            reply = await opened.client(method, target, body)
            assert (reply.status, len(reply.json()["errors"])) == (507, 1), (method, target)
        assert (await push_manifest(opened.client, NAME, "3", image(config=CONFIG))).status == 507
        assert await opened.status("GET", f"{NAME}/blobs/{digest_of(b'layer')}") == 200
        assert await opened.status("GET", f"{NAME}/manifests/{digest_of(manifest)}") == 200
        assert await opened.status("DELETE", f"{NAME}/manifests/1") == 202
        assert await opened.status("DELETE", f"{NAME}/manifests/{digest_of(manifest)}") == 202
        assert (await opened.registry.garbage.run(walk=True)).removed_blobs == 0
        assert [notice.split(":")[0] for notice in opened.registry.health.notices()] == ["disk"]
        assert (await opened.registry.health.probe_push() or "").startswith("disk: ")
        assert len(list((life.data / "uploads").iterdir())) <= 1


async def test_a_body_that_does_not_fit_is_refused_before_it_is_read(life: Life) -> None:
    async def body() -> AsyncGenerator[bytes, None]:
        raise AssertionError("nobody may ask for it")
        yield b""

    async with life.opened() as opened:
        headers = {"Content-Length": str(2**60)}
        target = f"/v2/{NAME}/blobs/uploads/?digest={digest_of(b'x')}"
        assert (await opened.client("POST", target, body(), headers)).status == 507


async def test_room_that_was_promised_is_not_promised_twice(life: Life, monkeypatch: pytest.MonkeyPatch) -> None:
    async with life.opened() as opened:
        space, store = opened.registry.space, opened.registry.store_space
        room = store.room()
        monkeypatch.setattr(store, "room", lambda: room)  # others give back and use room on this disk all the time
        await space.look()
        free = room.free_bytes
        one, other = (opened.registry.files.new_upload(name, lambda _: None) for name in ("one", "other"))
        await space.promise(one, free // 2 + 1)
        with pytest.raises(InsufficientStorage):
            await space.require(free // 2 + 1)
        with pytest.raises(InsufficientStorage):
            await space.promise(other, free // 2 + 1)
        space.release(other, free // 2 + 1)
        one.append(b"received", None)  # what has come is not promised any more
        await space.require(free // 2 + 7)
        space.release(one, free // 2 + 1)
        await space.require(free)
        one.close()
        other.close()


async def test_it_recovers_by_itself(life: Life) -> None:
    async with life.opened(policy=Policy(reserve_bytes=0, scrub=SLOW_SCRUB)) as opened:
        space, registry = opened.registry.space, opened.registry
        registry.policy = FULL
        await space.look()
        assert space.complaint() is not None
        assert space.shortage_bytes() > 0
        registry.policy = Policy(reserve_bytes=0)
        await space.look()
        assert (space.complaint(), space.shortage_bytes()) == (None, 0)
        await push_image(opened.client, NAME, "1", b"layer")


async def test_nothing_is_refused_for_what_was_so_a_second_ago(life: Life) -> None:
    async with life.opened(policy=Policy(reserve_bytes=1, scrub=SLOW_SCRUB)) as opened:
        space = opened.registry.space
        for reason in (space.require, space.require_for_rows):
            space._room = Room(2**40, 0, None)  # as it was looked at last; meanwhile somebody has given back space
            await reason()
        space._room = Room(2**40, 0, None)
        await push_image(opened.client, NAME, "1", b"layer")


async def test_the_reserve_is_the_smaller_of_a_gibibyte_and_a_twentieth(life: Life) -> None:
    async with life.opened(policy=Policy(scrub=SLOW_SCRUB)) as opened:
        total = opened.registry.store_space.room().total_bytes
        assert opened.registry.space.reserve_bytes == min(total // 20, 1024**3)


def test_what_clients_are_told_of_what_has_run_out() -> None:
    for error in (OSError(errno.ENOSPC, ""), OSError(errno.EDQUOT, ""), StorageFull("")):
        assert isinstance(shortage(error), InsufficientStorage)
    for number in (errno.EMFILE, errno.ENFILE):
        assert isinstance(shortage(OSError(number, "")), Overloaded)
    assert shortage(OSError(errno.EIO, "")) is None
