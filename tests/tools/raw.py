"""A client on a bare socket: it sends whatever bytes it is given, and reads answers as they come."""

from __future__ import annotations

import socket
import struct
from contextlib import contextmanager, suppress
from dataclasses import dataclass
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator

_TIMEOUT_SECONDS = 20
"""Longer than anything takes that works."""


@dataclass(frozen=True)
class Answer:
    status: int
    headers: dict[str, str]
    body: bytes

    @property
    def closes(self) -> bool:
        """Whether the answer announces the end of the connection."""
        return "close" in self.headers.get("connection", "")


class Connection:
    """``receive_bytes`` is the size of the kernel's buffer for what comes in."""

    def __init__(self, port: int, receive_bytes: int | None = None) -> None:
        self.socket = socket.socket(socket.AF_INET, socket.SOCK_STREAM)
        if receive_bytes is not None:
            self.socket.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, receive_bytes)
        self.socket.settimeout(_TIMEOUT_SECONDS)
        try:
            self.socket.connect(("127.0.0.1", port))
        except BaseException:
            self.socket.close()
            raise
        self._received = b""

    def close(self) -> None:
        self.socket.close()

    def reset(self) -> None:
        """Break the connection off: the peer gets an RST."""
        self.socket.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))
        self.socket.close()

    def send(self, *pieces: bytes) -> None:
        self.socket.sendall(b"".join(pieces))

    def send_what_is_taken(self, data: bytes) -> None:
        """Send until the peer closes the connection."""
        with suppress(BrokenPipeError, ConnectionResetError):
            self.socket.sendall(data)

    def abandon(self) -> None:
        """Send and read no more, also where a thread is doing it."""
        self.socket.shutdown(socket.SHUT_RDWR)

    def end(self) -> None:
        """Send no more."""
        self.socket.shutdown(socket.SHUT_WR)

    def answer(self, method: str = "GET") -> Answer:
        """The next answer to a request with this method. Raises EOFError where the connection ends before it."""
        head = self._take_to(b"\r\n\r\n").decode("latin-1")
        status_line, *lines = head.removesuffix("\r\n\r\n").split("\r\n")
        status = int(status_line.split(" ")[1])
        headers = {name.lower(): value.strip() for name, _, value in (line.partition(":") for line in lines)}
        has_body = method != "HEAD" and status >= 200 and status not in {204, 304}
        return Answer(status, headers, self._take(int(headers["content-length"]) if has_body else 0))

    def ended(self) -> bool:
        """Whether the peer closed the connection and everything was taken; waits for either."""
        return not self._received and not self._receive()

    def rest(self) -> bytes:
        """What comes until the peer closes the connection. Raises TimeoutError if it doesn't."""
        while self._receive():
            pass
        return self._take(len(self._received))

    def _take_to(self, end: bytes) -> bytes:
        while end not in self._received:
            if not self._receive():
                raise EOFError(self._received)
        return self._take(self._received.index(end) + len(end))

    def _take(self, count: int) -> bytes:
        while len(self._received) < count:
            if not self._receive():
                raise EOFError(self._received)
        taken, self._received = self._received[:count], self._received[count:]
        return taken

    def _receive(self) -> bool:
        try:
            piece = self.socket.recv(65536)
        except ConnectionResetError:
            return False
        self._received += piece
        return bool(piece)


@contextmanager
def connect(port: int, receive_bytes: int | None = None) -> Iterator[Connection]:
    connection = Connection(port, receive_bytes)
    try:
        yield connection
    finally:
        connection.close()


def request(method: str, target: str, *headers: str, body: bytes | None = None, chunks: Iterable[bytes] = ()) -> bytes:
    """A well-formed request; with ``body`` it has a Content-Length, with ``chunks`` it is chunked."""
    lines = [f"{method} {target} HTTP/1.1", "Host: registry", *headers]
    encoded = b"".join(b"%x\r\n%b\r\n" % (len(chunk), chunk) for chunk in chunks)
    if encoded:
        lines.append("Transfer-Encoding: chunked")
        encoded += b"0\r\n\r\n"
    if body is not None:
        lines.append(f"Content-Length: {len(body)}")
        encoded = body
    return "\r\n".join([*lines, "", ""]).encode("latin-1") + encoded
