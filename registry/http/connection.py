"""The guard around each connection.

A client can end its own connection and nothing else: whatever goes wrong in one is logged and closes it, and every wait
for a client has a deadline.
"""

from __future__ import annotations

import socket
import struct
import sys
from contextlib import suppress
from dataclasses import dataclass
from math import inf
from typing import TYPE_CHECKING, Any

import structlog
import trio
from hypercorn.config import Config
from hypercorn.events import Closed, RawData, Updated
from hypercorn.trio.task_group import TaskGroup
from hypercorn.trio.worker_context import WorkerContext
from hypercorn.typing import ConnectionState, LifespanState

from registry.http.express import Lane
from registry.http.protocol import GuardedProtocol, Refused
from registry.http.tls import HandshakeFailed, TlsStream
from registry.http.wire import Wire, address_of, scope_of

if TYPE_CHECKING:
    from collections.abc import Callable

    from hypercorn.events import Event
    from hypercorn.typing import AppWrapper

    from registry.http.express import Express
    from registry.http.limits import Places
    from registry.http.traffic import Traffic

_RECEIVE_BYTES = 64 * 1024
_HEAD_LIMIT_BYTES = 64 * 1024

_LINGER_SECONDS = 2
_LINGER_BYTES = 1024 * 1024
_LINGER_PAUSE_SECONDS = 0.05
"""A body that nobody wants is read for so long, this much of it fast, that its sender gets to see the answer.

Closing at once would reset the connection and take the answer with it (RFC 9112, section 9.6). Go's client writes a
mebibyte before it looks.
"""

_FIRST_REQUEST_SECONDS = 1
"""A client that has just connected when the daemon stops may still ask once: it would not try again, as it does where a
connection of its own that was idle for a while has ended (RFC 9112, section 9.3.1).
"""

log = structlog.get_logger()


@dataclass(frozen=True, slots=True)
class Limits:
    """How long a client is waited for."""

    head_seconds: float = 10
    stall_seconds: float = 60
    drain_seconds: float = 10


def _config() -> Config:
    """What Hypercorn's protocol asks of its configuration."""
    config = Config()
    config.include_server_header = False
    config.h11_max_incomplete_size = _HEAD_LIMIT_BYTES
    config.keep_alive_max_requests = sys.maxsize
    config.accesslog = None
    config.errorlog = None
    return config


_CONFIG = _config()


