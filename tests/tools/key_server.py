"""A web server that answers as a test wants, in a thread."""

from __future__ import annotations

import socket
import threading
from contextlib import contextmanager
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    import ssl
    from collections.abc import Iterator

_TIMEOUT_SECONDS = 20
"""Longer than anything takes that works."""


class KeyServer:
    """``answer`` goes out as it is; while ``gate`` is closed, answers wait. ``requests`` are the heads that came."""

    def __init__(self, listener: socket.socket, context: ssl.SSLContext | None) -> None:
        self._listener = listener
        self._context = context
        self._asked = threading.Semaphore(0)
        scheme = "http" if context is None else "https"
        self.url = f"{scheme}://127.0.0.1:{listener.getsockname()[1]}/keys?x=1"
        self.gate = threading.Event()
        self.gate.set()
        self.answer = b""
        self.requests: list[bytes] = []

    def give(self, body: bytes, status: str = "200 OK") -> None:
        self.answer = b"HTTP/1.1 %b\r\nContent-Length: %d\r\n\r\n%b" % (status.encode(), len(body), body)

    def wait_until_asked(self) -> None:
        assert self._asked.acquire(timeout=_TIMEOUT_SECONDS)

    def serve(self) -> None:
        while True:
            try:
                connection, _ = self._listener.accept()
            except OSError:
                return
            with connection:
                connection.settimeout(_TIMEOUT_SECONDS)
                try:
                    self._answer(connection)
                except OSError:
                    continue  # a client may go away, or not like the certificate

    def _answer(self, plain: socket.socket) -> None:
        connection = plain if self._context is None else self._context.wrap_socket(plain, server_side=True)
        with connection:
            head = b""
            while not head.endswith(b"\r\n\r\n"):
                piece = connection.recv(4096)
                if not piece:
                    return
                head += piece
            self.requests.append(head)
            self._asked.release()
            self.gate.wait(_TIMEOUT_SECONDS)
            connection.sendall(self.answer)


@contextmanager
def key_server(context: ssl.SSLContext | None = None) -> Iterator[KeyServer]:
    with socket.create_server(("127.0.0.1", 0)) as listener:
        server = KeyServer(listener, context)
        thread = threading.Thread(target=server.serve)
        thread.start()
        try:
            yield server
        finally:
            server.gate.set()
            listener.shutdown(socket.SHUT_RDWR)
            thread.join()
