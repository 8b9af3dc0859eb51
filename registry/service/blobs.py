"""Reading, mounting and deleting blobs."""

from __future__ import annotations

import os
import sqlite3
from contextlib import suppress
from typing import TYPE_CHECKING, NamedTuple, NoReturn

from registry.oci.digests import ContentHash
from registry.oci.errors import BlobReferenced, BlobUnknown
from registry.service import small_blobs
from registry.service.damage import BlobDamaged
from registry.store import audit, blobs, damage, links
from registry.store.space import StorageFull

if TYPE_CHECKING:
    from registry.oci.digests import Digest
    from registry.oci.names import RepositoryName
    from registry.service.principals import Principal
    from registry.service.registry import Registry
    from registry.store.audit import Author
    from registry.store.blobs import StoredBlob
    from registry.store.transactions import WriteTx

_NAMED_MANIFESTS = 10
"""How many of the manifests that hold a blob an error names."""


class Blob(NamedTuple):
    """``verified_ms`` is when its file was last read as a whole and was right, on the daemon's clock.

    ``is_settled``: who is told of it needs no lease, and its row is enough to tell that it is there.
    """

    digest: Digest
    size: int
    verified_ms: int
    is_settled: bool


class OpenBlob(NamedTuple):
    """A blob's file; the descriptor is the caller's to close. Its pieces are hashed where there is a hash for them."""

    blob: Blob
    descriptor: int
    content_hash: ContentHash | None


async def find(registry: Registry, name: RepositoryName, digest: Digest, *, is_pull: bool = False) -> Blob:
    """Raises BlobUnknown unless this repository links the blob.

    Who is told of a blob that no manifest refers to may be about to push one: the blob is leased before the answer.
    A pull goes on where the database takes no write.
    """
    stored = registry.database.recall_now(blobs.find, name, digest)
    if stored is None or not await _stands(registry, digest, stored.size):
        raise BlobUnknown(digest)
    if _needs_lease(registry, stored):
        lease_ms = registry.policy.garbage.lease_ms
        try:
            is_there = await registry.database.write(links.lease, name, digest, lease_ms=lease_ms)
        except (sqlite3.Error, StorageFull):
            is_there = is_pull
            if not is_pull:
                raise
        if not is_there:
            raise BlobUnknown(digest)
    is_settled = stored.unreferenced_ms is None and not registry.restoration.is_open
    return Blob(digest, stored.size, stored.verified_ms, is_settled)


async def read_small(registry: Registry, blob: Blob) -> bytes | None:
    """The content of a small blob; None of a larger one, and where the file has to be opened: it is to be verified, or
    can't be read. Raises BlobUnknown.
    """
    if blob.size > small_blobs.LIMIT_BYTES or _is_due(registry, blob):
        return None
    content = registry.small_blobs.get(blob.digest)
    if content is None:
        content = await _read_whole(registry, blob)
        if content is None:
            return None
        if not blob.digest.names(content):
            if not await registry.damage.verify(blob.digest, blob.size):
                raise BlobUnknown(blob.digest)
            return None  # the memory held something else than the disk
        registry.small_blobs.keep(blob.digest, content)
    return content


async def _read_whole(registry: Registry, blob: Blob) -> bytes | None:
    """None where there was an error: whoever opens the file will see what it says."""
    try:
        descriptor = registry.files.open_blob(blob.digest)
    except OSError:
        return None
    try:
        content = read_now(descriptor, 0, blob.size)
        if content is None:
            content = await registry.hops(_read_piece, OpenBlob(blob, descriptor, None), 0, blob.size)
        return content
    except OSError:
        return None
    finally:
        os.close(descriptor)


def read_now(descriptor: int, start: int, length: int) -> bytes | None:
    """A small part of a file, if that waits for no disk (preadv2(2), RWF_NOWAIT)."""
    buffer = bytearray(length)
    try:
        is_whole = os.preadv(descriptor, [buffer], start, os.RWF_NOWAIT) == length
    except OSError:  # it would have to wait, or this file system can't tell, or can't read
        return None
    return bytes(buffer) if is_whole else None


