"""The life of a blob from its push to the removal of its file, by the service as clients meet it."""

from __future__ import annotations

import time
from typing import TYPE_CHECKING

import pytest
import trio.testing

from registry.service.garbage import Totals
from registry.service.policy import GarbagePolicy, Policy
from tests.tools.content import CONFIG, begin_upload, digest_of, image, push_blob, push_image, push_manifest
from tests.tools.life import DAY, HORIZON, LEASE, SLOW_SCRUB, Life, collect

if TYPE_CHECKING:
    from trio.testing import MockClock

NOTHING = Totals()


async def test_a_blob_that_nothing_refers_to_goes_in_two_steps(life: Life) -> None:
    async with life.opened() as opened:
        digest = await push_blob(opened.client, "team/app", b"layer")
        life.go_on(DAY - 1)
        assert await collect(opened) == NOTHING
        life.go_on(1)
        assert await collect(opened) == Totals(links=1, condemned_blobs=1, condemned_bytes=5)
        assert [await opened.status(method, f"team/app/blobs/{digest}") for method in ("HEAD", "GET", "DELETE")] == [
            404,
            404,
            404,
        ]
        assert life.blob(digest).read_bytes() == b"layer"
        life.go_on(HORIZON - 1)
        assert await collect(opened) == NOTHING
        life.go_on(1)
        assert await collect(opened) == Totals(removed_blobs=1, removed_bytes=5)
        assert await opened.state(digest) == "gone"
        assert not life.blob(digest).exists()


async def test_what_a_manifest_refers_to_stays_and_grace_begins_when_it_goes(life: Life) -> None:
    async with life.opened() as opened:
        manifest = await push_image(opened.client, "team/app", "1", b"layer")
        life.go_on(100 * DAY)
        assert await collect(opened) == NOTHING
        assert await opened.status("DELETE", f"team/app/manifests/{digest_of(manifest)}") == 202
        life.go_on(DAY - 1)
        assert await collect(opened) == NOTHING
        life.go_on(1)
        assert await collect(opened) == Totals(links=2, condemned_blobs=2, condemned_bytes=len(CONFIG) + 5)


@pytest.mark.parametrize(
    ("method", "target", "status"),
    [
        ("HEAD", "blobs/{}", 200),
        ("GET", "blobs/{}", 200),
        ("POST", "blobs/uploads/?mount={}&from=team/app", 201),
        ("POST", "blobs/uploads/?mount={}", 201),
    ],
)
async def test_who_was_told_of_a_blob_can_rely_on_it(life: Life, method: str, target: str, status: int) -> None:
    async with life.opened() as opened:
        digest = await push_blob(opened.client, "team/app", b"layer")
        life.go_on(DAY - 1)
        assert await opened.status(method, "team/app/" + target.format(digest)) == status
        life.go_on(LEASE - 1)
        assert await collect(opened) == NOTHING
        assert await collect(opened, now=True) == NOTHING
        assert (await push_manifest(opened.client, "team/app", "1", image(config=b"layer"))).status == 201


async def test_a_mount_leases_the_new_link_alone(life: Life) -> None:
    async with life.opened() as opened:
        digest = await push_blob(opened.client, "team/app", b"layer")
        life.go_on(DAY)
        assert await opened.status("POST", f"other/app/blobs/uploads/?mount={digest}&from=team/app") == 201
        assert await collect(opened) == Totals(links=1)
        assert await opened.status("HEAD", f"team/app/blobs/{digest}") == 404
        assert await opened.status("HEAD", f"other/app/blobs/{digest}") == 200


async def test_a_lease_is_written_anew_when_a_quarter_of_it_has_gone_by(life: Life) -> None:
    async with life.opened() as opened:
        digest = await push_blob(opened.client, "team/app", b"layer")
        changes = opened.registry.database.changes
        life.go_on(LEASE / 4)
        assert await opened.status("HEAD", f"team/app/blobs/{digest}") == 200
        assert opened.registry.database.changes == changes
        life.go_on(1)
        assert await opened.status("HEAD", f"team/app/blobs/{digest}") == 200
        assert opened.registry.database.changes == changes + 1


