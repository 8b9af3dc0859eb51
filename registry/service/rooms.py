"""Memory for the pieces of bodies, lent again and again.

What is fresh costs a fault for each page, which was a quarter of the CPU of an image's push.
"""

from __future__ import annotations

import mmap

_SMALL_BYTES = 16 * 1024
"""No more than this comes from the allocator, which has it at hand."""

_SPARE_ROOMS = 16
"""Most that are kept while nobody needs them."""


class Rooms:
    """Each has at most ``room_bytes``."""

    def __init__(self, room_bytes: int) -> None:
        self._room_bytes = room_bytes
        self._spare: list[mmap.mmap] = []

    def lend(self, size: int) -> memoryview:
        """Room for so many bytes, or the most that there is, until it is given to ``take_back``."""
        if size <= _SMALL_BYTES:
            return memoryview(bytearray(size))
        return memoryview(self._spare.pop() if self._spare else self._new())[:size]

    def take_back(self, room: memoryview) -> None:
        """Nothing may refer to it any more."""
        if isinstance(room.obj, mmap.mmap) and len(self._spare) < _SPARE_ROOMS:
            self._spare.append(room.obj)

    def _new(self) -> mmap.mmap:
        """It takes memory as far as it is filled."""
        return mmap.mmap(-1, self._room_bytes, flags=mmap.MAP_PRIVATE | mmap.MAP_ANONYMOUS)
