"""What goes out and comes in on a connection: at once as far as the socket goes, then at the pace of the client."""

from __future__ import annotations

import ctypes
import mmap
import os
import socket
from typing import TYPE_CHECKING

import trio

from registry.http.access_log import ClientGone
from registry.service.bodies import BodyInterrupted

if TYPE_CHECKING:
    from collections.abc import Callable

    from registry.http.tls import TlsStream

_RECEIVE_BYTES = 64 * 1024
_SEND_BYTES = 64 * 1024

_WINDOW_BYTES = 1024 * 1024
_PAGE_BYTES = mmap.PAGESIZE

_libc = ctypes.CDLL(None)


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

    async def send_at_once(self, data: bytes) -> None:
        """Likewise, without letting anybody else run where the socket takes it all; nobody else may be sending."""
        sent = 0
        if self._is_plain:
            try:
                sent = os.write(self._number, data)
            except BlockingIOError:
                pass
            except OSError:
                self._lose()
        if sent < len(data):
            await self.send(memoryview(data)[sent:])

    async def send_file(self, descriptor: int, start: int, length: int) -> int:
        """Send what is in memory of a part of a file: how much of its beginning went out, 0 where none is there.

        Nothing is sent where the bytes have to be seen by this process (TLS). Raises ClientGone.
        """
        length = min(length, _WINDOW_BYTES)
        if not self._is_plain or not _is_in_memory(descriptor, start, length):
            return 0
        try:
            with trio.fail_after(self._stall_seconds):
                while True:
                    try:
                        return os.sendfile(self._number, descriptor, start, length)
                    except BlockingIOError:
                        await trio.lowlevel.wait_writable(self._number)
        except (BrokenPipeError, ConnectionResetError, trio.TooSlowError, trio.ClosedResourceError):
            self._lose()
        except OSError:
            return 0  # of the file: whoever reads it finds out
        return 0

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


def _is_in_memory(descriptor: int, start: int, length: int) -> bool:
    """Whether all of a part of a file is in memory, so that reading it waits for no disk (mincore(2)).

    The kernel says so of a file to its owner; to others it says always yes.
    """
    first = start // _PAGE_BYTES * _PAGE_BYTES
    span = start + length - first
    pages = (ctypes.c_ubyte * -(-span // _PAGE_BYTES))()
    try:  # private and writable, so that its address can be had; nothing is read or written by way of it
        mapped = mmap.mmap(descriptor, span, mmap.MAP_PRIVATE, mmap.PROT_READ | mmap.PROT_WRITE, offset=first)
    except (OSError, ValueError):  # of a file system that can't, or a file that is shorter
        return False
    with mapped:
        byte = ctypes.c_char.from_buffer(mapped)
        failed = _libc.mincore(ctypes.byref(byte), ctypes.c_size_t(span), pages)
        del byte  # nothing may refer to a map that is closed
    return not failed and all(pages)
