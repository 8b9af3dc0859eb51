"""Uploading blobs: sessions that survive a crash, and the way from the last byte to a blob that is there for good."""

from __future__ import annotations

import sqlite3
from contextlib import contextmanager, suppress
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING

import trio

from registry.oci.digests import CANONICAL, ContentHash, Digest
from registry.oci.errors import BlobUploadUnknown, DigestInvalid, TooManyRequests, UploadBusy
from registry.oci.upload import Upload
from registry.service.begun import Begun, new_ids
from registry.service.bodies import PIECE_BYTES, BodyInterrupted, Intake
from registry.service.hashes import RunningHashes
from registry.service.publishing import Publisher
from registry.service.rooms import Rooms
from registry.store import blobs, uploads
from registry.store.failures import CommitUnknown
from registry.store.files import UploadGone
from registry.store.upload_files import Publication

if TYPE_CHECKING:
    from collections.abc import Iterator

    from registry.oci.names import RepositoryName
    from registry.service.bodies import Chunk
    from registry.service.principals import Principal
    from registry.service.registry import Registry
    from registry.store.transactions import WriteTx
    from registry.store.upload_files import UploadFile

_REHASH_BYTES = 64 * 1024 * 1024
"""How much is hashed in one hop when a file has to be read again."""


@dataclass(frozen=True, slots=True)
class _Writer:
    """The one request that writes to an upload just now."""

    scope: trio.CancelScope
    released: trio.Event


