"""Listeners, and the guard around each connection.

A client can end its own connection and nothing else: whatever goes wrong in one is logged and closes it, and every wait
for a client has a deadline.
"""

from __future__ import annotations

import os
import socket
import stat
import sys
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import structlog
import trio
from hypercorn.app_wrappers import ASGIWrapper
from hypercorn.config import Config
from hypercorn.events import Closed, RawData, Updated
from hypercorn.trio.task_group import TaskGroup
from hypercorn.trio.worker_context import WorkerContext
from hypercorn.typing import ConnectionState, LifespanState

from registry.http.access_log import ClientGone
from registry.http.protocol import GuardedProtocol, Refused

if TYPE_CHECKING:
    from collections.abc import Sequence

    from hypercorn.events import Event
    from hypercorn.typing import ASGIFramework

_RECEIVE_BYTES = 64 * 1024
_SEND_BYTES = 64 * 1024
_HEAD_LIMIT_BYTES = 64 * 1024
_BACKLOG = 1024

_LINGER_BYTES = 1024 * 1024
_LINGER_SECONDS = 2
"""How much of a body that nobody wants is read so that its sender gets to see the answer (RFC 9112, section 9.6)."""

log = structlog.get_logger()


@dataclass(frozen=True, slots=True)
class Limits:
    """How long a client is waited for."""

    head_seconds: float = 10
    stall_seconds: float = 60
    drain_seconds: float = 10


async def listen(address: str) -> list[trio.SocketListener]:
    """Listen on ``host:port``, ``[ipv6]:port`` or ``unix:path``. Raises OSError that names the address."""
    try:
        if address.startswith("unix:"):
            return [_listen_unix(address.removeprefix("unix:"))]
        host, _, port = address.rpartition(":")
        return list(await trio.open_tcp_listeners(int(port), host=host.strip("[]"), backlog=_BACKLOG))
    except OSError as error:
        raise OSError(f"can't listen on {address}: {error.strerror or error}") from error


def _listen_unix(path: str) -> trio.SocketListener:
    """A socket file that a killed daemon left behind is replaced; one that somebody listens on is not."""
    listener = socket.socket(socket.AF_UNIX, socket.SOCK_STREAM)
    try:
        with socket.socket(socket.AF_UNIX, socket.SOCK_STREAM) as probe:
            if os.path.exists(path) and stat.S_ISSOCK(os.stat(path).st_mode) and probe.connect_ex(path) != 0:
                os.unlink(path)
        listener.bind(path)
        listener.listen(_BACKLOG)
    except BaseException:
        listener.close()
        raise
    return trio.SocketListener(trio.socket.from_stdlib_socket(listener))


def describe(listener: trio.SocketListener) -> str:
    """The address of a listener as it stands in a configuration."""
    name = listener.socket.getsockname()
    if isinstance(name, str):
        return f"unix:{name}"
    host, port = name[:2]
    return f"[{host}]:{port}" if ":" in host else f"{host}:{port}"


class Server:
    """Serves an ASGI application until ``stop``, then lets requests in flight end."""

    def __init__(self, app: ASGIFramework, limits: Limits) -> None:
        self.app = ASGIWrapper(app)
        self.limits = limits
        self.config = Config()
        self.config.include_server_header = False
        self.config.h11_max_incomplete_size = _HEAD_LIMIT_BYTES
        self.config.keep_alive_max_requests = sys.maxsize
        self.config.accesslog = None
        self.config.errorlog = None
        self.context = WorkerContext(None)
        self.connections: set[Connection] = set()
        self._stop = trio.Event()

    def stop(self) -> None:
        self._stop.set()

    async def run(self, listeners: Sequence[trio.SocketListener]) -> None:
        """Accept connections until ``stop``; requests in flight then have ``drain_seconds``. Closes the listeners."""
        async with trio.open_nursery() as connections:
            async with trio.open_nursery() as accepting:
                for listener in listeners:
                    accepting.start_soon(_accept, listener, self._handle, connections)
                await self._stop.wait()
                accepting.cancel_scope.cancel()
            for connection in self.connections:
                connection.stop()
            connections.cancel_scope.deadline = trio.current_time() + self.limits.drain_seconds

    async def _handle(self, stream: trio.SocketStream) -> None:
        connection = Connection(self, stream)
        self.connections.add(connection)
        try:
            await connection.run()
        finally:
            self.connections.discard(connection)


