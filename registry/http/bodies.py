"""The body of a request, off the wire: as long as its head says, or in chunks.

What is received goes straight to where it is wanted, in whatever thread asks; the event loop only waits.
"""

from __future__ import annotations

import re
from typing import TYPE_CHECKING

from registry.http.access_log import ClientGone
from registry.service.bodies import BodyInterrupted

if TYPE_CHECKING:
    from registry.http.heads import Head
    from registry.http.wire import Wire

_AT_ONCE_BYTES = 512 * 1024
_AT_ONCE_OF_CHUNKS_BYTES = 256 * 1024
"""The loop is not woken for less while more is to come."""

_PATIENCE_SECONDS = 1
_PATIENCE_WITH_CHUNKS_SECONDS = 0.002
"""Unless that takes longer. Whether more chunks come is not known before: a body's end waits for so long."""

_RECEIVE_BYTES = 256 * 1024

_CONTINUE = b"HTTP/1.1 100 Continue\r\n\r\n"

_CHUNK_HEAD = re.compile(rb"([0-9A-Fa-f]{1,15})(?:;[^\x00-\x08\x0a-\x1f\x7f]*)?")
_TRAILER = re.compile(rb"[!#$%&'*+.^_`|~0-9A-Za-z-]+:[^\x00-\x08\x0a-\x1f\x7f]*")
_OTHER_CODING = re.compile(rb"transfer-encoding:(?![ \t]*chunked[ \t]*$)", re.IGNORECASE)
"""Says that the body was no chunks."""
_LINE_END = b"\r\n"
_LINES_BYTES = 16 * 1024
"""The most of a chunk's head, or of all trailers."""


class WireBody:
    """``taken`` counts the bytes that were."""

    def __init__(self, wire: Wire, *, is_awaited: bool) -> None:
        """The client of one that ``is_awaited`` sends nothing before it is told to."""
        self._wire = wire
        self._is_awaited = is_awaited
        self.taken = 0

    async def _receive(self, limit: int, at_once: int, patience_seconds: float) -> bytes:
        """Wait for bytes (see Wire.arrival). Raises BodyInterrupted."""
        if self._is_awaited:
            self._is_awaited = False
            try:
                await self._wire.send(_CONTINUE)
            except ClientGone:
                raise BodyInterrupted from None
        return await self._wire.arrival(limit, at_once, patience_seconds)


class SizedBody(WireBody):
    """Of ``length`` bytes; ``received`` is what came with the head, perhaps more than the body."""

    def __init__(self, wire: Wire, received: bytes, length: int, *, is_awaited: bool) -> None:
        super().__init__(wire, is_awaited=is_awaited and not received)
        self._received = memoryview(received)[:length]
        self._left = length
        self.rest = received[length:]
        """What was received behind the body."""

    @property
    def is_over(self) -> bool:
        return not self._left

    async def arrives(self, at_once: int = 1) -> bool:
        at_once = min(at_once, self._left, _AT_ONCE_BYTES)
        try:
            while (missing := at_once - len(self._received)) > 0:
                received = await self._receive(self._left - len(self._received), missing, _PATIENCE_SECONDS)
                if not received:  # it is on the socket
                    break
                self._received = memoryview(bytes(self._received) + received)
        except BodyInterrupted:
            if not self._received:
                raise
        return self._left > 0

    def take(self, room: memoryview) -> int:
        if self._received:
            taken = min(len(self._received), len(room))
            room[:taken] = self._received[:taken]
            self._received = self._received[taken:]
        elif self._left:
            taken = self._wire.receive_into(room[: self._left])
        else:
            return 0
        self._left -= taken
        self.taken += taken
        return taken

    def skip_received(self) -> None:
        """Nobody wants the body: it is over if all of it is here."""
        if len(self._received) == self._left:
            self._left = 0


class ChunkedBody(WireBody):
    """Likewise, by RFC 9112, section 7.1. Extensions and trailers are ignored."""

    def __init__(self, wire: Wire, received: bytes, *, is_awaited: bool) -> None:
        super().__init__(wire, is_awaited=is_awaited and not received)
        self._received = received
        self._position = 0
        self._left = 0
        """Of this chunk."""
        self._follow = self._begin_chunk
        """What to do with the next line."""
        self._trailers_bytes = 0
        self._is_malformed = False
        self._needs_more = not received
        self.is_over = False

    @property
    def rest(self) -> bytes:
        return self._received[self._position :]

    async def arrives(self, at_once: int = 1) -> bool:
        if self._is_malformed:
            raise BodyInterrupted("the body does not consist of chunks (RFC 9112, section 7.1)")
        if self._needs_more:
            at_once = min(at_once, _AT_ONCE_OF_CHUNKS_BYTES) if self.taken >= _AT_ONCE_OF_CHUNKS_BYTES else 1
            self._add(await self._receive(_RECEIVE_BYTES, at_once, _PATIENCE_WITH_CHUNKS_SECONDS))
        return not self.is_over

    def take(self, room: memoryview) -> int:
        taken = self._unpack(room)
        if self._needs_more and (received := self._wire.receive_now(min(len(room), _RECEIVE_BYTES))):
            self._add(received)
            taken += self._unpack(room[taken:])
        self.taken += taken
        return taken

    def skip_received(self) -> None:
        self._unpack(memoryview(bytearray(len(self._received))))

    def _add(self, received: bytes) -> None:
        self._received = self.rest + received
        self._position = 0

    def _unpack(self, room: memoryview) -> int:
        """Move what is data into ``room``: how much, until it is full or what was received ends."""
        filled = 0
        self._needs_more = False
        while filled < len(room) and not (self._needs_more or self.is_over or self._is_malformed):
            if not self._left:
                self._read_line()
                continue
            part = memoryview(self._received)[self._position :][: min(self._left, len(room) - filled)]
            room[filled : filled + len(part)] = part
            filled += len(part)
            self._position += len(part)
            self._left -= len(part)
            self._needs_more = self._position == len(self._received)
        return filled

    def _read_line(self) -> None:
        end = self._received.find(_LINE_END, self._position, self._position + _LINES_BYTES)
        if end >= 0:
            line = self._received[self._position : end]
            self._position = end + len(_LINE_END)
            self._follow(line)
        elif len(self._received) - self._position < _LINES_BYTES and self._received.find(b"\n", self._position) < 0:
            self._needs_more = True
        else:
            self._is_malformed = True

    def _begin_chunk(self, line: bytes) -> None:
        head = _CHUNK_HEAD.fullmatch(line)
        if head is None:
            self._is_malformed = True
            return
        self._left = int(head[1], 16)
        self._follow = self._end_chunk if self._left else self._pass_trailer

    def _end_chunk(self, line: bytes) -> None:
        self._is_malformed = line != b""
        self._follow = self._begin_chunk

    def _pass_trailer(self, line: bytes) -> None:
        self._trailers_bytes += len(line)
        self.is_over = line == b""
        is_field = _TRAILER.fullmatch(line) is not None and _OTHER_CODING.match(line) is None
        self._is_malformed = not (self.is_over or is_field) or self._trailers_bytes > _LINES_BYTES


def open_body(head: Head, wire: Wire, received: bytes) -> SizedBody | ChunkedBody:
    """The body that follows ``head``, of which ``received`` has come with it."""
    length = head.body_bytes
    if length is None:
        return ChunkedBody(wire, received, is_awaited=head.expects_continue)
    return SizedBody(wire, received, length, is_awaited=head.expects_continue)
