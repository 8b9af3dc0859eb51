"""fsck: each kind of inconsistency is found, and nothing else is."""

from __future__ import annotations

import os
import sqlite3
import threading
from contextlib import closing
from dataclasses import dataclass, field
from typing import TYPE_CHECKING

import pytest
import trio

from registry.service.check import STAGES, Step
from registry.store.hops import Hops
from tests.tools.content import begin_upload, digest_of, index, push_blob, push_image, push_manifest
from tests.tools.life import DAY, Life, Opened, flip, spoil_manifest

if TYPE_CHECKING:
    from collections.abc import Callable

    from registry.store.transactions import WriteTx

NAME = "team/app"


@dataclass
class Result:
    findings: list[tuple[str, str]] = field(default_factory=list)
    notes: list[tuple[str, str]] = field(default_factory=list)

    def add(self, step: Step) -> None:
        self.findings += [(finding.subject, finding.message) for finding in step.findings]
        self.notes += [(note.subject, note.message) for note in step.notes]


async def check(opened: Opened, *, full: bool = True, seconds: float = 60) -> Result:
    result, stage, after = Result(), STAGES[0], ""
    while True:
        step = await opened.registry.check.step(stage, after, seconds=seconds, full=full)
        result.add(step)
        if step.next_stage is None:
            return result
        stage, after = step.next_stage, step.next_after


async def fill(opened: Opened) -> bytes:
    """Something of everything; the manifest of the image ``1``."""
    manifest = await push_image(opened.client, NAME, "1", b"layer")
    await push_manifest(opened.client, NAME, "all", index(manifest))
    await push_blob(opened.client, NAME, b"alone", "sha512")
    await opened.client("PATCH", await begin_upload(opened.client, NAME), b"half")
    return manifest


@pytest.mark.parametrize("full", [False, True])
@pytest.mark.parametrize("seconds", [0, 60])
async def test_a_healthy_registry_is_clean(life: Life, full: bool, seconds: float) -> None:
    async with life.opened() as opened:
        await fill(opened)
        await push_blob(opened.client, NAME, b"garbage")
        life.go_on(DAY)
        assert (await opened.registry.garbage.run()).condemned_blobs == 2
        assert await check(opened, full=full, seconds=seconds) == Result()


def _remove(life: Life) -> None:
    life.blob(digest_of(b"layer")).unlink()


def _truncate(life: Life) -> None:
    os.truncate(life.blob(digest_of(b"layer")), 2)


def _flip(life: Life) -> None:
    flip(life.blob(digest_of(b"layer")))


@pytest.mark.parametrize(
    ("harm", "quick", "full"),
    [
        (_remove, ["has no file"], ["has no file", "can't be read"]),
        (_truncate, ["has 2 bytes instead of 5"], ["has 2 bytes instead of 5", "has other content"]),
        (_flip, [], ["has other content"]),
    ],
)
async def test_files_that_are_not_what_their_rows_say(
    life: Life, harm: Callable[[Life], None], quick: list[str], full: list[str]
) -> None:
    async with life.opened() as opened:
        await fill(opened)
        harm(life)
        for is_full, expected in ((False, quick), (True, full)):
            result = await check(opened, full=is_full)
            assert [subject for subject, _ in result.findings] == [digest_of(b"layer")] * len(expected)
            for (_, message), start in zip(result.findings, expected, strict=True):
                assert message.startswith(start)
        assert await opened.state(digest_of(b"layer")) == "linked"  # it reports and changes nothing


async def test_files_that_no_row_knows(life: Life) -> None:
    async with life.opened() as opened:
        await fill(opened)
        orphan = life.blob(digest_of(b"orphan"))
        for path in (orphan, orphan.with_name("strange"), life.data / "uploads/22222222-2222-4222-8222-222222222222"):
            path.write_bytes(b"orphan")
        result = await check(opened, full=False)
        assert [subject for subject, _ in result.findings] == ["blobs/sha256/strange"]
        assert sorted(subject for subject, _ in result.notes) == [
            f"blobs/sha256/{orphan.name}",
            "uploads/22222222-2222-4222-8222-222222222222",
        ]


