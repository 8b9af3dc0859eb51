"""Reading what nobody has read for long."""

from __future__ import annotations

from typing import TYPE_CHECKING

import trio.testing

from registry.service.policy import Policy, ScrubPolicy
from tests.tools.content import push_blob
from tests.tools.life import DAY, Life, Opened, flip

if TYPE_CHECKING:
    from trio.testing import MockClock

CONTENTS = [b"first", b"second", b"third"]


async def push_all(life: Life, opened: Opened) -> list[str]:
    digests = []
    for content in CONTENTS:
        digests.append(await push_blob(opened.client, "team/app", content))
        life.go_on(1)
    return digests


async def test_all_is_read_and_what_is_bad_is_named_and_marked(life: Life) -> None:
    async with life.opened() as opened:
        first, second, third = await push_all(life, opened)
        flip(life.blob(first))
        life.blob(third).unlink()
        life.go_on(DAY)
        progress = await opened.registry.scrub.run(before_ms=None, seconds=60)
        assert sorted(progress.bad) == sorted([first, third])
        assert (progress.verified_blobs, progress.verified_bytes) == (3, 16)
        assert (progress.left_blobs, progress.left_bytes) == (0, 0)
        assert [await opened.state(digest) for digest in (first, second, third)] == ["corrupt", "linked", "missing"]
        assert await opened.status("HEAD", f"team/app/blobs/{first}") == 404
        again = await opened.registry.scrub.run(before_ms=progress.before_ms, seconds=60)
        assert again.verified_blobs == 0


async def test_a_file_that_comes_back_by_itself_is_healed(life: Life) -> None:
    async with life.opened() as opened:
        digest = await push_blob(opened.client, "team/app", b"layer")
        flip(life.blob(digest))
        life.go_on(1)
        assert (await opened.registry.scrub.run(before_ms=None, seconds=60)).bad == [digest]
        flip(life.blob(digest))
        life.go_on(1)
        assert (await opened.registry.scrub.run(before_ms=None, seconds=60)).bad == []
        assert await opened.status("HEAD", f"team/app/blobs/{digest}") == 200


async def test_a_scrub_that_has_no_time_goes_on_where_it_was(life: Life) -> None:
    async with life.opened() as opened:
        await push_all(life, opened)
        progress = await opened.registry.scrub.run(before_ms=None, seconds=0)
        assert (progress.verified_blobs, progress.left_blobs) == (1, 2)
        life.go_on(1)
        await push_blob(opened.client, "team/app", b"pushed meanwhile")
        progress = await opened.registry.scrub.run(before_ms=progress.before_ms, seconds=60)
        assert (progress.verified_blobs, progress.left_blobs) == (2, 0)


async def test_by_itself_it_reads_what_was_verified_longest_ago_first(life: Life, mock_clock: MockClock) -> None:
    scrub = ScrubPolicy(bytes_per_second=4 * 1024 * 1024, verified_seconds=10)
    async with life.opened(policy=Policy(scrub=scrub, reserve_bytes=0)) as opened:
        digests = await push_all(life, opened)
        await opened.client("GET", f"/v2/team/app/blobs/{digests[0]}")
        for digest in digests:
            flip(life.blob(digest))
        life.go_on(9)  # the first two are old enough now, the third is not
        seen = []
        for _ in range(5):
            await trio.testing.wait_all_tasks_blocked()
            mock_clock.jump(60)
            await trio.testing.wait_all_tasks_blocked()
            seen.append([await opened.state(digest) for digest in digests])
        assert ["corrupt", "linked", "linked"] in seen
        assert seen[-1] == ["corrupt", "corrupt", "linked"]
        assert opened.registry.scrub.verified_blobs == 2


# Each blob is counted as 4 MiB, so that a million small ones take more than two days at the default of 20 MiB/s.
async def test_small_blobs_take_the_time_of_their_bytes(life: Life, mock_clock: MockClock) -> None:
    scrub = ScrubPolicy(bytes_per_second=8, verified_seconds=10)
    async with life.opened(policy=Policy(scrub=scrub, reserve_bytes=0)) as opened:
        await push_all(life, opened)
        life.go_on(10)
        for _ in range(4):
            await trio.testing.wait_all_tasks_blocked()
            mock_clock.jump(60)
        await trio.testing.wait_all_tasks_blocked()
        assert opened.registry.scrub.verified_blobs == 3
