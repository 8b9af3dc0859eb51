"""Messages between the main process and a read worker, each one whole, with open files where it needs them.

A message is a JSON object, perhaps with bytes behind it (unix(7), SOCK_SEQPACKET and SCM_RIGHTS). It fits into the
socket's buffer: what has been read of a connection is at most 64 KiB.
"""

from __future__ import annotations

import errno
import json
import socket
from array import array
from collections import deque
from typing import TYPE_CHECKING, Any, NamedTuple

import trio

if TYPE_CHECKING:
    from collections.abc import Sequence

_MESSAGE_BYTES = 128 * 1024
_FILES = 1

_FULL = frozenset({errno.ETOOMANYREFS, errno.ENOBUFS})
"""Too many open files are on their way, or there is no memory: later there will be room."""


class Message(NamedTuple):
    """``files`` are descriptors, now the receiver's to close; none where it has no room for more of them."""

    document: dict[str, Any]
    data: bytes
    files: list[int]


class Link:
    """One end. Keep ``run`` going for what ``post`` could not send at once."""

    def __init__(self, raw: socket.socket) -> None:
        raw.settimeout(0)
        self._raw = raw
        self._outbox: deque[bytes] = deque()
        self._posted = trio.Event()
        self._waiting = trio.Lock()
        self._is_broken = False

    def close(self) -> None:
        """Can be done again."""
        self._is_broken = True
        if self._raw.fileno() >= 0:
            trio.lowlevel.notify_closing(self._raw)
            self._raw.close()

    def try_send(self, document: dict[str, Any], data: bytes = b"", files: Sequence[int] = ()) -> bool:
        """Send now, behind everything else; False where there is no room for it, or the other end has gone."""
        return not self._outbox and self._send(_encoded(document) + data, files)

    async def send(self, document: dict[str, Any], data: bytes = b"", files: Sequence[int] = ()) -> None:
        """Likewise, as soon as there is room. Raises BrokenResourceError; cancelled, it has sent nothing."""
        while not self.try_send(document, data, files):
            await self._wait_for_room()

    def post(self, document: dict[str, Any]) -> None:
        """Send now or later, in order, unless the other end has gone."""
        message = _encoded(document)
        if self._is_broken or (not self._outbox and self._send(message)):
            return
        self._outbox.append(message)
        self._posted.set()

    async def run(self) -> None:
        """Until the other end has gone."""
        try:
            while True:
                await self._posted.wait()
                while self._outbox:
                    await self._wait_for_room()
                    if self._send(self._outbox[0]):
                        self._outbox.popleft()
                self._posted = trio.Event()
        except trio.BrokenResourceError:
            self._outbox.clear()

    async def receive(self) -> Message | None:
        """The next message; None where the other end has gone."""
        while not self._is_broken:
            try:
                await trio.lowlevel.wait_readable(self._raw)
                received, files = self._receive()
            except BlockingIOError:
                continue
            except (OSError, trio.ClosedResourceError):
                break
            if not received:
                break
            document, _, data = received.partition(b"\n")
            return Message(json.loads(document), data, list(files))
        self._is_broken = True
        return None

    def _receive(self) -> tuple[bytes, array[int]]:
        """What ``socket.recv_fds`` does, which leaves out the flag: nobody else is to inherit the files."""
        files = array("i")
        room = socket.CMSG_LEN(_FILES * files.itemsize)
        received, others, _, _ = self._raw.recvmsg(_MESSAGE_BYTES, room, socket.MSG_CMSG_CLOEXEC)
        for level, kind, data in others:
            if (level, kind) == (socket.SOL_SOCKET, socket.SCM_RIGHTS):
                files.frombytes(data[: len(data) - len(data) % files.itemsize])
        return received, files

    async def _wait_for_room(self) -> None:
        """Raises BrokenResourceError."""
        async with self._waiting:  # one task at a time may wait for a socket
            if not self._is_broken:
                try:
                    await trio.lowlevel.wait_writable(self._raw)
                except trio.ClosedResourceError:
                    self._is_broken = True
        if self._is_broken:
            raise trio.BrokenResourceError("the other process has gone")

    def _send(self, message: bytes, files: Sequence[int] = ()) -> bool:
        try:
            socket.send_fds(self._raw, [message], files)
        except BlockingIOError:
            return False
        except OSError as error:
            self._is_broken = error.errno not in _FULL
            return False
        return True


def _encoded(document: dict[str, Any]) -> bytes:
    return json.dumps(document, separators=(",", ":")).encode() + b"\n"


def socket_stream(file: int) -> trio.SocketStream:
    """Of a socket that a message has brought."""
    return trio.SocketStream(trio.socket.from_stdlib_socket(socket.socket(fileno=file)))