async def test_an_upload_that_lost_bytes(life: Life) -> None:
    async with life.opened() as opened:
        await fill(opened)
        [path] = (life.data / "uploads").iterdir()
        os.truncate(path, 1)
        result = await check(opened, full=False)
        assert result.findings == [(f"uploads/{path.name}", "has 1 bytes, 4 were acknowledged")]


async def test_blobs_that_are_known_to_be_damaged_are_told_once(life: Life) -> None:
    async with life.opened() as opened:
        await fill(opened)
        _remove(life)
        await opened.status("GET", f"{NAME}/blobs/{digest_of(b'layer')}")
        result = await check(opened)
        assert result.findings == [(digest_of(b"layer"), "is missing; push it again")]


SPOILT = [
    ("UPDATE repository_blob SET unreferenced_clock_ms = 1", "a link is marked as unreferenced although"),
    ("UPDATE repository_blob SET unreferenced_clock_ms = NULL", "a link is marked as unreferenced although"),
    ("UPDATE edge SET digest = digest || 'x' WHERE kind = 'layer'", "a manifest refers to a blob under another digest"),
    ("UPDATE edge SET blob_id = NULL", "a manifest is not bound to a blob"),
    ("UPDATE edge SET repository_id = 77, blob_id = NULL", "a reference stands in another repository"),
    ("DELETE FROM repository_blob WHERE unreferenced_clock_ms IS NOT NULL", "a blob is in no repository and not"),
    ("UPDATE manifest_body SET body = x'00', dictionary = NULL", "a manifest has no bytes, or another number of them"),
    ("UPDATE manifest_body SET body = zeroblob(5000)", "a manifest has no bytes, or another number of them"),
    ("DELETE FROM manifest_body", "a manifest has no bytes, or another number of them"),
    (
        "INSERT INTO repository VALUES (9, 'x', 0); UPDATE tag SET repository_id = 9",
        "a tag names a manifest of another",
    ),
    ("CREATE INDEX more ON blob (size)", "is not as the schema of this release has it"),
    ("DROP TRIGGER condemned_blob_has_no_link", "is not as the schema of this release has it"),
    ("DELETE FROM manifest", "refers to a row of manifest that is not there"),
]


@pytest.mark.parametrize(("sql", "message"), SPOILT)
async def test_rows_that_can_not_be(life: Life, sql: str, message: str) -> None:
    async with life.opened() as opened:
        await fill(opened)
    with closing(sqlite3.connect(life.data / "registry.db")) as connection:
        connection.executescript(sql)
    async with life.opened() as opened:
        result = await check(opened, full=False)
        assert any(message in found for _, found in result.findings), result


async def test_a_page_of_the_database_that_is_overwritten(life: Life) -> None:
    async with life.opened() as opened:
        for number in range(50):
            await push_manifest(opened.client, NAME, f"{number}", index(annotations={"n": "x" * 3000 + str(number)}))
        died = life.died()
    with closing(sqlite3.connect(died.data / "registry.db")) as connection:
        connection.execute("PRAGMA wal_checkpoint(TRUNCATE)")
        (root,) = connection.execute("SELECT rootpage FROM sqlite_master WHERE name = 'tag_history_by_tag'").fetchone()
        (size,) = connection.execute("PRAGMA page_size").fetchone()
    flip(died.data / "registry.db", root * size - 40)
    async with died.opened() as opened:
        step = await opened.registry.check.step("database", "", seconds=60, full=False)
        assert any(finding.subject == "registry.db" for finding in step.findings)


@pytest.mark.parametrize("spoil", [None, lambda stored: stored[:-3], lambda _: b"!"])
async def test_manifests_with_other_bytes(life: Life, spoil: Callable[[bytes], bytes] | None) -> None:
    async with life.opened() as opened:
        manifest = await fill(opened)
    spoil_manifest(life.data, manifest, spoil)
    async with life.opened() as opened:
        assert await check(opened, full=False) == Result()
        [(subject, message)] = (await check(opened)).findings
        assert subject == f"{NAME}@{digest_of(manifest)}"
        assert message == "the bytes of the manifest have another digest; push it again"