class Connection:
    """One client's connection. Nothing that happens in it leaves it, cancellation aside."""

    def __init__(
        self,
        app: AppWrapper,
        limits: Limits,
        stream: trio.SocketStream | TlsStream,
        places: Places,
        traffic: Traffic,
        express: Callable[[], Express] | None = None,
        received: bytes = b"",
    ) -> None:
        """``express`` tells by which settings what is asked for most is answered here, and not by the application;
        ``received`` is what another process has read already.
        """
        self._app = app
        self._limits = limits
        self._stream = stream
        self._places = places
        self._traffic = traffic
        self._express = express
        self._received = received
        self._wire = Wire(stream, limits.stall_seconds, self._stop_reading)
        self._lane: Lane
        self._reading = trio.CancelScope()
        self._waiting = trio.CancelScope()
        self._ends_at = inf
        """Until then a request may still come; one that has come is answered."""
        self._head_since: float | None = None
        self._idle = True
        self._is_new = True
        self._stopping = False
        self._is_listened_to = True
        self._protocol: GuardedProtocol

    async def run(self) -> None:
        """Serve the client until it goes away or has to."""
        try:
            await self._serve()
            if not self._wire.is_gone:
                await part(self._stream, sends_more=self._sends_more)
        except* (OSError, trio.BrokenResourceError, trio.ClosedResourceError):
            pass  # the client has gone; there is nobody to tell
        except* Exception:  # the guard: what a client provokes ends here
            log.exception("connection failed")
        finally:
            await trio.aclose_forcefully(self._stream)

    def stop(self) -> None:
        """End the connection as soon as no request is in flight."""
        self._stopping = True
        if self._idle:
            self._end_at(-inf)
        else:
            self._protocol.stopping = self._lane.stopping = True

    def finish(self) -> None:
        """Likewise, but answer the first request of one who came at this moment."""
        if not (self._is_new and self._idle):
            self.stop()
            return
        self._stopping = True
        self._end_at(trio.current_time() + _FIRST_REQUEST_SECONDS)

    def _end_at(self, moment: float) -> None:
        self._ends_at = min(self._ends_at, moment)
        self._waiting.deadline = min(self._waiting.deadline, moment)

    async def _serve(self) -> None:
        async with TaskGroup() as tasks:
            self._protocol = self._make_protocol(tasks)
            with self._reading:
                await self._shake_hands()
                await self._read()
            with trio.CancelScope() as self._reading:  # until the application ends without being told
                if self._protocol.has_unread_body:
                    await self._protocol.disconnect()

    def _make_protocol(self, tasks: TaskGroup) -> GuardedProtocol:
        raw = self._stream.socket
        is_tls = isinstance(self._stream, TlsStream)
        scope = scope_of(raw, "https" if is_tls else "http")
        self._lane = Lane(self._wire, scope, self._begin)
        return GuardedProtocol(
            self._app,
            self._traffic,
            _CONFIG,
            WorkerContext(None),
            tasks,
            ConnectionState(LifespanState(_credentials(raw))),
            is_tls,
            scope["client"],
            scope["server"],
            self._on_protocol_event,
        )

    async def _shake_hands(self) -> None:
        """Where the connection is one of TLS. A client has as long for it as for the head of a request."""
        if not isinstance(self._stream, TlsStream):
            return
        deadline = min(trio.current_time() + self._limits.head_seconds, self._ends_at)
        with trio.CancelScope(deadline=deadline) as self._waiting:
            try:
                await self._stream.handshake()
            except HandshakeFailed as failure:
                self._is_listened_to = False
                log.info("handshake failed", reason=str(failure), client=peer_of(self._stream))
        if self._waiting.cancelled_caught:
            self._wire.is_gone = True

    async def _read(self) -> None:
        """Feed the protocol until the client ends its side, stalls, or the protocol has closed the connection."""
        with suppress(Refused):
            while self._is_heard and (data := await self._receive()):
                if self._express is not None and self._protocol.is_between_requests:
                    data = await self._serve_express(self._express, data)
                if data:
                    await self._protocol.handle(RawData(data))

    @property
    def _is_heard(self) -> bool:
        """Whether what the client may ask next will be answered."""
        return self._is_listened_to and not self._wire.is_gone and not self._lane.has_unread_body

    @property
    def _sends_more(self) -> bool:
        """Whether the client may still be sending what nobody will read."""
        return self._protocol.has_unread_body or self._lane.has_unread_body or not self._is_listened_to

    async def _serve_express(self, express: Callable[[], Express], data: bytes) -> bytes:
        """What is left for the protocol."""
        try:
            return await self._lane.serve(express, data)
        finally:
            if not self._idle:
                self._turn(idle=True)

    def _begin(self) -> None:
        """The lane takes a request; one that it leaves is not begun here."""
        if self._idle:
            self._turn(idle=False)

    async def _receive(self) -> bytes:
        """What has arrived; nothing where the client has ended, broken or stalled the connection."""
        if self._received:
            received, self._received = self._received, b""
            return received
        with trio.CancelScope(deadline=self._deadline()) as self._waiting:
            try:
                return await self._wire.receive()
            except trio.BrokenResourceError:
                self._wire.is_gone = True
        return b""

    def _deadline(self) -> float:
        """Until when the client has to send something; for ever while it is the application's turn."""
        now = trio.current_time()
        if self._protocol.has_partial_head:
            self._head_since = now if self._head_since is None else self._head_since
            return min(self._head_since + self._limits.head_seconds, self._ends_at)
        self._head_since = None
        if self._protocol.expects_head or self._protocol.expects_body:
            return min(now + self._limits.stall_seconds, self._ends_at)
        return self._ends_at

    async def _on_protocol_event(self, event: Event) -> None:
        if isinstance(event, RawData):
            await self._wire.send(event.data)
        elif isinstance(event, Closed):
            self._reading.cancel()
        elif isinstance(event, Updated):
            self._turn(idle=event.idle)
            self._waiting.deadline = self._deadline()

    def _turn(self, *, idle: bool) -> None:
        """A request begins or has ended."""
        self._idle = idle
        if not idle:
            self._is_new = False
            self._protocol.stopping = self._lane.stopping = self._stopping
            self._ends_at = inf
        self._places.turn(self, idle=idle)
        if self._idle and self._stopping:
            self._stop_reading()

    def _stop_reading(self) -> None:
        self._reading.cancel()


async def part(stream: trio.SocketStream | TlsStream, *, sends_more: bool) -> None:
    """Let the client see the answer: end our side, and read away a little of what it still sends.

    Raises BrokenResourceError.
    """
    rest = _LINGER_BYTES
    with trio.move_on_after(_LINGER_SECONDS):
        await stream.send_eof()
        while sends_more and (received := await stream.receive_some(_RECEIVE_BYTES)):
            rest -= len(received)
            if rest < 0:
                await trio.sleep(_LINGER_PAUSE_SECONDS)


def peer_of(stream: trio.SocketStream | TlsStream) -> str | None:
    """The address of the client; None on a unix socket, or where the client has gone."""
    with suppress(OSError):
        address = address_of(stream.socket.getpeername())
        return None if address is None else address[0]
    return None


def _credentials(raw: trio.socket.SocketType) -> dict[str, Any]:
    """Of a unix socket, the user who connected (unix(7), SO_PEERCRED)."""
    if raw.family != socket.AF_UNIX:
        return {}
    _, user, _ = struct.unpack("3i", raw.getsockopt(socket.SOL_SOCKET, socket.SO_PEERCRED, struct.calcsize("3i")))
    return {"uid": user}
