"""Which manifests and tags are collected, and that a dry run foresees all of it."""

from __future__ import annotations

import json
import tempfile
from contextlib import AsyncExitStack
from pathlib import Path
from typing import TYPE_CHECKING

import pytest
import trio
from hypothesis import given, settings
from hypothesis import strategies as st

from registry.service.garbage import Totals
from registry.service.policy import GarbagePolicy
from registry.store import garbage
from tests.service.test_garbage import NOTHING, collect
from tests.tools.content import CONFIG, descriptor, digest_of, image, index, push_blob, push_image, push_manifest
from tests.tools.life import DAY, LEASE, Life, Opened

if TYPE_CHECKING:
    from collections.abc import Sequence

UNTAGGED = GarbagePolicy(untagged_after_seconds=2 * DAY)
ORPHANED = GarbagePolicy(collect_orphaned_tags=True)


async def push_untagged(opened: Opened, manifest: bytes) -> str:
    digest = digest_of(manifest)
    assert (await push_manifest(opened.client, "team/app", digest, manifest)).status == 201
    return digest


def about(subject: bytes, name: str) -> bytes:
    """An image with a subject."""
    media_type = json.loads(subject)["mediaType"]
    return image(subject=descriptor(subject, media_type), annotations={"name": name})


async def found(opened: Opened, manifests: Sequence[bytes]) -> list[bool]:
    """Which of them are there, asked in the database, for HEAD may lease them."""
    rows = await opened.registry.database.read(lambda tx: tx.execute("SELECT digest FROM manifest").fetchall())
    return [(digest_of(manifest),) in rows for manifest in manifests]


async def test_untagged_manifests_are_kept_by_default(life: Life) -> None:
    async with life.opened() as opened:
        manifest = await push_image(opened.client, "team/app", "1", b"1")
        await push_image(opened.client, "team/app", "1", b"2")
        life.go_on(1000 * DAY)
        assert await collect(opened, now=True) == NOTHING
        assert await opened.status("GET", f"team/app/manifests/{digest_of(manifest)}") == 200


async def test_untagged_manifests_go_when_so_much_time_has_passed_since_they_were_seen(life: Life) -> None:
    async with life.opened(UNTAGGED) as opened:
        manifest = await push_image(opened.client, "team/app", "1", b"1")
        await push_image(opened.client, "team/app", "1", b"2")
        life.go_on(30 * DAY)
        assert await collect(opened) == NOTHING
        life.go_on(2 * DAY - 1)
        assert await collect(opened) == NOTHING
        life.go_on(1)
        assert await collect(opened) == Totals(manifests=1)
        assert await opened.status("GET", f"team/app/manifests/{digest_of(manifest)}") == 404
        life.go_on(DAY)
        assert await collect(opened) == Totals(links=1, condemned_blobs=1, condemned_bytes=1)


@pytest.mark.parametrize("act", ["tag", "push", "index"])
async def test_a_manifest_that_is_reached_again_begins_anew(life: Life, act: str) -> None:
    async with life.opened(UNTAGGED) as opened:
        manifest = await push_image(opened.client, "team/app", "1", b"1")
        digest = digest_of(manifest)
        assert await opened.status("DELETE", "team/app/manifests/1") == 202
        await collect(opened)
        life.go_on(2 * DAY - 1)
        if act == "tag":
            assert (await push_manifest(opened.client, "team/app", "2", manifest)).status == 201
            assert await opened.status("DELETE", "team/app/manifests/2") == 202
        elif act == "push":
            await push_untagged(opened, manifest)
        else:
            assert (await push_manifest(opened.client, "team/app", "2", index(manifest))).status == 201
        life.go_on(1)
        assert await collect(opened) == NOTHING
        life.go_on(2 * DAY)
        assert await collect(opened) == (NOTHING if act == "index" else Totals(manifests=1))
        assert await found(opened, [manifest]) == [act == "index"]
        assert digest.startswith("sha256:")