async def test_now_leaves_out_the_grace_but_neither_leases_nor_uploads(life: Life) -> None:
    async with life.opened() as opened:
        digest = await push_blob(opened.client, "team/app", b"layer")
        location = await begin_upload(opened.client, "team/app")
        location = (await opened.client("PATCH", location, b"half")).headers["location"]
        life.go_on(LEASE - 1)
        assert await collect(opened, now=True) == NOTHING
        life.go_on(1)
        assert await collect(opened) == NOTHING
        assert await collect(opened, now=True) == Totals(links=1, condemned_blobs=1, condemned_bytes=5)
        assert await opened.state(digest) == "condemned"
        assert (await opened.client("PUT", f"{location}?digest={digest_of(b'half')}")).status == 201


async def test_a_push_brings_a_condemned_blob_back_and_a_mount_does_not(life: Life) -> None:
    async with life.opened() as opened:
        digest = await push_blob(opened.client, "team/app", b"layer")
        life.go_on(DAY)
        await collect(opened)
        assert await opened.status("POST", f"team/app/blobs/uploads/?mount={digest}&from=team/app") == 202
        life.go_on(HORIZON - 1)
        await push_blob(opened.client, "other/app", b"layer")
        life.go_on(1)
        assert await collect(opened) == NOTHING
        assert await opened.state(digest) == "linked"
        assert await opened.status("HEAD", f"team/app/blobs/{digest}") == 404
        assert (await opened.client("GET", f"/v2/other/app/blobs/{digest}")).body == b"layer"


async def test_a_blob_that_a_client_deletes_is_condemned_at_once(life: Life) -> None:
    async with life.opened() as opened:
        digest = await push_blob(opened.client, "team/app", b"layer")
        await push_blob(opened.client, "other/app", b"layer")
        assert await opened.status("DELETE", f"team/app/blobs/{digest}") == 202
        assert await opened.state(digest) == "linked"
        assert await opened.status("DELETE", f"other/app/blobs/{digest}") == 202
        assert await opened.state(digest) == "condemned"
        life.go_on(HORIZON)
        assert await collect(opened) == Totals(removed_blobs=1, removed_bytes=5)


async def test_a_repository_loses_what_another_one_still_refers_to(life: Life) -> None:
    async with life.opened() as opened:
        await push_image(opened.client, "team/app", "1", b"shared")
        digest = await push_blob(opened.client, "other/app", b"shared")
        life.go_on(DAY)
        assert await collect(opened) == Totals(links=1)
        assert await opened.status("GET", f"team/app/blobs/{digest}") == 200
        assert await opened.status("GET", f"other/app/blobs/{digest}") == 404


async def test_many_go_in_batches(life: Life) -> None:
    async with life.opened(GarbagePolicy(batch=2)) as opened:
        digests = [await push_blob(opened.client, "team/app", b"%d" % number) for number in range(7)]
        life.go_on(DAY)
        assert (await collect(opened)).condemned_blobs == 7
        life.go_on(HORIZON)
        assert (await collect(opened)).removed_blobs == 7
        assert not any(life.blob(digest).exists() for digest in digests)


async def test_downtime_makes_nothing_older(life: Life) -> None:
    async with life.opened() as opened:
        digest = await push_blob(opened.client, "team/app", b"layer")
        location = await begin_upload(opened.client, "team/app")
        life.go_on(DAY - 10)
        await opened.save_clock()
    life.go_on(30 * DAY)
    async with life.opened() as opened:
        life.go_on(9)
        assert await collect(opened) == NOTHING
        assert (await opened.client("GET", location)).status == 204
        life.go_on(1)
        assert (await collect(opened)).condemned_blobs == 1
        assert await opened.state(digest) == "condemned"


