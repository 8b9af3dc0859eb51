"""The bodies of requests: bytes that are taken once, at the pace of whoever takes them."""

from __future__ import annotations

import time
from dataclasses import dataclass
from typing import TYPE_CHECKING, Protocol

import trio

from registry.oci.errors import SizeInvalid

if TYPE_CHECKING:
    from collections.abc import AsyncIterable, Callable

    from registry.oci.digests import ContentHash
    from registry.oci.ranges import ByteRange
    from registry.store.upload_files import UploadFile

PIECE_BYTES = 1024 * 1024
"""How much is gathered before it is written and hashed."""

_HOP_SECONDS = 0.1
"""A sender as fast as the disk, or one whose chunks are next to nothing, must not keep a thread for ever."""

_SMALL_BYTES = 16 * 1024

_READ_BYTES = 16 * 1024
"""What is taken of a body on the event loop before others have their turn."""


class BodyInterrupted(Exception):
    """The sender went away before the end, or sent what is no body."""

    def __init__(self, reason: str = "the body broke off before its end") -> None:
        super().__init__(reason)


class BodyTooLong(Exception):
    """There is more of it than whoever reads it wants."""


class Body(Protocol):
    @property
    def is_over(self) -> bool:
        """Whether nothing can arrive any more: all of it was taken."""

    async def arrives(self, at_once: int = 1) -> bool:
        """Wait until there is something to take, ``at_once`` bytes if they come soon; False at the end.

        Raises BodyInterrupted.
        """

    def take(self, room: memoryview) -> int:
        """Move what has arrived into ``room``; how many bytes, 0 where that is nothing. Any thread may ask.

        One call looks at no more bytes than there is room for, of what is not content either.
        """


class PiecedBody:
    """A body that comes in pieces, which are gathered."""

    def __init__(self, pieces: AsyncIterable[bytes]) -> None:
        """``pieces`` may raise BodyInterrupted."""
        self._pieces = aiter(pieces)
        self._gathered = bytearray()
        self._end: StopAsyncIteration | BodyInterrupted | None = None

    @property
    def is_over(self) -> bool:
        return isinstance(self._end, StopAsyncIteration) and not self._gathered

    async def arrives(self, at_once: int = 1) -> bool:
        try:
            while self._end is None and len(self._gathered) < at_once:
                self._gathered += await anext(self._pieces)
        except (StopAsyncIteration, BodyInterrupted) as end:
            self._end = end
        if isinstance(self._end, BodyInterrupted) and not self._gathered:
            raise self._end
        return bool(self._gathered)

    def take(self, room: memoryview) -> int:
        taken = min(len(room), len(self._gathered))
        room[:taken] = self._gathered[:taken]
        del self._gathered[:taken]
        return taken


class Checked:
    """A body whose end is only told after ``check``, which may raise."""

    def __init__(self, body: Body, check: Callable[[], None]) -> None:
        self._body = body
        self._check = check
        self.take = body.take

    @property
    def is_over(self) -> bool:
        return self._body.is_over

    async def arrives(self, at_once: int = 1) -> bool:
        if await self._body.arrives(at_once):
            return True
        self._check()
        return False


@dataclass(frozen=True, slots=True)
class Chunk:
    """Bytes of a blob on their way in, and what their headers say of them."""

    body: Body
    content_range: ByteRange | None = None
    content_length: int | None = None


class Intake:
    """A body on its way into an upload's file, which is announced to have ``length`` bytes; None where nobody knows.

    Its methods are for one thread at a time.
    """

    def __init__(
        self, chunk: Chunk, file: UploadFile, content_hash: ContentHash | None, length: int | None, room: memoryview
    ) -> None:
        """``room`` is where pieces are gathered; what is over in one of them stays there until the file is durable."""
        self.body = chunk.body
        self.length = length
        self.room = room
        self._is_small = chunk.content_length is not None and chunk.content_length <= _SMALL_BYTES
        self.file = file
        self._content_hash = content_hash
        self._start = file.offset
        self._filled = 0

    @property
    def is_brief(self) -> bool:
        """Whether a hop would take longer than to receive it: it is known to be small, and need not be written yet."""
        return self._is_small and not self.file.is_open

    @property
    def is_pending(self) -> bool:
        """Whether something was taken that is neither written nor left to others."""
        return self._filled > 0

    def receive(self) -> None:
        """Take what has arrived; what makes a whole piece, or is the last, is written and hashed.

        Raises SizeInvalid where the body is too long, StorageFull, OSError.
        """
        end = time.monotonic() + _HOP_SECONDS
        while time.monotonic() < end:
            taken = self._take()
            if self.body.is_over:  # whole before any of it was written, it is left to whoever makes it durable
                self._hand_over(self.file.append if self.file.is_open else self.file.hold)
                return
            if self._filled == len(self.room):
                self._hand_over(self.file.append)
            elif not taken:
                return

    def require_all(self) -> None:
        """Raises SizeInvalid where the body was too short."""
        received = self.file.offset - self._start
        if self.length is not None and received < self.length:
            raise SizeInvalid(f"the body has {received} bytes, its headers announce {self.length}")

    def keep(self) -> None:
        """Write what had arrived when the body broke off: it need not come again. Raises as ``receive``."""
        while self._take():
            if self._filled == len(self.room):
                break
        self._hand_over(self.file.append)

    def _take(self) -> int:
        taken = self.body.take(self.room[self._filled :])
        self._filled += taken
        return taken

    def _hand_over(self, add: Callable[[memoryview, ContentHash | None], None]) -> None:
        if self.length is not None and self.file.offset + self._filled - self._start > self.length:
            raise SizeInvalid(f"the body has more than the {self.length} bytes that its headers announce")
        piece, self._filled = self.room[: self._filled], 0
        add(piece, self._content_hash)


async def read(body: Body, limit_bytes: int) -> bytes:
    """The whole of a body. Raises BodyTooLong before much more than the limit is held, BodyInterrupted."""
    content, room = bytearray(), memoryview(bytearray(min(limit_bytes + 1, _READ_BYTES)))
    while await body.arrives():
        content += room[: body.take(room)]
        if len(content) > limit_bytes:
            raise BodyTooLong
        if not body.is_over:
            await trio.lowlevel.checkpoint()
    return bytes(content)