async def _accept(listener: trio.SocketListener, handler: Any, connections: trio.Nursery) -> None:
    async with listener:
        await trio.serve_listeners(handler, [listener], handler_nursery=connections)


class Connection:
    """One client's connection. Nothing that happens in it leaves it, cancellation aside."""

    def __init__(self, server: Server, stream: trio.SocketStream) -> None:
        self._server = server
        self._limits = server.limits
        self._stream = stream
        self._sending = trio.Lock()
        self._reading = trio.CancelScope()
        self._waiting = trio.CancelScope()
        self._head_since: float | None = None
        self._gone = False
        self._protocol: GuardedProtocol

    async def run(self) -> None:
        try:
            await self._serve()
            await self._linger()
        except* (OSError, trio.BrokenResourceError, trio.ClosedResourceError):
            pass  # the client has gone; there is nobody to tell
        except* Exception:  # the guard: what a client provokes ends here
            log.exception("connection failed")
        finally:
            await trio.aclose_forcefully(self._stream)

    def stop(self) -> None:
        """End the connection as soon as no request is in flight."""
        self._protocol.stopping = True
        if self._protocol.is_idle:
            self._reading.cancel()

    async def _serve(self) -> None:
        raw = self._stream.socket
        async with TaskGroup() as tasks:
            self._protocol = GuardedProtocol(
                self._server.app,
                self._server.config,
                self._server.context,
                tasks,
                ConnectionState(LifespanState({})),
                False,  # noqa: FBT003 (ssl)
                _address(raw.getpeername()),
                _address(raw.getsockname()),
                self._on_protocol_event,
            )
            with self._reading:
                await self._read()

    async def _read(self) -> None:
        """Feed the protocol until the client ends its side, stalls, or the protocol has closed the connection."""
        try:
            while data := await self._receive():
                await self._protocol.handle(RawData(data))
        except Refused:
            return
        if self._protocol.expects_body:
            await self._protocol.disconnect()

    async def _receive(self) -> bytes:
        """What has arrived; nothing where the client has ended, broken or stalled the connection."""
        with trio.CancelScope(deadline=self._deadline()) as self._waiting:
            try:
                return bytes(await self._stream.receive_some(_RECEIVE_BYTES))
            except trio.BrokenResourceError:
                self._gone = True
        return b""

    def _deadline(self) -> float:
        """Until when the client has to send something; for ever while it is the application's turn."""
        now = trio.current_time()
        if self._protocol.has_partial_head:
            self._head_since = now if self._head_since is None else self._head_since
            return self._head_since + self._limits.head_seconds
        self._head_since = None
        if self._protocol.expects_head or self._protocol.expects_body:
            return now + self._limits.stall_seconds
        return float("inf")

    async def _on_protocol_event(self, event: Event) -> None:
        if isinstance(event, RawData):
            await self._send(event.data)
        elif isinstance(event, Closed):
            self._reading.cancel()
        elif isinstance(event, Updated) and event.idle:
            self._waiting.deadline = self._deadline()
            if self._protocol.stopping:
                self._reading.cancel()

    async def _send(self, data: bytes) -> None:
        """Send everything, or raise ClientGone: the client has gone, or has taken nothing for ``stall_seconds``."""
        async with self._sending:
            for start in range(0, len(data), _SEND_BYTES):
                if self._gone:
                    raise ClientGone
                try:
                    with trio.fail_after(self._limits.stall_seconds):
                        await self._stream.send_all(memoryview(data)[start : start + _SEND_BYTES])
                except (trio.BrokenResourceError, trio.ClosedResourceError, trio.TooSlowError):
                    self._gone = True
                    self._reading.cancel()
                    raise ClientGone from None

    async def _linger(self) -> None:
        """Let the client see the answer: end our side, and read away a little of what it still sends."""
        if self._gone or not self._protocol.has_unread_body:
            return
        await self._stream.send_eof()
        rest = _LINGER_BYTES
        with trio.move_on_after(_LINGER_SECONDS):
            while rest > 0:
                received = await self._stream.receive_some(_RECEIVE_BYTES)
                if not received:
                    return
                rest -= len(received)


def _address(name: Any) -> tuple[str, int] | None:
    """Host and port of a TCP peer, None for a unix socket."""
    return (name[0], name[1]) if isinstance(name, tuple) else None
