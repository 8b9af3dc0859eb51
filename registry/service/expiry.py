"""The end of uploads that nobody ends: idle sessions, sessions without their file, files without a session."""

from __future__ import annotations

import sqlite3
from contextlib import suppress
from typing import TYPE_CHECKING

import structlog
import trio

from registry.oci.errors import BlobUploadUnknown, UploadBusy
from registry.store import orphans, uploads
from registry.store.space import StorageFull

if TYPE_CHECKING:
    from registry.service.registry import Registry

_SECONDS = 60
"""How often idle sessions are looked for."""

log = structlog.get_logger()


class Expiry:
    def __init__(self, registry: Registry) -> None:
        self._registry = registry

    async def watch(self) -> None:
        """Remove idle sessions now and then. A disk that is full or fails is no reason to end: pulls go on."""
        while True:
            try:
                await self.expire(self._registry.policy.upload_idle_seconds)
            except (OSError, sqlite3.Error, StorageFull) as error:
                log.warning("idle uploads stay until the next try", error=str(error), seconds=_SECONDS)
            await trio.sleep(_SECONDS)

    async def expire(self, idle_seconds: float) -> None:
        """Remove the sessions that were idle for so long."""
        registry = self._registry
        for upload_id in await registry.database.read(uploads.list_idle, idle_seconds=idle_seconds):
            with suppress(UploadBusy, BlobUploadUnknown), registry.uploads.writing(upload_id):
                if await registry.database.write(uploads.remove_idle, upload_id, idle_seconds=idle_seconds):
                    registry.uploads.forget(upload_id)
                    await registry.hops(registry.files.remove_upload, upload_id)

    async def drop_lost(self) -> None:
        """End the sessions whose file went under its digest before a crash kept the transaction from ending them."""
        database, files = self._registry.database, self._registry.files
        for upload_id in await self._registry.hops(files.without_file, await database.read(uploads.list_begun)):
            await database.write(uploads.remove, upload_id)

    async def remove_orphan(self, path: str) -> bool:
        """Remove a file (``uploads/<id>``) unless a session or a request that runs just now needs it."""
        registry, upload_id = self._registry, path.rpartition("/")[2]
        with suppress(UploadBusy, BlobUploadUnknown), registry.uploads.writing(upload_id):
            if await registry.database.write(orphans.forget, path):
                await registry.hops(registry.files.remove_upload, upload_id)
                return True
        return False
