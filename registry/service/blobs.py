"""Reading, mounting and deleting blobs."""

from __future__ import annotations

import os
from dataclasses import dataclass
from typing import TYPE_CHECKING

from registry.oci.errors import BlobReferenced, BlobUnknown
from registry.store import blobs

if TYPE_CHECKING:
    from registry.oci.digests import Digest
    from registry.oci.names import RepositoryName
    from registry.service.registry import Registry
    from registry.store.transactions import WriteTx

_NAMED_MANIFESTS = 10
"""How many of the manifests that hold a blob an error names."""


@dataclass(frozen=True, slots=True)
class Blob:
    digest: Digest
    size: int


def find(registry: Registry, name: RepositoryName, digest: Digest) -> Blob:
    """Raises BlobUnknown unless this repository links the blob."""
    size = registry.database.read_now(blobs.find, name, digest)
    if size is None:
        raise BlobUnknown(digest)
    return Blob(digest, size)


async def open_file(registry: Registry, digest: Digest) -> int:
    """A descriptor of the blob's file, the caller's to close. Raises OSError."""
    return await registry.hops(registry.files.open_blob, digest)


async def read_piece(registry: Registry, descriptor: int, start: int, length: int) -> bytes:
    """At most ``length`` bytes of an open blob, at least one. Raises OSError, where the file ended too."""
    piece = await registry.hops(os.pread, descriptor, length, start)
    if not piece:
        raise OSError(f"the file of a blob ended at byte {start}")
    return piece


async def mount(registry: Registry, name: RepositoryName, digest: Digest, source: RepositoryName | None) -> bool:
    """Link a blob of another repository (of any, where ``source`` is None); False where it is not there."""
    return await registry.database.write(blobs.mount, name, digest, source)


async def delete(registry: Registry, name: RepositoryName, digest: Digest) -> None:
    """Take the blob out of the repository. Raises BlobUnknown, BlobReferenced."""
    await registry.database.write(_delete, name, digest)


def _delete(tx: WriteTx, name: RepositoryName, digest: Digest) -> None:
    if blobs.find(tx, name, digest) is None:
        raise BlobUnknown(digest)
    referring = blobs.referring_manifests(tx, name, digest, limit=_NAMED_MANIFESTS)
    if referring:
        raise BlobReferenced(referring)
    blobs.unlink(tx, name, digest)
