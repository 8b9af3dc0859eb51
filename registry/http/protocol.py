"""HTTP/1.1 as this daemon speaks it: Hypercorn's protocol, without what lets a client do harm.

No upgrade is made and no HTTP/2 spoken; a message whose end two parsers could see in different places is refused; an
answer that comes before the end of the request's body announces that the connection closes; ``100 Continue`` goes out
when the application begins to read.
"""

from __future__ import annotations

import re
from typing import TYPE_CHECKING, Any
from urllib.parse import urlsplit

import h11
import structlog
import trio
from h11._receivebuffer import ReceiveBuffer
from hypercorn.events import Closed
from hypercorn.protocol.events import Response
from hypercorn.protocol.h11 import H11Protocol

from registry.http.access_log import ClientGone

if TYPE_CHECKING:
    from hypercorn.protocol.events import Event as StreamEvent
    from hypercorn.typing import H11SendableEvent

    from registry.http.traffic import Traffic

_REFUSAL_SECONDS = 5
"""A refusal has no body: it fits into the socket's buffer, or nobody reads."""

_AUTHORITY = re.compile(rb"(?:\[[0-9A-Fa-f:.]+\]|(?:[\w.~!$&'()*+,;=-]|%[0-9A-Fa-f]{2})*)(?::[0-9]*)?")
"""A host, perhaps none, and a port (RFC 3986, sections 3.2.2 and 3.2.3)."""

_CHUNK_HEAD = re.compile(rb"[0-9A-Fa-f]+(?:;[^\x00-\x08\x0a-\x1f\x7f]*)?\r\n")
"""RFC 9112, section 7.1: extensions are ignored, but a line that ends nowhere else for anybody."""

log = structlog.get_logger("access")


class Refused(Exception):
    """The request was answered with an error below the application; the connection ends."""


class _StrictLines(ReceiveBuffer):
    """Lines as every reader sees them.

    h11 also ends a line at a bare LF and joins folded ones (RFC 9112, sections 2.2 and 5.2, allow both), and a chunk's
    size may be followed by spaces and by bare CRs. A proxy before us that does otherwise would see another message.
    """

    def maybe_extract_lines(self) -> list[bytearray] | None:
        """The lines of a head or of trailers. Raises LocalProtocolError, which h11 turns into a 400."""
        before = len(self)
        lines = super().maybe_extract_lines()
        if lines is not None:
            if before - len(self) != sum(len(line) + len(b"\r\n") for line in [*lines, b""]):
                raise h11.LocalProtocolError("a line that ends with a bare LF")
            if any(line.startswith((b" ", b"\t")) for line in lines):
                raise h11.LocalProtocolError("a folded line")
        return lines

    def maybe_extract_next_line(self) -> bytearray | None:
        """The line that begins a chunk. Raises LocalProtocolError."""
        line = super().maybe_extract_next_line()
        if line is not None and not _CHUNK_HEAD.fullmatch(line):
            raise h11.LocalProtocolError("no chunk begins like that")
        return line


class _StrictConnection(h11.Connection):
    """What follows the last request of a connection is ignored (RFC 9112, section 9.6).

    h11 takes it for an error, and that could be sent in the place of the answer to a request that was carried out.
    """

    def __init__(self, limit_bytes: int) -> None:
        super().__init__(h11.SERVER, limit_bytes)
        self._receive_buffer = _StrictLines()

    def receive_data(self, data: bytes) -> None:
        if self.their_state is not h11.MUST_CLOSE:
            super().receive_data(data)

    def next_event(self) -> h11.Event | type[h11.NEED_DATA | h11.PAUSED]:
        return h11.NEED_DATA if self.their_state is h11.MUST_CLOSE else super().next_event()


