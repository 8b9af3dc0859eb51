"""Files that no row knows: found, left alone until their age has come, and removed."""

from __future__ import annotations

import os
from uuid import UUID

from registry.service.garbage import Totals
from registry.service.policy import GarbagePolicy, Policy
from tests.tools.content import digest_of, push_blob
from tests.tools.life import DAY, HORIZON, SLOW_SCRUB, Life, collect

NOTHING = Totals()


async def test_files_that_no_row_knows_go_when_their_age_has_come(life: Life) -> None:
    async with life.opened() as opened:
        orphan = life.blob(digest_of(b"orphan"))
        upload = life.data / "uploads" / "11111111-2222-4333-8444-555555555555"
        strange = orphan.with_name("notes.txt")
        for path in (orphan, upload, strange):
            path.write_bytes(b"orphan")
            os.utime(path, (0, 0))
        assert await collect(opened) == NOTHING
        life.go_on(DAY)
        assert await collect(opened) == Totals(orphans=1)
        assert (orphan.exists(), upload.exists()) == (True, False)
        life.go_on(HORIZON - DAY - 1)
        assert await collect(opened) == NOTHING
        life.go_on(1)
        assert await collect(opened) == Totals(orphans=1)
        assert (orphan.exists(), strange.exists()) == (False, True)


async def test_a_file_that_gets_a_row_is_an_orphan_no_more(life: Life) -> None:
    async with life.opened() as opened:
        life.blob(digest_of(b"layer")).write_bytes(b"layer")
        await collect(opened)
        life.go_on(HORIZON)
        await push_blob(opened.client, "team/app", b"layer")
        assert await collect(opened) == NOTHING
        assert life.blob(digest_of(b"layer")).exists()


# A file below uploads/ counts as ours whatever its name is.
async def test_a_file_in_uploads_with_a_strange_name_is_not_touched(life: Life) -> None:
    async with life.opened() as opened:
        strange = life.data / "uploads" / "notes.txt"
        strange.write_bytes(b"somebody's")
        await collect(opened)
        life.go_on(HORIZON)
        await collect(opened)
        assert strange.exists()


async def test_a_dry_run_finds_the_files_that_a_run_would_find(life: Life) -> None:
    policy = Policy(garbage=GarbagePolicy(horizon_seconds=0), upload_idle_seconds=0, scrub=SLOW_SCRUB, reserve_bytes=0)
    async with life.opened(policy=policy) as opened:
        garbage = opened.registry.garbage
        await collect(opened)
        orphan = life.blob(digest_of(b"orphan"))
        for path in (orphan, orphan.with_name("notes.txt"), life.data / "uploads" / f"{UUID(int=1)}"):
            path.write_bytes(b"orphan")
        planned = await garbage.dry_run(walk=True)
        assert planned == Totals(orphans=2)
        assert await garbage.dry_run() == NOTHING  # which notes nothing
        assert orphan.exists()
        assert await collect(opened) == planned
