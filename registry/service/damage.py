"""Files that are not what their rows say: never answered as good, marked, and healed by the next push."""

from __future__ import annotations

import os
from collections.abc import Awaitable, Callable
from contextlib import suppress
from typing import TYPE_CHECKING

import structlog
import trio

from registry.oci.digests import ContentHash
from registry.store import damage, manifests
from registry.store.files import damage_of, hash_piece

if TYPE_CHECKING:
    from registry.oci.digests import Digest
    from registry.service.registry import Registry
    from registry.store.manifests import StoredManifest

Pace = Callable[[int], Awaitable[None]]
"""Called after so many bytes were read: waits as long as it takes not to be faster than allowed."""

_VERIFY_BYTES = 4 * 1024 * 1024

log = structlog.get_logger()


class BlobDamaged(Exception):
    """The file of a blob is not what its name says; it is reported, and no client gets all of it."""


class Damage:
    """What is known to be damaged in a registry."""

    def __init__(self, registry: Registry) -> None:
        self._registry = registry

    async def report(self, digest: Digest, kind: str, cause: str = "", *, descriptor: int | None = None) -> None:
        """Mark the blob as ``corrupt`` or ``missing``, so that clients are told that it is not there.

        Not if a push has put another file in its place meanwhile, as the open ``descriptor`` of the bad one tells.
        Raises OSError where the whole folder is gone: that says nothing of one blob.
        """
        registry = self._registry
        await registry.restoration.require_folder()
        with trio.CancelScope(shield=True):
            async with registry.digest_locks.hold(digest):
                if await registry.hops(registry.files.is_replaced, digest, descriptor):
                    return
                news = await registry.database.write(damage.set_damage, digest, kind)
        if news:
            file = f"blobs/{digest.algorithm}/{digest.hex}"
            log.error("a blob is damaged; the next push of it heals it", file=file, damage=kind, cause=cause)

    async def report_error(self, digest: Digest, error: OSError, *, descriptor: int | None = None) -> None:
        """Report the blob where the error says that its file is bad. Raises BlobDamaged then, and else the error."""
        kind = damage_of(error)
        if kind is None:
            raise error
        await self.report(digest, kind, str(error), descriptor=descriptor)
        raise BlobDamaged(f"{digest} is {kind}") from error

    async def report_manifest(self, manifest: StoredManifest) -> None:
        """Mark a manifest whose bytes are not what its digest says."""
        with trio.CancelScope(shield=True):
            news = await self._registry.database.write(manifests.set_damaged, manifest.id, manifest.digest)
        if news:
            log.error("a manifest is damaged; the next push of it heals it", digest=str(manifest.digest))

    async def verify(self, digest: Digest, size: int, pace: Pace | None = None) -> bool:
        """Read and hash the whole file, from the disk, and record what was found; whether it is good.

        Raises OSError where an error says nothing of the file.
        """
        registry = self._registry
        try:
            descriptor = await registry.hops(registry.files.open_uncached, digest)
        except OSError as error:
            with suppress(BlobDamaged):
                await self.report_error(digest, error)
            return False
        try:
            fault = await self._read(digest, size, descriptor, pace)
            if fault:
                await self.report(digest, "corrupt", fault, descriptor=descriptor)
        finally:
            os.close(descriptor)
        if not fault:
            await registry.database.write(damage.set_verified, digest)
        return not fault

    async def _read(self, digest: Digest, size: int, descriptor: int, pace: Pace | None) -> str:
        """What is wrong with the file; nothing where it is good."""
        content_hash, paced = ContentHash(digest.algorithm), 0
        try:
            while await self._registry.hops(hash_piece, descriptor, content_hash, _VERIFY_BYTES):
                if pace is not None:
                    await pace(content_hash.size - paced)
                    paced = content_hash.size
        except OSError as error:
            if damage_of(error) is None:
                raise
            return str(error)
        if (content_hash.size, content_hash.digest()) == (size, digest):
            return ""
        return f"{content_hash.size} bytes, {content_hash.digest()}"