@pytest.mark.parametrize("method", ["HEAD", "GET"])
async def test_who_was_told_of_an_untagged_manifest_can_rely_on_it(life: Life, method: str) -> None:
    async with life.opened(UNTAGGED) as opened:
        await push_blob(opened.client, "team/app", CONFIG)
        digest = await push_untagged(opened, image())
        await collect(opened)
        life.go_on(2 * DAY)
        assert await opened.status(method, f"team/app/manifests/{digest}") == 200
        assert await collect(opened, now=True) == NOTHING
        life.go_on(LEASE - 1)
        assert await collect(opened) == NOTHING
        assert await opened.status("HEAD", f"team/app/manifests/{digest}") == 200


@pytest.mark.parametrize("judged_at_once", [1, 2, 50_000])
async def test_indexes_hold_their_children_and_nested_indexes_too(
    life: Life, monkeypatch: pytest.MonkeyPatch, judged_at_once: int
) -> None:
    monkeypatch.setattr(garbage, "_JUDGED_IDS", judged_at_once)
    async with life.opened(UNTAGGED) as opened:
        await push_blob(opened.client, "team/app", CONFIG)
        child, other = image(annotations={"n": "1"}), image(annotations={"n": "2"})
        inner = index(child)
        outer = index(inner)
        for manifest in (child, other, inner):
            await push_untagged(opened, manifest)
        assert (await push_manifest(opened.client, "team/app", "1", outer)).status == 201
        await collect(opened)
        life.go_on(2 * DAY)
        assert await collect(opened) == Totals(manifests=1)
        assert await found(opened, [child, inner, outer, other]) == [True, True, True, False]
        assert await opened.status("DELETE", "team/app/manifests/1") == 202
        await collect(opened)
        life.go_on(2 * DAY)
        assert await collect(opened) == Totals(manifests=3)


async def test_referrers_go_with_their_subject_and_do_not_hold_it(life: Life) -> None:
    async with life.opened(UNTAGGED) as opened:
        await push_blob(opened.client, "team/app", CONFIG)
        subject = image(annotations={"n": "1"})
        signature = about(subject, "signature")
        of_signature = about(signature, "of signature")
        assert (await push_manifest(opened.client, "team/app", "1", subject)).status == 201
        for manifest in (signature, of_signature):
            await push_untagged(opened, manifest)
        await collect(opened)
        life.go_on(2 * DAY)
        assert await collect(opened) == NOTHING
        assert await opened.status("DELETE", "team/app/manifests/1") == 202
        assert (await push_manifest(opened.client, "team/app", "s", of_signature)).status == 201
        await collect(opened)
        life.go_on(2 * DAY)
        assert await collect(opened) == Totals(manifests=2)
        assert await found(opened, [subject, signature, of_signature]) == [False, False, True]


async def test_two_that_are_each_others_subject_hold_nobody(life: Life) -> None:
    """A referrer may be pushed before its subject, so an index may list what is about it."""
    async with life.opened(UNTAGGED) as opened:
        await push_blob(opened.client, "team/app", CONFIG)
        child = image(annotations={"n": "child"})
        outer = index(child)
        for manifest in (child, outer, about(outer, "signature")):
            await push_untagged(opened, manifest)
        await collect(opened)
        life.go_on(2 * DAY)
        assert await collect(opened) == Totals(manifests=3)


async def test_without_grace_a_run_takes_what_only_the_collected_held(life: Life) -> None:
    async with life.opened(UNTAGGED) as opened:
        await push_image(opened.client, "team/app", "1", b"1")
        await push_image(opened.client, "team/app", "1", b"22")
        await collect(opened, now=True)
        life.go_on(2 * DAY)
        assert await collect(opened, now=True) == Totals(manifests=1, links=1, condemned_blobs=1, condemned_bytes=1)


def tag_about(manifest: bytes, suffix: str = ".sig") -> str:
    return digest_of(manifest).replace(":", "-") + suffix


@pytest.mark.parametrize("suffix", [".sig", ".att", ""])
async def test_tags_about_manifests_that_are_gone_go_only_if_wanted(life: Life, suffix: str) -> None:
    async with life.opened() as opened:
        subject = await push_image(opened.client, "team/app", "1", b"1")
        tag = tag_about(subject, suffix)
        await push_image(opened.client, "team/app", tag, b"signature")
        assert await opened.status("DELETE", f"team/app/manifests/{digest_of(subject)}") == 202
        await opened.save_clock()
        life.go_on(DAY)
        assert (await collect(opened)).tags == 0
        await opened.save_clock()
    async with life.opened(ORPHANED) as opened:
        assert (await collect(opened)).tags == 0
        life.go_on(DAY - 1)
        assert (await collect(opened)).tags == 0
        life.go_on(1)
        assert (await collect(opened)).tags == 1
        assert await opened.status("GET", f"team/app/manifests/{tag}") == 404


