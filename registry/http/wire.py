"""What goes out and comes in on a connection: at once as far as the socket goes, then at the pace of the client."""

from __future__ import annotations

import ctypes
import os
import socket
from typing import TYPE_CHECKING, Any

import trio

from registry.http.access_log import ClientGone
from registry.http.resident import was_in_memory
from registry.service.bodies import BodyInterrupted

if TYPE_CHECKING:
    from collections.abc import Callable

    from registry.http.tls import TlsStream

_RECEIVE_BYTES = 64 * 1024
_SEND_BYTES = 64 * 1024

_WINDOW_BYTES = 1024 * 1024

_send = ctypes.CDLL(None).send  # a descriptor that is trio's has no such method
_send.restype = ctypes.c_ssize_t
_send.argtypes = [ctypes.c_int, ctypes.c_char_p, ctypes.c_size_t, ctypes.c_int]
_WITH_MORE = socket.MSG_MORE | socket.MSG_DONTWAIT | socket.MSG_NOSIGNAL


class Wire:
    """``on_gone`` is called when the client turns out to have gone, or has taken nothing for ``stall_seconds``."""

    def __init__(
        self, stream: trio.SocketStream | TlsStream, stall_seconds: float, on_gone: Callable[[], None]
    ) -> None:
        self._stream = stream
        self._stall_seconds = stall_seconds
        self._on_gone = on_gone
        self._sending = trio.Lock()
        self._is_plain = isinstance(stream, trio.SocketStream)
        self._number = stream.socket.fileno()
        self._wakes_at = 1
        self._has_ended = False
        self.is_gone = False

    async def send(self, data: bytes | memoryview) -> None:
        """Send everything, or raise ClientGone."""
        async with self._sending:
            for start in range(0, len(data), _SEND_BYTES):
                if self.is_gone:
                    raise ClientGone
                try:
                    with trio.fail_after(self._stall_seconds):
                        await self._stream.send_all(memoryview(data)[start : start + _SEND_BYTES])
                except (trio.BrokenResourceError, trio.ClosedResourceError, trio.TooSlowError):
                    self._lose()

    async def send_at_once(self, data: bytes, *, has_more: bool = False) -> None:
        """Likewise, without letting anybody else run where the socket takes it all; nobody else may be sending.

        What ``has_more`` may wait a moment for what is sent next, and go out with it (send(2), MSG_MORE).
        """
        sent = 0
        if self._is_plain and has_more:
            sent = max(_send(self._number, data, len(data), _WITH_MORE), 0)
        elif self._is_plain:
            try:
                sent = os.write(self._number, data)
            except BlockingIOError:
                pass
            except OSError:
                self._lose()
        if sent < len(data):
            await self.send(memoryview(data)[sent:])

    def sendable(self, name: str, descriptor: int, start: int, length: int) -> int:
        """How much of the beginning of a part of a file ``send_file`` sends without waiting for a disk.

        ``name`` is that of its content (see ``resident``).

        Nothing where the bytes have to be seen by this process (TLS).
        """
        length = min(length, _WINDOW_BYTES)
        return length if self._is_plain and was_in_memory(name, descriptor, start, length) else 0

    async def send_file(self, descriptor: int, start: int, length: int) -> int:
        """Send of a part of a file what the socket takes: how much, 0 where it can't be read. Raises ClientGone."""
        while True:
            try:
                return os.sendfile(self._number, descriptor, start, length)
            except BlockingIOError:
                await self._wait_until_writable()
            except (BrokenPipeError, ConnectionResetError):
                self._lose()
            except OSError:
                return 0  # of the file: whoever reads it finds out

    async def _wait_until_writable(self) -> None:
        try:
            with trio.fail_after(self._stall_seconds):
                await trio.lowlevel.wait_writable(self._number)
        except (trio.TooSlowError, trio.ClosedResourceError):
            self._lose()

    async def receive(self) -> bytes:
        """What arrives next, nothing at its end. Raises BrokenResourceError."""
        if not self._is_plain:
            return bytes(await self._stream.receive_some(_RECEIVE_BYTES))
        await trio.lowlevel.wait_readable(self._number)
        try:
            return os.read(self._number, _RECEIVE_BYTES)
        except BlockingIOError:  # it was woken for nothing
            return await self.receive()
        except OSError as error:
            raise trio.BrokenResourceError from error

    def receive_now(self, limit: int = _RECEIVE_BYTES) -> bytes:
        """What has arrived; nothing where that is nothing, or the end, or can't be told here (TLS). In any thread."""
        if not self._is_plain:
            return b""
        try:
            received = os.read(self._number, limit)
        except BlockingIOError:
            return b""
        except OSError:
            received = b""
        self._has_ended = not received
        return received

    def receive_into(self, room: memoryview) -> int:
        """Likewise, straight to where it is wanted: how many bytes."""
        if not self._is_plain:
            return 0
        try:
            received = os.readv(self._number, [room])
        except BlockingIOError:
            return 0
        except OSError:
            received = 0
        self._has_ended = not received
        return received

    async def arrival(self, limit: int, at_once: int, patience_seconds: float) -> bytes:
        """Wait until there is something to receive, ``at_once`` bytes if they come within ``patience_seconds``.

        What had to be received for that (TLS), at most ``limit`` bytes, is returned. Raises BodyInterrupted where
        nothing comes any more, or nothing has for ``stall_seconds``.
        """
        if self._has_ended or self.is_gone:
            raise BodyInterrupted
        try:
            if self._is_plain:
                await self._wait_for(at_once, patience_seconds)
                return b""
            with trio.fail_after(self._stall_seconds):
                received = bytes(await self._stream.receive_some(limit))
        except (trio.BrokenResourceError, trio.ClosedResourceError, trio.TooSlowError):
            received = b""
        self._has_ended = not received
        if self._has_ended:
            raise BodyInterrupted
        return received

    async def _wait_for(self, at_once: int, patience_seconds: float) -> None:
        with trio.move_on_after(patience_seconds):
            self.wake_at(at_once)
            await trio.lowlevel.wait_readable(self._number)
            return
        self.wake_at(1)
        with trio.fail_after(self._stall_seconds):
            await trio.lowlevel.wait_readable(self._number)

    def wake_at(self, at_once: int) -> None:
        """How many bytes there have to be before anybody is woken (socket(7), SO_RCVLOWAT)."""
        if at_once != self._wakes_at:
            self._stream.socket.setsockopt(socket.SOL_SOCKET, socket.SO_RCVLOWAT, at_once)
            self._wakes_at = at_once

    def _lose(self) -> None:
        self.is_gone = True
        self._on_gone()
        raise ClientGone from None


def scope_of(raw: trio.socket.SocketType, scheme: str) -> dict[str, Any]:
    """What ASGI says of a connection. Raises OSError where the client has gone."""
    return {"client": address_of(raw.getpeername()), "server": address_of(raw.getsockname()), "scheme": scheme}


def address_of(name: Any) -> tuple[str, int] | None:
    """Host and port of one end of TCP, None for a unix socket."""
    return (name[0], name[1]) if isinstance(name, tuple) else None