@pytest.mark.parametrize("jump_seconds", [400 * DAY, -400 * DAY])
async def test_a_wall_clock_that_jumps_changes_nothing(
    life: Life, monkeypatch: pytest.MonkeyPatch, jump_seconds: float
) -> None:
    wall = time.time_ns
    async with life.opened() as opened:
        await push_blob(opened.client, "team/app", b"layer")
        location = await begin_upload(opened.client, "team/app")
        monkeypatch.setattr(time, "time_ns", lambda: wall() + int(jump_seconds * 10**9))
        assert await collect(opened) == NOTHING
        assert (await opened.client("GET", location)).status == 204
        life.go_on(DAY)
        assert (await collect(opened)).condemned_blobs == 1


async def test_what_blobs_of_a_sparse_image_arrive_later_are_held(life: Life) -> None:
    policy = Policy(allow_missing=True, scrub=SLOW_SCRUB, reserve_bytes=0)
    async with life.opened(policy=policy) as opened:
        manifest = image(b"late")
        assert (await push_manifest(opened.client, "team/app", "1", manifest)).status == 201
        digest = await push_blob(opened.client, "team/app", b"late")
        await push_blob(opened.client, "other/app", b"late")
        life.go_on(DAY)
        assert await collect(opened) == Totals(links=1)
        assert await opened.status("DELETE", f"team/app/blobs/{digest}") == 405
        assert await opened.status("DELETE", f"team/app/manifests/{digest_of(manifest)}") == 202
        life.go_on(DAY)
        assert (await collect(opened)).condemned_blobs == 1


async def test_with_little_room_the_horizon_gives_way_but_no_lease(life: Life) -> None:
    async with life.opened() as opened:
        digest = await push_blob(opened.client, "team/app", b"layer")
        life.go_on(DAY)
        await collect(opened)
        life.go_on(LEASE - 1)
        await opened.save_clock()
        began_ms = time.time_ns() // 1_000_000
    async with life.opened(policy=Policy(scrub=SLOW_SCRUB, reserve_bytes=2**62)) as opened:
        before = (await opened.registry.status.read())["backup"]["restores_in_full_since_ms"]
        assert await collect(opened) == NOTHING
        life.go_on(1)
        assert await collect(opened) == Totals(removed_blobs=1, removed_bytes=5)
        assert not life.blob(digest).exists()
        since = (await opened.registry.status.read())["backup"]["restores_in_full_since_ms"]
    assert before == 0
    assert began_ms - LEASE * 1000 <= since <= time.time_ns() // 1_000_000 - LEASE * 1000 + 1000


async def test_history_of_tags_is_forgotten_in_time(life: Life) -> None:
    async with life.opened(GarbagePolicy(history_seconds=10 * DAY)) as opened:
        await push_image(opened.client, "team/app", "1", b"1")
        life.go_on(10 * DAY)
        await push_image(opened.client, "team/app", "1", b"2")
        await collect(opened)
        life.go_on(1)
        await collect(opened)
        changes = await opened.registry.database.read(
            lambda tx: tx.execute("SELECT COUNT(*), COUNT(old_digest) FROM tag_history").fetchone()
        )
        assert changes == (1, 1)


async def test_it_runs_by_itself(life: Life, mock_clock: MockClock) -> None:
    async with life.opened() as opened:
        digest = await push_blob(opened.client, "team/app", b"layer")
        life.go_on(DAY)
        await trio.testing.wait_all_tasks_blocked()
        mock_clock.jump(opened.registry.policy.garbage.interval_seconds - 1)
        await trio.testing.wait_all_tasks_blocked()
        assert opened.registry.garbage.runs == 0
        mock_clock.jump(1)
        await trio.testing.wait_all_tasks_blocked()
        assert opened.registry.garbage.runs == 1
        assert await opened.state(digest) == "condemned"
