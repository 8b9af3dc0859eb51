"""Room on the disk: what is refused in time so that reads, deletes and garbage collection always go on."""

from __future__ import annotations

import errno
from contextlib import suppress
from typing import TYPE_CHECKING

import structlog
import trio

from registry.oci.errors import InsufficientStorage, Overloaded
from registry.store import space

if TYPE_CHECKING:
    from collections.abc import Callable

    from registry.oci.errors import RegistryError
    from registry.service.registry import Registry
    from registry.store.space import Room
    from registry.store.upload_files import UploadFile

_GIB = 1024**3
_RESERVED_INODES = 100

log = structlog.get_logger()


class Space:
    """What the disk of a registry has left, as it was looked at last."""

    def __init__(self, registry: Registry) -> None:
        self._registry = registry
        self._room: Room | None = None
        self._promises: dict[UploadFile, int] = {}
        """Where each upload that is being received will end."""
        self._promised_bytes = 0
        """What that was in all, before any of it had come."""
        self._low = False
        self._looking = trio.Lock()
        """An older view must not take the place of a newer one."""

    @property
    def reserve_bytes(self) -> int:
        """What no upload may use."""
        configured = self._registry.policy.reserve_bytes
        if configured is not None:
            return configured
        return min(self._room.total_bytes // 20, _GIB) if self._room else _GIB

    @property
    def free_bytes(self) -> int | None:
        return None if self._room is None else self._room.free_bytes

    def shortage_bytes(self) -> int:
        """How much less than the reserve is free; 0 where there is enough."""
        return 0 if self._room is None else max(self.reserve_bytes - self._room.free_bytes, 0)

    def complaint(self) -> str | None:
        """What is short, in words for the operator."""
        if self._room is None:
            return None
        if self._room.free_bytes < self.reserve_bytes:
            return f"disk: {self._room.free_bytes:,} bytes are free, storage.reserve is {self.reserve_bytes:,}"
        if self._room.free_inodes is not None and self._room.free_inodes < _RESERVED_INODES:
            return f"disk: {self._room.free_inodes} inodes are free, {_RESERVED_INODES} are kept"
        return None

    async def watch(self) -> None:
        """Look at the disk every second. One that does not answer is seen by ``Health``."""
        while True:
            with suppress(OSError):
                await self.look()
            await trio.sleep(1)

    async def look(self) -> None:
        """Look at the disk again; the ballast is laid as soon as there is room for it."""
        store = self._registry.store_space
        async with self._looking:
            self._room = await self._registry.hops(store.room)
            complaint = self.complaint()
            if complaint is None:
                await self._registry.hops(store.lay_ballast)
            if (complaint is not None) != self._low:
                self._low = complaint is not None
                if self._low:
                    log.error("uploads are refused", reason=complaint)
                else:
                    log.warning("there is room again; uploads are taken")

    async def require(self, length: int = 0) -> None:
        """Raises InsufficientStorage unless so many bytes, beside those promised to others, fit above the reserve."""
        if not self._fits(length):
            await self._require(lambda: self._refusal(length))

    async def require_for_rows(self) -> None:
        """What ends a push is small: it may use half of the reserve. Raises InsufficientStorage."""
        await self._require(self._refusal_of_rows)

    async def _require(self, refusal: Callable[[], str | None]) -> None:
        """Nothing is refused for what was so a second ago: before that the disk is looked at again."""
        if refusal() is None:
            return
        with suppress(OSError):
            await self.look()
        reason = refusal()
        if reason is not None:
            raise InsufficientStorage(reason)

    def _fits(self, length: int) -> bool:
        """Whether there is room even if nothing has come yet of what was promised, as there mostly is."""
        room = self._room
        if room is None:
            return True
        has_inodes = room.free_inodes is None or room.free_inodes >= _RESERVED_INODES
        return has_inodes and room.free_bytes - self._promised_bytes - length >= self.reserve_bytes

    def _refusal(self, length: int) -> str | None:
        complaint = self.complaint()
        if complaint is not None:
            return f"no room for this upload ({complaint})"
        if self._fits(length) or self._room is None:
            return None
        promised = sum(max(end - file.offset, 0) for file, end in self._promises.items())
        if self._room.free_bytes - promised - length < self.reserve_bytes:
            return f"no room for {length:,} bytes above storage.reserve"
        return None

    def _refusal_of_rows(self) -> str | None:
        if self._room is not None and self._room.free_bytes <= self.reserve_bytes // 2:
            return "no room left, not even for a manifest (storage.reserve)"
        return None

    async def promise(self, file: UploadFile, length: int | None) -> None:
        """Keep room for a body of ``length`` bytes, until ``release``. Raises InsufficientStorage."""
        if length == 0:
            await self.require_for_rows()
        else:
            await self.require(length or 0)
        self._promises[file] = file.offset + (length or 0)
        self._promised_bytes += length or 0

    def release(self, file: UploadFile, length: int | None) -> None:
        """The file does not receive the body any more; or never did, where room for it was refused."""
        if self._promises.pop(file, None) is not None:
            self._promised_bytes -= length or 0


def shortage(error: BaseException) -> RegistryError | None:
    """What a client is told where an error means that something has run out; None for any other error."""
    if space.is_full(error):
        return InsufficientStorage("no room on the disk; nothing of this request was kept")
    if isinstance(error, OSError) and error.errno in {errno.EMFILE, errno.ENFILE}:
        return Overloaded("no file can be opened just now; try again")
    return None
