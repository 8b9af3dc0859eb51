"""The log that ``block_file`` writes of a disk: its format, and what the disk may hold after a power cut.

Up to the last flush before the cut every write is there; of those after it, which a disk may still hold in its cache,
any subset is, each in units of ``UNIT_BYTES``.

The standard library only: ``block_file`` may be run by another interpreter than the tests.
"""

from __future__ import annotations

import mmap
import struct
from dataclasses import dataclass
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path
    from random import Random

HEAD = struct.Struct("<cQQ")
"""A record: WRITE or FLUSH, position on the disk, length; after a WRITE so many bytes."""

WRITE, FLUSH = b"W", b"F"

UNIT_BYTES = 4096
"""What a disk writes whole or not at all."""

_SURVIVING = (0.0, 0.1, 0.5, 0.5, 0.9, 1.0)
"""How likely a write that was not flushed is there; one of these for each state."""


@dataclass(frozen=True, slots=True)
class State:
    """The disk after a cut: how many bytes of the log came before it, and what of that was lost."""

    cut: int
    unflushed: int
    dropped: int

    def __str__(self) -> str:
        return f"cut at byte {self.cut} of the log, {self.dropped} of {self.unflushed} unflushed units dropped"


class Disk:
    """Goes forward through a log, and writes states of the disk into files."""

    def __init__(self, log: Path, size_bytes: int) -> None:
        self._log = _content_of(log)
        self._position = 0
        self._content = bytearray(size_bytes)
        self._touched: set[int] = set()
        self._unflushed: list[tuple[int, bytes]] = []

    def forward(self, cut: int) -> None:
        """Take in the log up to the end of a record. There is no way back."""
        while self._position < cut:
            kind, position, length = HEAD.unpack_from(self._log, self._position)
            start = self._position + HEAD.size
            self._position = start + length
            if kind == FLUSH:
                self._flush()
            else:
                self._unflushed += _units(position, self._log[start : self._position])

    def write(self, image: Path, random: Random) -> State:
        """Write one of the states that a cut at this point may leave."""
        likely = random.choice(_SURVIVING)
        kept = [unit for unit in self._unflushed if random.random() < likely]
        image.unlink(missing_ok=True)  # another process may still have the state before mounted, and write to its file
        with image.open("wb", buffering=0) as file:
            file.truncate(len(self._content))
            for start, stop in _runs(self._touched):
                file.seek(start)
                file.write(memoryview(self._content)[start:stop])
            for position, content in kept:
                file.seek(position)
                file.write(content)
        return State(self._position, len(self._unflushed), len(self._unflushed) - len(kept))

    def _flush(self) -> None:
        for position, content in self._unflushed:
            self._content[position : position + len(content)] = content
            self._touched.add(position // UNIT_BYTES)
        self._unflushed.clear()


def record_ends(log: Path) -> list[int]:
    """The positions at which the log can be cut."""
    content, ends, position = _content_of(log), [], 0
    while position < len(content):
        _, _, length = HEAD.unpack_from(content, position)
        position += HEAD.size + length
        ends.append(position)
    return ends


def _content_of(log: Path) -> mmap.mmap:
    with log.open("rb") as file:
        return mmap.mmap(file.fileno(), 0, access=mmap.ACCESS_READ)


def _units(position: int, content: bytes) -> Iterator[tuple[int, bytes]]:
    """The write, cut at the borders of the disk's units."""
    start = 0
    while start < len(content):
        stop = start + UNIT_BYTES - (position + start) % UNIT_BYTES
        yield position + start, content[start:stop]
        start = stop


def _runs(units: set[int]) -> Iterator[tuple[int, int]]:
    """Ranges of bytes that cover the units, neighbours joined."""
    start = stop = -1
    for unit in sorted(units):
        if unit != stop:
            if stop >= 0:
                yield start * UNIT_BYTES, stop * UNIT_BYTES
            start = unit
        stop = unit + 1
    if stop >= 0:
        yield start * UNIT_BYTES, stop * UNIT_BYTES