async def test_tags_about_manifests_that_are_there_stay(life: Life) -> None:
    async with life.opened(ORPHANED) as opened:
        subject = await push_image(opened.client, "team/app", "1", b"1")
        await push_image(opened.client, "team/app", tag_about(subject), b"signature")
        for _ in range(3):
            assert await collect(opened, now=True) == NOTHING
            life.go_on(2 * DAY)


# The mark of the first time stands although the manifest came back in between.
async def test_the_grace_of_a_tag_begins_anew_when_its_manifest_was_back(life: Life) -> None:
    async with life.opened(ORPHANED) as opened:
        subject = await push_image(opened.client, "team/app", "1", b"1")
        await push_image(opened.client, "team/app", tag_about(subject), b"signature")
        assert await opened.status("DELETE", f"team/app/manifests/{digest_of(subject)}") == 202
        await collect(opened)
        await push_image(opened.client, "team/app", "1", b"1")
        life.go_on(10 * DAY)
        await collect(opened)
        assert await opened.status("DELETE", f"team/app/manifests/{digest_of(subject)}") == 202
        assert (await collect(opened)).tags == 0


# Only the first character after the dash is looked at.
async def test_a_long_name_that_only_begins_like_a_digest_is_no_orphan(life: Life) -> None:
    async with life.opened(ORPHANED) as opened:
        await push_image(opened.client, "team/app", f"sha256-build-{'x' * 64}", b"1")
        await collect(opened)
        life.go_on(2 * DAY)
        assert (await collect(opened)).tags == 0


ACTS = st.lists(
    st.tuples(
        st.sampled_from(["blob", "image", "index", "about", "sig", "untag", "delete", "head", "wait", "collect"]),
        st.integers(0, 3),
        st.booleans(),
    ),
    max_size=25,
)


@settings(max_examples=40)
@given(ACTS)
def test_a_dry_run_says_exactly_what_the_run_does(acts: list[tuple[str, int, bool]]) -> None:
    with tempfile.TemporaryDirectory() as folder:
        trio.run(_act, Life(Path(folder) / "data"), acts)


async def _act(life: Life, acts: list[tuple[str, int, bool]]) -> None:
    """Each act is small: what it is about is one of few contents, in one of two repositories."""
    policy = GarbagePolicy(untagged_after_seconds=DAY, collect_orphaned_tags=True, horizon_seconds=2 * DAY, batch=2)
    async with AsyncExitStack() as stack:
        opened = await stack.enter_async_context(life.opened(policy))
        for kind, number, flag in acts:
            if kind == "wait":
                life.go_on((LEASE / 2, LEASE, DAY / 2, DAY)[number])
            elif kind == "collect":
                await collect(opened, now=flag)
            else:
                await _request(opened, kind, number, "a" if flag else "b")
        for _ in range(5):
            life.go_on(DAY)
            await collect(opened)


async def _request(opened: Opened, kind: str, number: int, name: str) -> None:
    content = b"layer %d" % number
    base = image(content, annotations={"n": str(number)})
    listed = index(base)
    match kind:
        case "blob":
            await push_blob(opened.client, name, content)
        case "image":
            await push_image(opened.client, name, str(number), content, annotations={"n": str(number)})
        case "index":
            await push_manifest(opened.client, name, f"i{number}", listed)
        case "about":
            await push_manifest(opened.client, name, digest_of(about(listed, "a")), about(listed, "a"))
        case "sig":
            await push_image(opened.client, name, tag_about(base), b"signature")
        case _:
            method, path = {
                "untag": ("DELETE", f"manifests/{('', 'i')[number % 2]}{number // 2}"),
                "delete": ("DELETE", f"manifests/{digest_of(base)}"),
                "head": ("HEAD", f"blobs/{digest_of(content)}"),
            }[kind]
            await opened.status(method, f"{name}/{path}")
