"""What happens to an upload when requests meet, break off, or the registry restarts: by construction, not by luck."""

from __future__ import annotations

import errno
import os
from typing import TYPE_CHECKING

import pytest
import trio
import trio.testing

from registry.oci.digests import Digest
from registry.oci.errors import BlobUploadUnknown, DigestInvalid, SizeInvalid, TooManyRequests, UploadBusy
from registry.oci.names import RepositoryName
from registry.service import blobs
from registry.service.bodies import BodyInterrupted, Chunk, PiecedBody
from registry.service.policy import Policy
from registry.service.principals import ANONYMOUS, Principal
from registry.service.registry import Registry, open_registry
from registry.store.space import StorageFull
from registry.store.upload_files import UploadFile

if TYPE_CHECKING:
    from collections.abc import AsyncIterator
    from pathlib import Path

NAME = RepositoryName.parse("a/b")
CONTENT = os.urandom(3_000_000)
DIGEST = Digest.of(CONTENT)


class Pieces:
    """A body in parts."""

    def __init__(self, *parts: bytes) -> None:
        self._parts = iter(parts)

    def __aiter__(self) -> Pieces:
        return self

    async def __anext__(self) -> bytes:
        for part in self._parts:
            return part
        raise StopAsyncIteration


class Paused:
    """A body that gives its first part, and then waits until it may go on."""

    def __init__(self, first: bytes, *rest: bytes) -> None:
        self.taken = trio.Event()
        self.go_on = trio.Event()
        self._parts = (first, *rest)

    async def __aiter__(self) -> AsyncIterator[bytes]:
        first, *rest = self._parts
        yield first
        self.taken.set()
        await self.go_on.wait()
        for part in rest:
            yield part


class Interrupted(Paused):
    """A body that breaks off after its first part."""

    async def __aiter__(self) -> AsyncIterator[bytes]:
        yield self._parts[0]
        raise BodyInterrupted


async def begin(registry: Registry) -> str:
    return (await registry.uploads.begin(NAME, ANONYMOUS)).id


def offset(registry: Registry, upload_id: str) -> int:
    return registry.uploads.find(NAME, ANONYMOUS, upload_id).offset


async def append(registry: Registry, upload_id: str, *parts: bytes) -> None:
    await registry.uploads.append(NAME, ANONYMOUS, upload_id, Chunk(PiecedBody(Pieces(*parts))))


async def finish(registry: Registry, upload_id: str, *parts: bytes) -> None:
    await registry.uploads.finish(NAME, ANONYMOUS, upload_id, Chunk(PiecedBody(Pieces(*parts))), DIGEST)


async def test_a_second_writer_is_refused_and_the_first_goes_on(registry: Registry) -> None:
    upload_id, body = await begin(registry), Paused(CONTENT[:10], CONTENT[10:])
    async with trio.open_nursery() as nursery:
        nursery.start_soon(registry.uploads.append, NAME, ANONYMOUS, upload_id, Chunk(PiecedBody(body)))
        await body.taken.wait()
        with pytest.raises(UploadBusy):
            await append(registry, upload_id, b"x")
        with pytest.raises(UploadBusy):
            await finish(registry, upload_id)
        body.go_on.set()
    await finish(registry, upload_id)
    assert (await blobs.find(registry, NAME, DIGEST)).size == len(CONTENT)


async def test_a_cancel_ends_the_request_that_writes(registry: Registry, tmp_path: Path) -> None:
    upload_id, body = await begin(registry), Paused(CONTENT)

    async def write() -> None:
        with pytest.raises(BlobUploadUnknown):
            await registry.uploads.append(NAME, ANONYMOUS, upload_id, Chunk(PiecedBody(body)))

    async with trio.open_nursery() as nursery:
        nursery.start_soon(write)
        await body.taken.wait()
        await registry.uploads.cancel(NAME, ANONYMOUS, upload_id)
    with pytest.raises(BlobUploadUnknown):
        offset(registry, upload_id)
    assert os.listdir(tmp_path / "data/uploads") == []


