"""Files and manifests that are not what their digests say: never answered as good, marked, healed by a push."""

from __future__ import annotations

import os
from http.client import HTTPConnection, IncompleteRead
from typing import TYPE_CHECKING

import pytest

from registry.service.garbage import Totals
from registry.service.policy import GarbagePolicy
from registry.service.restoration import Losses
from tests.tools.content import digest_of, image, index, push_blob, push_image, push_manifest
from tests.tools.daemon import Daemon, running
from tests.tools.life import DAY, Life, Opened, flip, spoil_manifest

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator
    from pathlib import Path

NAME = "team/app"
CONTENT = os.urandom(700_000)
DIGEST = digest_of(CONTENT)


@pytest.fixture
def watchful(tmp_path: Path) -> Iterator[Daemon]:
    """A daemon that verifies each blob that is read in full; its scrub stops for weeks after a first piece."""
    settings = {"CARGOHOLD_SCRUB__VERIFIED_SECONDS": "0.001", "CARGOHOLD_SCRUB__BYTES_PER_SECOND": "1"}
    with running(tmp_path / "data", settings) as daemon:
        yield daemon


def push(daemon: Daemon) -> None:
    assert daemon.request("POST", f"/v2/{NAME}/blobs/uploads/?digest={DIGEST}", CONTENT)[0] == 201


def read_until_it_breaks(daemon: Daemon) -> bytes:
    """What a client gets of a blob whose answer does not come to its end."""
    connection = HTTPConnection("127.0.0.1", daemon.port, timeout=60)
    try:
        connection.request("GET", f"/v2/{NAME}/blobs/{DIGEST}")
        response = connection.getresponse()
        with pytest.raises((IncompleteRead, ConnectionError)) as broken:
            response.read()
        return broken.value.partial if isinstance(broken.value, IncompleteRead) else b""
    finally:
        connection.close()


def _flip_first(path: Path) -> None:
    flip(path)


def _flip_last(path: Path) -> None:
    flip(path, len(CONTENT) - 1)


def _truncate(path: Path) -> None:
    os.truncate(path, 300_000)


def _empty(path: Path) -> None:
    os.truncate(path, 0)


def _io_error(path: Path) -> None:
    """The first page of a process is never mapped: reading it is EIO."""
    path.unlink()
    path.symlink_to("/proc/self/mem")


@pytest.mark.parametrize("harm", [_flip_first, _flip_last, _truncate, _empty, _io_error])
def test_a_bad_file_is_never_sent_to_its_end(watchful: Daemon, harm: Callable[[Path], None]) -> None:
    push(watchful)
    path = watchful.data / "blobs" / DIGEST.replace(":", "/")
    assert watchful.request("GET", f"/v2/{NAME}/blobs/{DIGEST}")[2] == CONTENT
    harm(path)
    assert len(read_until_it_breaks(watchful)) < len(CONTENT)
    assert watchful.request("HEAD", f"/v2/{NAME}/blobs/{DIGEST}")[0] == 404
    assert watchful.request("GET", f"/v2/{NAME}/blobs/{DIGEST}")[0] == 404
    assert watchful.request("POST", f"/v2/{NAME}/blobs/uploads/?mount={DIGEST}")[0] == 202
    [entry] = [entry for entry in watchful.entries() if entry["event"].startswith("a blob is damaged")]
    assert entry["file"] == f"blobs/{DIGEST.replace(':', '/')}"
    push(watchful)
    assert path.is_file()
    assert not path.is_symlink()
    assert watchful.request("GET", f"/v2/{NAME}/blobs/{DIGEST}")[2] == CONTENT


async def test_a_blob_that_was_verified_lately_is_not_read_for_it_again(life: Life) -> None:
    async with life.opened() as opened:
        digest = await push_blob(opened.client, NAME, b"layer")
        await push_manifest(opened.client, NAME, "1", image(config=b"layer"))
        life.go_on(opened.registry.policy.scrub.verified_seconds)
        changes = opened.registry.database.changes
        for _ in range(3):
            assert (await opened.client("GET", f"/v2/{NAME}/blobs/{digest}")).body == b"layer"
        assert opened.registry.database.changes == changes + 1


async def test_a_file_that_is_missing_is_404_and_healed_by_a_push(life: Life) -> None:
    async with life.opened() as opened:
        manifest = await push_image(opened.client, NAME, "1", b"layer")
        life.blob(digest_of(b"layer")).unlink()
        assert await opened.status("GET", f"{NAME}/blobs/{digest_of(b'layer')}") == 404
        assert await opened.status("HEAD", f"{NAME}/blobs/{digest_of(b'layer')}") == 404
        assert await opened.state(digest_of(b"layer")) == "missing"
        reply = await push_manifest(opened.client, NAME, "2", manifest)
        assert (reply.status, reply.codes) == (404, ["MANIFEST_BLOB_UNKNOWN"])
        losses = await opened.registry.restoration.losses()
        assert [tag.tag for tag in losses.tags] == ["1"]
        await push_blob(opened.client, NAME, b"layer")
        assert (await opened.client("GET", f"/v2/{NAME}/blobs/{digest_of(b'layer')}")).body == b"layer"
        assert not (await opened.registry.restoration.losses()).tags