class Uploads:
    """The upload sessions of a registry. Rows tell how far each has come; this holds who writes to which."""

    def __init__(self, registry: Registry) -> None:
        self._registry = registry
        self._writers: dict[str, _Writer] = {}
        self._begun = Begun()
        self._hashes = RunningHashes()
        self._rooms = Rooms(PIECE_BYTES)
        self.publisher = Publisher(registry.files, registry.hops, registry.database)
        self._ids = new_ids()
        self._doubtful: set[str] = set()
        """Uploads whose file could not be synced: before anything is built on it, it is renewed."""

    async def begin(self, name: RepositoryName, principal: Principal, algorithm: str = CANONICAL) -> Upload:
        """Open a session; it lasts until it is closed, cancelled, or idle for too long."""
        await self._registry.space.require()
        upload = Upload(next(self._ids), name, algorithm, offset=0)
        await self._registry.database.write(uploads.add, upload, principal.name)
        self._begun.add(upload, principal.name)
        return upload

    def find(self, name: RepositoryName, principal: Principal, upload_id: str) -> Upload:
        """How far the session has come. Raises BlobUploadUnknown."""
        upload = self._begun.take(upload_id, name, principal.name)
        upload = upload or self._registry.database.ask_now(uploads.find, upload_id, name, principal.name)
        if upload is None:
            raise BlobUploadUnknown
        return upload

    async def append(self, name: RepositoryName, principal: Principal, upload_id: str, chunk: Chunk) -> Upload:
        """Append a chunk (PATCH); returns when it is durable.

        Cancelled, or left by its sender, it keeps what had arrived. Raises BlobUploadUnknown, UploadBusy,
        UploadOffsetInvalid, SizeInvalid.
        """
        upload = self.find(name, principal, upload_id)  # first: whether a stranger's upload is busy is not told
        with self.writing(upload_id):
            length = upload.expect(chunk.content_range, chunk.content_length)
            content_hash = self._hashes.take(upload, upload.algorithm)
            intake = await self._open(upload, chunk, content_hash, length)
            try:
                await self._receive(intake)
                return await self._acknowledge(upload, intake.file, content_hash)
            except (trio.Cancelled, BodyInterrupted):
                with trio.CancelScope(shield=True):
                    await self._registry.hops(intake.keep)
                await self._acknowledge(upload, intake.file, content_hash)
                raise
            finally:
                await self._close(upload, intake)

    async def finish(
        self, name: RepositoryName, principal: Principal, upload_id: str, chunk: Chunk, digest: Digest
    ) -> None:
        """Close the session (PUT), with or without a last chunk; returns when the blob is durable.

        Until then the session stays as it was: the chunk's bytes don't count. Raises as ``append``, and DigestInvalid.
        """
        upload = self.find(name, principal, upload_id)  # first: whether a stranger's upload is busy is not told
        with self.writing(upload_id):
            length = upload.expect(chunk.content_range, chunk.content_length)
            content_hash = self._hashes.take(upload, digest.algorithm)
            if content_hash is not None and upload.offset:
                self._hashes.keep(upload_id, content_hash.copy())
            await self._take_in(upload, chunk, content_hash, length, digest)
            self.forget(upload_id)

    async def push(self, name: RepositoryName, chunk: Chunk, digest: Digest) -> None:
        """Push a blob in one request, without a session. Raises DigestInvalid, SizeInvalid."""
        upload = Upload(next(self._ids), name, digest.algorithm, offset=0)
        with self.writing(upload.id):
            try:
                await self._take_in(upload, chunk, ContentHash(digest.algorithm), chunk.content_length, digest)
            except BaseException:
                with trio.CancelScope(shield=True):
                    await self._registry.hops(self._registry.files.remove_upload, upload.id)
                self.forget(upload.id)
                raise

    async def cancel(self, name: RepositoryName, principal: Principal, upload_id: str) -> None:
        """End a session and whatever request writes to it. Raises BlobUploadUnknown."""
        self.find(name, principal, upload_id)
        await self._stop_writing(upload_id)
        with self.writing(upload_id):
            self.find(name, principal, upload_id)
            await self._remove(upload_id)

    async def end(self, upload_id: str) -> None:
        """End a session likewise, whoever began it; one that comes to its own end meanwhile is left alone."""
        await self._stop_writing(upload_id)
        with suppress(UploadBusy, BlobUploadUnknown), self.writing(upload_id):
            await self._remove(upload_id)

    async def _stop_writing(self, upload_id: str) -> None:
        writer = self._writers.get(upload_id)
        if writer is not None:
            writer.scope.cancel()
            await writer.released.wait()

    async def _remove(self, upload_id: str) -> None:
        try:
            with trio.CancelScope(shield=True):
                await self._registry.database.write(uploads.remove, upload_id)
                await self._registry.hops(self._registry.files.remove_upload, upload_id)
        finally:
            self._begun.forget(upload_id)  # its row may be gone, whatever failed
        self.forget(upload_id)

    def forget(self, upload_id: str) -> None:
        """The session is over: what memory holds of it goes."""
        self._begun.forget(upload_id)
        self._hashes.forget(upload_id)
        self._doubtful.discard(upload_id)

    def is_idle(self, upload_id: str) -> bool:
        """Whether no request writes to the upload just now."""
        return upload_id not in self._writers

    @contextmanager
    def writing(self, upload_id: str) -> Iterator[None]:
        """Be the only writer of an upload. Raises UploadBusy, and BlobUploadUnknown once ``cancel`` ended it."""
        if upload_id in self._writers:
            raise UploadBusy
        writer = _Writer(trio.CancelScope(), trio.Event())
        self._writers[upload_id] = writer
        try:
            with writer.scope:
                yield
        finally:
            del self._writers[upload_id]
            writer.released.set()
        if writer.scope.cancelled_caught:
            raise BlobUploadUnknown

    async def _take_in(
        self, upload: Upload, chunk: Chunk, content_hash: ContentHash | None, length: int | None, digest: Digest
    ) -> None:
        """The last chunk, and the upload becomes a blob."""
        intake = await self._open(upload, chunk, content_hash, length)
        try:
            await self._receive(intake)
            await self._publish(upload, intake.file, content_hash, digest)
        finally:
            await self._close(upload, intake)

    async def _open(self, upload: Upload, chunk: Chunk, content_hash: ContentHash | None, length: int | None) -> Intake:
        """The chunk's way into the upload's file, with disk space for its ``length``, until ``_close``.

        Raises TooManyRequests, InsufficientStorage, and BlobUploadUnknown where a crash took the file (between the
        rename that published the blob and the transaction that ends the session).
        """
        if len(self._writers) > self._registry.policy.concurrent_uploads:
            raise TooManyRequests("too many uploads at once (uploads.concurrent_limit)", retry_after_seconds=1)
        if upload.id in self._doubtful:
            await self._registry.hops(self._registry.files.renew_upload, upload.id, upload.offset)
            self._doubtful.discard(upload.id)
        room = self._rooms.lend(PIECE_BYTES if length is None else length + 1)  # may fail; no file is open yet
        file = await self._file(upload)
        intake = Intake(chunk, file, content_hash, length, room)
        try:
            await self._registry.space.promise(file, length)
        except BaseException:
            await self._close(upload, intake)
            raise
        return intake

    async def _close(self, upload: Upload, intake: Intake) -> None:
        """Give back what it had."""
        self._registry.space.release(intake.file, intake.length)
        self._rooms.take_back(intake.room)
        if intake.file.is_doubtful:
            self._doubtful.add(upload.id)
        if intake.file.is_open:
            with trio.CancelScope(shield=True):
                await self._registry.hops(intake.file.close)

    async def _file(self, upload: Upload) -> UploadFile:
        files = self._registry.files
        if upload.offset == 0:
            return files.new_upload(upload.id, self._require)
        try:
            return await self._registry.hops(files.open_upload, upload.id, upload.offset, self._require)
        except UploadGone:
            raise BlobUploadUnknown from None

    async def _receive(self, intake: Intake) -> None:
        """Write and hash the body, piece by piece. Raises SizeInvalid unless it is as long as announced."""
        while await intake.body.arrives(PIECE_BYTES):
            if intake.is_brief:
                intake.receive()
            else:
                await self._registry.hops(intake.receive)
        if intake.is_pending:
            await self._registry.hops(intake.receive)
        intake.require_all()

    def _require(self, length: int) -> None:
        """Raises StorageFull where so many bytes would use what is reserved."""
        self._registry.store_space.require(self._registry.space.reserve_bytes + length)

    async def _acknowledge(self, upload: Upload, file: UploadFile, content_hash: ContentHash | None) -> Upload:
        """Make what arrived durable and count it; not cancelled, for it would be lost."""
        with trio.CancelScope(shield=True):
            await self._registry.hops(file.keep_with_name)
            await self._registry.database.write(uploads.set_offset, upload.id, file.offset)
        if content_hash is not None:
            self._hashes.keep(upload.id, content_hash)
        return replace(upload, offset=file.offset)

    async def _publish(
        self, upload: Upload, file: UploadFile, content_hash: ContentHash | None, digest: Digest
    ) -> None:
        """Verify the file, sync and rename it, then insert its row and end the session."""
        if content_hash is None:
            content_hash = ContentHash(digest.algorithm)
            while not await self._registry.hops(file.hash_into, content_hash, _REHASH_BYTES):
                pass
        if content_hash.digest() != digest:
            raise DigestInvalid(
                "the content that was uploaded has another digest",
                {"expected": str(digest), "received": str(content_hash.digest())},
            )
        async with self._registry.digest_locks.hold(digest):
            publication = Publication(file, digest)
            try:
                if file.is_open:  # small ones need not wait for its sync
                    await self._registry.hops(file.keep)
                lease_ms = self._registry.policy.garbage.lease_ms
                await self.publisher.publish(publication, _record, upload, digest, file.offset, lease_ms=lease_ms)
            except CommitUnknown:
                raise
            except BaseException:
                if publication.is_renamed:
                    await self._take_back(upload, digest)
                raise

    async def _take_back(self, upload: Upload, digest: Digest) -> None:
        """Give the session its file back, so that it can be closed again.

        Not where a row stands for the blob, nor in a restored registry, where no file under a digest is touched.
        """
        with suppress(OSError, sqlite3.Error), trio.CancelScope(shield=True):
            if self._registry.restoration.is_open or self._registry.database.read_now(blobs.is_known, digest):
                return
            await self._registry.hops(self._registry.files.take_back, digest, upload.id)


def _record(tx: WriteTx, upload: Upload, digest: Digest, size: int, *, lease_ms: int) -> None:
    blobs.add(tx, upload.repository, digest, size, lease_ms=lease_ms)
    uploads.remove(tx, upload.id)