@pytest.mark.parametrize("cancelled", [True, False])
async def test_a_chunk_that_breaks_off_keeps_what_had_arrived(registry: Registry, *, cancelled: bool) -> None:
    upload_id = await begin(registry)
    if cancelled:
        body = Paused(CONTENT[:2_000_000])
        async with trio.open_nursery() as nursery:
            nursery.start_soon(registry.uploads.append, NAME, ANONYMOUS, upload_id, Chunk(PiecedBody(body)))
            await body.taken.wait()
            nursery.cancel_scope.cancel()
    else:
        with pytest.raises(BodyInterrupted):
            await registry.uploads.append(
                NAME, ANONYMOUS, upload_id, Chunk(PiecedBody(Interrupted(CONTENT[:2_000_000])))
            )
    assert offset(registry, upload_id) == 2_000_000
    await finish(registry, upload_id, CONTENT[2_000_000:])


async def test_a_closing_put_that_breaks_off_counts_for_nothing(registry: Registry) -> None:
    upload_id = await begin(registry)
    await append(registry, upload_id, CONTENT[:1000])
    with pytest.raises(BodyInterrupted):
        await registry.uploads.finish(
            NAME, ANONYMOUS, upload_id, Chunk(PiecedBody(Interrupted(CONTENT[1000:2000]))), DIGEST
        )
    assert offset(registry, upload_id) == 1000
    await finish(registry, upload_id, CONTENT[1000:])


@pytest.mark.parametrize("offset_before", [0, 1_234_567])
async def test_a_session_goes_on_after_a_restart(tmp_path: Path, offset_before: int) -> None:
    async with open_registry(tmp_path, Policy()) as registry:
        upload_id = await begin(registry)
        if offset_before:
            await append(registry, upload_id, CONTENT[:offset_before])
    (tmp_path / "uploads" / upload_id).write_bytes(CONTENT[:offset_before] + b"written, never acknowledged")
    async with open_registry(tmp_path, Policy()) as registry:
        assert offset(registry, upload_id) == offset_before
        await append(registry, upload_id, CONTENT[offset_before:2_000_000])
        await finish(registry, upload_id, CONTENT[2_000_000:])
        assert (await blobs.find(registry, NAME, DIGEST)).size == len(CONTENT)


async def test_a_session_whose_file_a_crash_took_is_unknown(registry: Registry, tmp_path: Path) -> None:
    upload_id = await begin(registry)
    await append(registry, upload_id, CONTENT)
    (tmp_path / "data/uploads" / upload_id).unlink()
    with pytest.raises(BlobUploadUnknown):
        await finish(registry, upload_id)
    await finish(registry, await begin(registry), CONTENT)


async def test_two_clients_push_the_same_blob_at_once(registry: Registry) -> None:
    bodies = [Paused(CONTENT[:10], CONTENT[10:]) for _ in range(5)]
    async with trio.open_nursery() as nursery:
        for body in bodies:
            nursery.start_soon(
                registry.uploads.finish, NAME, ANONYMOUS, await begin(registry), Chunk(PiecedBody(body)), DIGEST
            )
            await body.taken.wait()
        for body in bodies:
            body.go_on.set()
    file = await blobs.open_file(registry, await blobs.find(registry, NAME, DIGEST), whole=True)
    assert os.pread(file.descriptor, len(CONTENT) + 1, 0) == CONTENT
    os.close(file.descriptor)
    assert len(registry.digest_locks) == 0


async def test_what_does_not_count_holds_no_space(registry: Registry, tmp_path: Path) -> None:
    upload_id = await begin(registry)
    await append(registry, upload_id, CONTENT[:1000])
    file = tmp_path / "data/uploads" / upload_id
    with pytest.raises(DigestInvalid):
        await finish(registry, upload_id, b"wrong")
    assert file.stat().st_size == 1000
    for body in (CONTENT, b"12"):
        with pytest.raises(SizeInvalid):
            await registry.uploads.append(NAME, ANONYMOUS, upload_id, Chunk(PiecedBody(Pieces(body)), content_length=1))
        assert file.stat().st_size == 1000
    await finish(registry, upload_id, CONTENT[1000:])


