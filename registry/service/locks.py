"""Locks by key, which exist only while somebody holds or awaits them."""

from __future__ import annotations

from contextlib import asynccontextmanager
from typing import TYPE_CHECKING, Generic, TypeVar

import trio

if TYPE_CHECKING:
    from collections.abc import AsyncIterator, Hashable

K = TypeVar("K", bound="Hashable")


class KeyedLocks(Generic[K]):
    def __init__(self) -> None:
        self._locks: dict[K, trio.Lock] = {}
        """Each of them is held."""

    @asynccontextmanager
    async def hold(self, key: K) -> AsyncIterator[None]:
        """One that nobody holds is taken without letting anybody else run."""
        await trio.lowlevel.checkpoint_if_cancelled()
        if key in self._locks:
            lock = self._locks[key]
            await lock.acquire()
        else:
            lock = self._locks[key] = trio.Lock()
            lock.acquire_nowait()
        try:
            yield
        finally:
            lock.release()
            if not lock.locked():  # nobody waits for it, who would have it now
                del self._locks[key]

    def __len__(self) -> int:
        return len(self._locks)