class GuardedProtocol(H11Protocol):
    def __init__(self, app: Any, traffic: Traffic, *args: Any) -> None:
        super().__init__(self._call_app, *args)
        self.connection: h11.Connection = _StrictConnection(self.config.h11_max_incomplete_size)
        self._guarded_app = app
        self._traffic = traffic
        self._continue = False
        self._disconnected = False
        self._gone = False
        self.stopping = False
        """Whether the answers that are still given announce that the connection closes."""

    @property
    def expects_head(self) -> bool:
        return self.connection.their_state is h11.IDLE

    @property
    def expects_body(self) -> bool:
        return self.connection.their_state is h11.SEND_BODY

    @property
    def is_between_requests(self) -> bool:
        """Whether what comes next begins a request, and no answer is under way."""
        states = {self.connection.our_state, self.connection.their_state}
        return states == {h11.IDLE} and self.stream is None and not self.connection.trailing_data[0]

    @property
    def has_partial_head(self) -> bool:
        return self.expects_head and bool(self.connection.trailing_data[0])

    @property
    def has_unread_body(self) -> bool:
        """Whether the client may still be sending what nobody will read, after an answer or an error."""
        return self.connection.their_state in {h11.SEND_BODY, h11.ERROR}

    async def disconnect(self) -> None:
        """Tell the application that the client went away in the middle of its request."""
        self._disconnected = True
        await self.handle(Closed())

    async def stream_send(self, event: StreamEvent) -> None:
        if isinstance(event, Response) and event.status_code >= 200 and (self.expects_body or self.stopping):
            event.headers.append((b"connection", b"close"))
        await super().stream_send(event)

    async def _call_app(self, scope: Any, receive: Any, send: Any, sync_spawn: Any, call_soon: Any) -> None:
        async def receive_continued() -> Any:
            await self._send_continue()
            return await receive()

        try:
            await self._guarded_app(scope, receive_continued, send, sync_spawn, call_soon)
        finally:
            if self._disconnected:
                await self.send(Closed())  # the message of the disconnect may still wait for room in a queue

    async def _send_continue(self) -> None:
        if not self._continue and self.connection.they_are_waiting_for_100_continue:
            self._continue = True
            headers = self.config.response_headers("h11")
            await self._send_h11_event(h11.InformationalResponse(status_code=100, headers=headers))

    async def _send_h11_event(self, event: H11SendableEvent) -> None:
        """Hold back the ``100 Continue`` that Hypercorn sends as soon as a head is read.

        Raises ClientGone, again and again: Hypercorn would try to send an error where an answer's head was not sent.
        """
        if isinstance(event, h11.InformationalResponse) and not self._continue:
            return
        if self._gone:
            raise ClientGone
        try:
            await super()._send_h11_event(event)
        except ClientGone:
            self._gone = True
            raise

    async def _close_stream(self) -> None:
        """End a request.

        Hypercorn puts a last message into the application's queue; when that is full of a body that nobody reads any
        more, it waits for ever. Only an application that the client left in the middle has use for the message.
        """
        if self.stream is not None and not self._disconnected:
            self.stream.closed = True
            self.stream = None
        await super()._close_stream()

    async def _check_protocol(self, event: h11.Request) -> None:
        status = _refusal(event)
        if status is not None:
            await self._send_error_response(status, event.method.decode("ascii"))
            await self.send(Closed())
            raise Refused

    async def _send_error_response(self, status_code: int, method: str = "") -> None:
        """Refuse what is no request that the application could answer, say so in the log, and count it.

        A request whose head the application has is counted there. An application that ends meanwhile ends the reading
        of requests, in which this runs; the answer still goes out.
        """
        client = self.client[0] if self.client else "unix"
        log.info("refused", status=status_code, client=client)
        if self.stream is None:
            self._traffic.begin(method).end(status_code, 0, 0)
        with trio.move_on_after(_REFUSAL_SECONDS, shield=True):
            await super()._send_error_response(status_code)

    async def _create_stream(self, request: h11.Request) -> None:
        """Begin a request.

        An Upgrade is ignored (RFC 9110, section 7.8), an absolute target made relative (RFC 9112, section 3.2.2).
        """
        self._continue = False
        target = request.target
        if not target.startswith(b"/"):
            parts = urlsplit(target.decode("ascii"))
            target = ((parts.path or "/") + (f"?{parts.query}" if parts.query else "")).encode("ascii")
        headers = [(name, value) for name, value in request.headers.raw_items() if name.lower() != b"upgrade"]
        await super()._create_stream(
            h11.Request(method=request.method, target=target, headers=headers, http_version=request.http_version)
        )


def _refusal(request: h11.Request) -> int | None:
    """The status with which a request is refused before it reaches the application (RFC 9112, sections 3.2 and 6)."""
    names = [name for name, _ in request.headers]
    chunked = b"transfer-encoding" in names
    if request.http_version not in {b"1.0", b"1.1"}:
        return 505
    if request.method != request.method.upper():
        return 501
    if chunked and (b"content-length" in names or request.http_version == b"1.0"):
        return 400
    hosts = [value for name, value in request.headers if name == b"host"]
    if not (_is_target(request.target) and all(map(_AUTHORITY.fullmatch, hosts))):
        return 400
    return None


def _is_target(target: bytes) -> bool:
    """Whether the target has the origin or the absolute form; no fragment stands in either."""
    try:
        authority = urlsplit(target).netloc
    except ValueError:
        return False
    is_absolute = target.startswith((b"http://", b"https://")) and authority and _AUTHORITY.fullmatch(authority)
    return b"#" not in target and (target.startswith(b"/") or bool(is_absolute))