async def test_a_body_that_is_longer_than_announced_is_not_stored(registry: Registry, tmp_path: Path) -> None:
    with pytest.raises(SizeInvalid):
        await registry.uploads.push(NAME, Chunk(PiecedBody(Pieces(b"12")), content_length=1), Digest.of(b"12"))
    assert os.listdir(tmp_path / "data/uploads") == os.listdir(tmp_path / "data/blobs/sha256") == []


@pytest.mark.parametrize("size", [10, 20_000, 900_000, 2_000_000])
async def test_no_body_uses_what_is_reserved(
    registry: Registry, monkeypatch: pytest.MonkeyPatch, tmp_path: Path, size: int
) -> None:
    def refuse(_free_bytes: int) -> None:
        raise StorageFull("the reserve is all there is")

    monkeypatch.setattr(registry.store_space, "require", refuse)
    content = CONTENT[:size]
    with pytest.raises(StorageFull):
        await registry.uploads.push(NAME, Chunk(PiecedBody(Pieces(content)), content_length=size), Digest.of(content))
    assert os.listdir(tmp_path / "data/uploads") == os.listdir(tmp_path / "data/blobs/sha256") == []


async def test_a_file_that_nobody_knows_stays_when_a_push_of_its_digest_fails(
    registry: Registry, monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    """Only what a push has renamed itself is taken back."""

    def fail(_file: UploadFile) -> int:
        raise OSError(errno.EMFILE, "no descriptor is left")

    unknown = tmp_path / "data/blobs/sha256" / Digest.of(b"content").hex
    unknown.write_bytes(b"content")
    monkeypatch.setattr(UploadFile, "_file", fail)
    with pytest.raises(OSError, match="descriptor"):
        await registry.uploads.push(
            NAME, Chunk(PiecedBody(Pieces(b"content")), content_length=7), Digest.of(b"content")
        )
    assert unknown.read_bytes() == b"content"


async def test_a_session_belongs_to_who_began_it(registry: Registry) -> None:
    upload_id = await begin(registry)
    with pytest.raises(BlobUploadUnknown):
        registry.uploads.find(NAME, Principal("somebody else"), upload_id)


async def test_more_hashes_than_are_kept_only_cost_a_second_reading(
    registry: Registry, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("registry.service.hashes._LIMIT", 2)
    sessions = [await begin(registry) for _ in range(5)]
    for upload_id in sessions:
        await append(registry, upload_id, CONTENT[:1000])
    for upload_id in sessions:
        await finish(registry, upload_id, CONTENT[1000:])


class TestExpiry:
    async def test_idle_sessions_go_and_active_ones_stay(self, registry: Registry, tmp_path: Path) -> None:
        idle, written = await begin(registry), await begin(registry)
        await append(registry, idle, CONTENT)
        body = Paused(CONTENT[:10], CONTENT[10:])
        async with trio.open_nursery() as nursery:
            nursery.start_soon(registry.uploads.append, NAME, ANONYMOUS, written, Chunk(PiecedBody(body)))
            await body.taken.wait()
            await registry.expiry.expire(3600)
            assert offset(registry, idle) == len(CONTENT)
            await registry.expiry.expire(-1)
            body.go_on.set()
        with pytest.raises(BlobUploadUnknown):
            offset(registry, idle)
        assert os.listdir(tmp_path / "data/uploads") == [written]
        await finish(registry, written)


class TestLimit:
    @pytest.fixture
    def policy(self) -> Policy:
        return Policy(concurrent_uploads=1)

    async def test_one_request_too_many_is_told_when_to_come_back(self, registry: Registry) -> None:
        first, second, body = await begin(registry), await begin(registry), Paused(CONTENT)
        async with trio.open_nursery() as nursery:
            nursery.start_soon(registry.uploads.append, NAME, ANONYMOUS, first, Chunk(PiecedBody(body)))
            await body.taken.wait()
            with pytest.raises(TooManyRequests) as caught:
                await append(registry, second, b"x")
            assert caught.value.retry_after_seconds == 1
            body.go_on.set()
        await append(registry, second, b"x")
