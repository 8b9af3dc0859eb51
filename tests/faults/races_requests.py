"""What a client does with a blob, in each of the ways there are."""

from __future__ import annotations

import os
from typing import TYPE_CHECKING

import trio

from registry.oci.digests import Digest
from registry.oci.names import RepositoryName
from registry.service import blobs
from registry.service.bodies import Chunk, PiecedBody
from registry.service.principals import ANONYMOUS

if TYPE_CHECKING:
    from collections.abc import AsyncIterator

    from registry.service.registry import Registry


async def push_at_once(registry: Registry, name: str, content: bytes) -> None:
    chunk = Chunk(PiecedBody(_body(content)), content_length=len(content))
    await registry.uploads.push(RepositoryName(name), chunk, Digest.of(content))


async def push_in_session(registry: Registry, name: str, content: bytes) -> None:
    repository = RepositoryName(name)
    upload = await registry.uploads.begin(repository, ANONYMOUS)
    await registry.uploads.append(repository, ANONYMOUS, upload.id, Chunk(PiecedBody(_body(content[:1]))))
    last = Chunk(PiecedBody(_body(content[1:])))
    await registry.uploads.finish(repository, ANONYMOUS, upload.id, last, Digest.of(content))


async def mount(registry: Registry, name: str, content: bytes, source: str | None) -> bool:
    """Without a source from any repository; False where it is not there."""
    repository = None if source is None else RepositoryName(source)
    return await blobs.mount(registry, RepositoryName(name), Digest.of(content), repository, ANONYMOUS)


async def pull(registry: Registry, name: str, digest: Digest) -> bytes:
    """Raises BlobUnknown, BlobDamaged."""
    blob = await blobs.find(registry, RepositoryName(name), digest)
    file = await blobs.open_file(registry, blob, whole=True)
    try:
        content = b""
        while len(content) < blob.size:
            content += await blobs.read_piece(registry, file, len(content), blob.size - len(content))
        return content
    finally:
        os.close(file.descriptor)


async def _body(content: bytes) -> AsyncIterator[bytes]:
    await trio.lowlevel.checkpoint()
    yield content