@pytest.mark.parametrize("gone", ["blobs", "blobs/sha256", "empty"])
async def test_a_whole_folder_that_is_missing_marks_no_blob(life: Life, gone: str) -> None:
    """A mount point whose file system is not there, say."""
    async with life.opened() as opened:
        digest = await push_blob(opened.client, NAME, b"layer")
        folder = life.data / ("blobs" if gone == "empty" else gone)
        aside = life.data / "aside"
        folder.rename(aside)
        if gone == "empty":
            (folder / "sha256").mkdir(parents=True)
        assert await opened.status("GET", f"{NAME}/blobs/{digest}") == 500
        assert await opened.state(digest) == "linked"
        if gone == "empty":
            (folder / "sha256").rmdir()
            folder.rmdir()
        aside.rename(folder)
        assert await opened.status("GET", f"{NAME}/blobs/{digest}") == 200


def _of_a_bomb(stored: bytes) -> bytes:
    """A frame of a few bytes that is said to hold 2**48."""
    return b"\x28\xb5\x2f\xfd\xe0" + (1 << 48).to_bytes(8, "little") + stored[6:]


@pytest.mark.parametrize("spoil", [None, lambda stored: stored[:-1], lambda _: b"", _of_a_bomb])
async def test_a_manifest_with_other_bytes_is_404_and_healed_by_a_push(
    life: Life, spoil: Callable[[bytes], bytes] | None
) -> None:
    async with life.opened() as opened:
        manifest = await push_image(opened.client, NAME, "1", b"layer")
    spoil_manifest(life.data, manifest, spoil)
    async with life.opened() as opened:
        for reference in ("1", digest_of(manifest)):
            assert [await opened.status(method, f"{NAME}/manifests/{reference}") for method in ("GET", "HEAD")] == [
                404,
                404,
            ]
        losses = await opened.registry.restoration.losses()
        assert losses.blobs == [(digest_of(manifest), "corrupt")]
        assert [tag.tag for tag in losses.tags] == ["1"]
        assert (await push_manifest(opened.client, NAME, "1", manifest)).status == 201
        assert (await opened.client("GET", f"/v2/{NAME}/manifests/1")).body == manifest
        assert not (await opened.registry.restoration.losses()).blobs


# A push of a manifest that is there already does not look at the bytes that are stored.
async def test_a_push_heals_a_manifest_that_nobody_has_found_to_be_damaged(life: Life) -> None:
    async with life.opened() as opened:
        manifest = await push_image(opened.client, NAME, "1", b"layer")
    spoil_manifest(life.data, manifest)
    async with life.opened() as opened:
        assert (await push_manifest(opened.client, NAME, "1", manifest)).status == 201
        assert (await opened.client("GET", f"/v2/{NAME}/manifests/1")).body == manifest


# manifests.is_missing looks at damaged blobs only.
async def test_an_index_can_not_be_pushed_over_a_damaged_child(life: Life) -> None:
    async with life.opened() as opened:
        manifest = await push_image(opened.client, NAME, "1", b"layer")
    spoil_manifest(life.data, manifest)
    async with life.opened() as opened:
        assert await opened.status("GET", f"{NAME}/manifests/1") == 404
        assert (await push_manifest(opened.client, NAME, "all", index(manifest))).status == 404


async def lose_file(life: Life, opened: Opened, content: bytes) -> None:
    life.blob(digest_of(content)).unlink()
    assert await opened.status("GET", f"{NAME}/blobs/{digest_of(content)}") == 404


async def test_what_refers_to_something_damaged_is_not_collected(life: Life) -> None:
    async with life.opened(GarbagePolicy(untagged_after_seconds=DAY)) as opened:
        await push_image(opened.client, NAME, "1", b"layer")
        await lose_file(life, opened, b"layer")
        assert await opened.status("DELETE", f"{NAME}/manifests/1") == 202
        await opened.registry.garbage.run()
        life.go_on(10 * DAY)
        assert await opened.registry.garbage.run() == Totals()
        await push_blob(opened.client, NAME, b"layer")
        assert await opened.registry.garbage.run() == Totals(manifests=1)


# An index that lists an image with a damaged blob is collected: only what refers to the blob itself is kept.
async def test_an_index_over_something_damaged_is_not_collected(life: Life) -> None:
    async with life.opened(GarbagePolicy(untagged_after_seconds=DAY)) as opened:
        manifest = await push_image(opened.client, NAME, "1", b"layer")
        assert (await push_manifest(opened.client, NAME, "all", index(manifest))).status == 201
        await lose_file(life, opened, b"layer")
        for tag in ("1", "all"):
            assert await opened.status("DELETE", f"{NAME}/manifests/{tag}") == 202
        await opened.registry.garbage.run()
        life.go_on(10 * DAY)
        assert await opened.registry.garbage.run() == Totals()


async def test_a_damaged_blob_that_nothing_refers_to_goes_as_any_other(life: Life) -> None:
    async with life.opened() as opened:
        digest = await push_blob(opened.client, NAME, b"layer")
        await lose_file(life, opened, b"layer")
        assert await opened.registry.garbage.run() == Totals()
        await push_blob(opened.client, NAME, b"layer")
        assert await opened.state(digest) == "linked"
        await lose_file(life, opened, b"layer")
        life.go_on(DAY)
        assert (await opened.registry.garbage.run()).condemned_blobs == 1
        assert await opened.registry.restoration.losses() == Losses(was_restored=False, blobs=[], tags=[])


async def test_a_damaged_blob_can_be_deleted(life: Life) -> None:
    async with life.opened() as opened:
        digest = await push_blob(opened.client, NAME, b"layer")
        await lose_file(life, opened, b"layer")
        assert await opened.status("DELETE", f"{NAME}/blobs/{digest}") == 202
