"""Locks by key, which exist only while somebody holds or awaits them."""

from __future__ import annotations

from typing import TYPE_CHECKING, Generic, TypeVar

import trio

if TYPE_CHECKING:
    from collections.abc import Hashable

K = TypeVar("K", bound="Hashable")


class KeyedLocks(Generic[K]):
    def __init__(self) -> None:
        self._locks: dict[K, trio.Lock] = {}
        """Each of them is held."""

    def hold(self, key: K) -> _Hold[K]:
        """For ``async with``. One that nobody holds is taken without letting anybody else run."""
        return _Hold(self._locks, key)

    def __len__(self) -> int:
        return len(self._locks)


class _Hold(Generic[K]):
    __slots__ = ("_key", "_lock", "_locks")

    def __init__(self, locks: dict[K, trio.Lock], key: K) -> None:
        self._locks, self._key = locks, key

    async def __aenter__(self) -> None:
        await trio.lowlevel.checkpoint_if_cancelled()
        lock = self._locks.get(self._key)
        if lock is None:
            lock = self._locks[self._key] = trio.Lock()
            lock.acquire_nowait()
        else:
            await lock.acquire()
        self._lock = lock

    async def __aexit__(self, *_: object) -> None:
        self._lock.release()
        if not self._lock.locked():  # nobody waits for it, who would have it now
            del self._locks[self._key]
