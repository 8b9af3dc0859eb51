"""Memory for the pieces of bodies, lent again and again.

What is fresh costs a fault for each page, which was a quarter of the CPU of an image's push.
"""

from __future__ import annotations

import mmap
from contextlib import contextmanager
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Iterator

_SMALL_BYTES = 16 * 1024
"""No more than this comes from the allocator, which has it at hand."""

_SPARE_ROOMS = 16
"""Most that are kept while nobody needs them."""


class Rooms:
    """Each has at most ``room_bytes``."""

    def __init__(self, room_bytes: int) -> None:
        self._room_bytes = room_bytes
        self._spare: list[memoryview] = []

    @contextmanager
    def lend(self, size: int) -> Iterator[memoryview]:
        """Room for so many bytes, or the most that there is; behind the block nothing may refer to it."""
        if size <= _SMALL_BYTES:
            yield memoryview(bytearray(size))
            return
        room = self._spare.pop() if self._spare else self._new()
        try:
            yield room[:size]
        finally:
            if len(self._spare) < _SPARE_ROOMS:
                self._spare.append(room)

    def _new(self) -> memoryview:
        """It takes memory as far as it is filled."""
        return memoryview(mmap.mmap(-1, self._room_bytes, flags=mmap.MAP_PRIVATE | mmap.MAP_ANONYMOUS))