async def open_file(registry: Registry, blob: Blob, *, whole: bool) -> OpenBlob:
    """Open the file of a blob; who reads the whole of one that was not verified lately verifies it.

    Raises BlobUnknown where the file is missing or can't be read, OSError.
    """
    try:
        descriptor = registry.files.open_blob(blob.digest)  # microseconds; a hop costs twenty times as much
    except OSError as error:
        try:
            await registry.damage.report_error(blob.digest, error)
        except BlobDamaged:
            raise BlobUnknown(blob.digest) from error
        raise
    is_verified = whole and _is_due(registry, blob)
    return OpenBlob(blob, descriptor, ContentHash(blob.digest.algorithm) if is_verified else None)


def reopen(registry: Registry, blob: Blob) -> OpenBlob | None:
    """Open the file of a blob that could be opened a moment ago; None where it can't be any more."""
    try:
        return OpenBlob(blob, registry.files.open_blob(blob.digest), None)
    except OSError:
        return None


def _is_due(registry: Registry, blob: Blob) -> bool:
    """Whether it was not verified lately."""
    age_ms = registry.database.clock.now_ms() - blob.verified_ms
    return age_ms >= registry.policy.scrub.verified_seconds * 1000


async def read_piece(registry: Registry, file: OpenBlob, start: int, length: int) -> bytes:
    """At most ``length`` bytes of an open blob, at least one.

    Raises OSError, and BlobDamaged where the file is bad: of one that is verified, instead of the last piece.
    """
    try:
        piece = await registry.hops(_read_piece, file, start, length)
    except OSError as error:
        await registry.damage.report_error(file.blob.digest, error, descriptor=file.descriptor)
        raise
    if not piece:
        await _fail(registry, file, f"the file ends at byte {start}")
    if file.content_hash is not None and file.content_hash.size == file.blob.size:
        if file.content_hash.digest() != file.blob.digest:
            await _fail(registry, file, f"the content is that of {file.content_hash.digest()}")
        with suppress(sqlite3.Error, StorageFull):  # good content goes out, and is verified once more next time
            await registry.database.write(damage.set_verified, file.blob.digest)
    return piece


def _read_piece(file: OpenBlob, start: int, length: int) -> bytes:
    piece = os.pread(file.descriptor, length, start)
    if file.content_hash is not None:
        file.content_hash.update(piece)
    return piece


async def _fail(registry: Registry, file: OpenBlob, cause: str) -> NoReturn:
    await registry.damage.report(file.blob.digest, "corrupt", cause, descriptor=file.descriptor)
    raise BlobDamaged(f"{file.blob.digest}: {cause}")


async def mount(
    registry: Registry, name: RepositoryName, digest: Digest, source: RepositoryName | None, principal: Principal
) -> bool:
    """Link a blob of another repository (of any, where ``source`` is None); False where it is not there.

    A repository that the principal may not pull from is one that does not have it.
    """
    if registry.restoration.is_open and await registry.hops(registry.files.size_of_blob, digest) is None:
        return False
    is_allowed = registry.access.pullable(principal)
    if source is None:
        source = await registry.database.read(blobs.find_source, digest, is_allowed)
    if source is None or not is_allowed(source.value):
        return False
    lease_ms = registry.policy.garbage.lease_ms
    return await registry.database.write(blobs.mount, name, digest, source, lease_ms=lease_ms)


async def delete(registry: Registry, name: RepositoryName, digest: Digest, principal: Principal) -> None:
    """Take the blob out of the repository. Raises BlobUnknown, BlobReferenced."""
    await registry.database.write(_delete, name, digest, principal.author)


def _delete(tx: WriteTx, name: RepositoryName, digest: Digest, author: Author) -> None:
    if blobs.find(tx, name, digest, damaged=True) is None:
        raise BlobUnknown(digest)
    referring = blobs.referring_manifests(tx, name, digest, limit=_NAMED_MANIFESTS)
    if referring:
        raise BlobReferenced(referring)
    blobs.unlink(tx, name, digest)
    audit.record(tx, author, "blob deleted", repository=name.value, before=str(digest))


async def _stands(registry: Registry, digest: Digest, size: int) -> bool:
    """Whether the file is there; only a restored database needs to ask, until all files were looked for."""
    return not registry.restoration.is_open or await registry.hops(registry.files.size_of_blob, digest) == size


def _needs_lease(registry: Registry, stored: StoredBlob) -> bool:
    return stored.unreferenced_ms is not None and registry.is_lease_old(stored.kept_until_ms)