async def test_it_is_clean_while_clients_push_and_garbage_is_collected(life: Life) -> None:
    async with life.opened(hops=Hops()) as opened, trio.open_nursery() as nursery:
        stop, pushing = trio.Event(), trio.Lock()  # no push lasts a day

        async def work(name: str) -> None:
            number = 0
            while not stop.is_set():
                number += 1
                async with pushing:
                    await push_image(opened.client, name, "1", b"%s %d" % (name.encode(), number))
                    location = await begin_upload(opened.client, name)
                    location = (await opened.client("PATCH", location, b"x" * number)).headers["location"]
                    await opened.client("PUT", f"{location}?digest={digest_of(b'x' * number)}")
                    life.go_on(DAY)
                await opened.registry.garbage.run(walk=True)

        for name in ("a", "b", "c"):
            nursery.start_soon(work, name)
        for _ in range(8):
            findings = (await check(opened)).findings
            assert findings == []
        stop.set()


async def test_a_session_that_a_crash_left_without_its_file_is_no_finding(life: Life) -> None:
    """The machine stopped between the rename and the transaction: such a session is unknown from then on, by design."""
    async with life.opened() as opened:
        location = await begin_upload(opened.client, NAME)
        location = (await opened.client("PATCH", location, b"layer")).headers["location"]
        died = life.died()
    [path] = (died.data / "uploads").iterdir()
    path.rename(died.blob(digest_of(b"layer")))
    async with died.opened() as opened:
        assert await opened.status("GET", location.removeprefix("/v2/")) == 404
        assert (await check(opened)).findings == []


# Between the rename and its transaction a session has no file: that is how a push ends.
async def test_an_upload_that_is_being_published_is_no_finding(life: Life) -> None:
    async with life.opened(hops=Hops()) as opened, trio.open_nursery() as nursery:
        location = await begin_upload(opened.client, NAME)
        location = (await opened.client("PATCH", location, b"layer")).headers["location"]
        begun, go_on, token = trio.Event(), threading.Event(), trio.lowlevel.current_trio_token()

        def hold(_tx: object) -> None:
            trio.from_thread.run_sync(begun.set, trio_token=token)
            go_on.wait()

        nursery.start_soon(opened.registry.database.write, hold)
        await begun.wait()
        nursery.start_soon(opened.client, "PUT", f"{location}?digest={digest_of(b'layer')}")
        try:
            while not life.blob(digest_of(b"layer")).exists():
                await trio.lowlevel.checkpoint()
            assert (await opened.registry.check.step("uploads", "", seconds=60, full=False)).findings == []
        finally:
            go_on.set()


# ``fsck --after contents:...`` without --full, say.
@pytest.mark.parametrize("stage", ["manifests", "contents"])
async def test_a_stage_of_a_full_check_can_be_asked_for_alone(life: Life, stage: str) -> None:
    async with life.opened() as opened:
        step = await opened.registry.check.step(stage, "", seconds=60, full=False)
        assert step.findings == []


@pytest.mark.parametrize("stage", ["database", "rows", "uploads", "names"])
async def test_a_stage_that_does_not_end_in_time_is_left_and_begun_anew(life: Life, stage: str) -> None:
    async with life.opened(hops=Hops()) as opened:
        is_sql = stage in {"database", "rows"}
        if is_sql:
            await opened.registry.database.write(_many_blobs)
        limit = 0.001 if is_sql else 0.0
        step = await opened.registry.check.step(stage, "", seconds=60, full=False, limit_seconds=limit)
        assert (step.next_stage, step.next_after, step.findings) == (stage, "", [])
        step = await opened.registry.check.step(stage, "", seconds=60, full=False, limit_seconds=600)
        assert step.next_stage == STAGES[STAGES.index(stage) + 1]


def _many_blobs(tx: WriteTx) -> None:
    tx.execute(
        "WITH RECURSIVE number (n) AS (SELECT 1 UNION ALL SELECT n + 1 FROM number WHERE n < 100000)"
        " INSERT INTO blob (digest, size, created_ms, condemned_clock_ms)"
        " SELECT printf('sha256:%064x', n), 1, 0, 0 FROM number"
    )
