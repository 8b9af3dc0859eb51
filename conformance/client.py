"""Requests to a registry, and the record of every exchange."""

from __future__ import annotations

import http.client
import select
import socket
import ssl
import struct
import threading
import time
from collections.abc import Callable, Iterable, Mapping
from typing import Final, TypeVar
from urllib.parse import urljoin, urlsplit

from conformance.auth import Authorizer, Credentials
from conformance.case import Failed
from conformance.exchange import Exchange, Message, Reply

TIMEOUT_SECONDS: Final = 60
"""Longer than any answer takes that comes at all."""

_REDIRECTS: Final = 5
_PIECE_BYTES: Final = 64 * 1024
_KEPT_BYTES: Final = 2048
"""How much of a body the record keeps."""

# With its default of 100 the library reads no answer that has an OCI-Tag for each of some hundred tags. Python has no
# parameter for it before 3.15.
http.client._MAXHEADERS = 2000  # type: ignore[attr-defined]  # noqa: SLF001

T = TypeVar("T")

Body = bytes | Iterable[bytes]
"""Bytes go out with a Content-Length, an iterable of pieces in the chunked encoding."""


class Client:
    """Follows redirects and logs in where it is asked to; may be used by many threads at once."""

    def __init__(
        self,
        base: str,
        credentials: Credentials | None = None,
        *,
        insecure: bool = False,
        observe: Callable[[Exchange], None] = lambda _: None,
    ) -> None:
        self.base = base.rstrip("/") + "/"
        self.exchanges: list[Exchange] = []
        self._observe = observe
        self._context = _trust_everybody() if insecure else None
        self._authorizer = Authorizer(credentials, self._fetch_token)
        self._threads = threading.local()
        self._opened: list[http.client.HTTPConnection] = []

    def request(self, method: str, target: str, body: Body = b"", headers: Mapping[str, str] | None = None) -> Reply:
        """Send a request, and again to where it is redirected. Raises Failed where no answer comes."""
        url = urljoin(self.base, target)
        sent = dict(headers or {})
        authorization = self._authorizer.header(method, url)
        reply = self._send(method, url, body, sent)
        challenges = reply.values("www-authenticate") if reply.status == 401 else []
        if challenges and self._authorizer.answer_challenge(method, url, challenges, authorization):
            reply = self._send(method, url, body, sent)
        for _ in range(_REDIRECTS):
            follows = reply.status in {307, 308} or (reply.status in {301, 302, 303} and method in {"GET", "HEAD"})
            if not follows:
                break
            reply = self._send(method, reply.location(), body, sent)
        return reply

    def begin(self, method: str, target: str, headers: Mapping[str, str] | None = None) -> Sending:
        """Send the head of a request on a connection of its own; the caller sends the body and takes the answer."""
        return self._begin(method, urljoin(self.base, target), headers or {}, reuse=False)

    def close(self) -> None:
        for connection in self._opened:
            connection.close()
        self._opened.clear()
        self._threads = threading.local()

    def record(self, exchange: Exchange) -> None:
        self.exchanges.append(exchange)
        self._observe(exchange)

    def _send(self, method: str, url: str, body: Body, headers: Mapping[str, str]) -> Reply:
        pieces: Iterable[bytes]
        if isinstance(body, bytes):
            if body or method in {"POST", "PUT", "PATCH"}:
                headers = {"Content-Length": str(len(body)), **headers}
            pieces = (body[start : start + _PIECE_BYTES] for start in range(0, len(body), _PIECE_BYTES))
        else:
            headers = {"Transfer-Encoding": "chunked", **headers}
            pieces = (b"%x\r\n%b\r\n" % (len(piece), piece) for piece in (*body, b""))
        sending = self._begin(method, url, headers, reuse=method in {"GET", "HEAD"})
        for piece in pieces:
            if not sending.send(piece):
                break
        return sending.reply()

    def _begin(self, method: str, url: str, headers: Mapping[str, str], *, reuse: bool) -> Sending:
        """Only what may be sent twice goes out on a connection that the registry may have closed meanwhile."""
        authorization = self._authorizer.header(method, url)
        origin = urlsplit(url)
        if authorization and origin.netloc == urlsplit(self.base).netloc:
            headers = {**headers, "Authorization": authorization}
        connections: dict[str, http.client.HTTPConnection] = self._threads.__dict__
        connection = connections.pop(origin.netloc, None) if reuse else None
        sending = Sending(self, connection or self._connect(origin.scheme, origin.netloc), method, url, headers)
        if reuse:
            connections[origin.netloc] = sending.connection
        return sending

    def _connect(self, scheme: str, netloc: str) -> http.client.HTTPConnection:
        if scheme == "https":
            connection: http.client.HTTPConnection = http.client.HTTPSConnection(
                netloc, timeout=TIMEOUT_SECONDS, context=self._context
            )
        else:
            connection = http.client.HTTPConnection(netloc, timeout=TIMEOUT_SECONDS)
        self._opened.append(connection)
        return connection

    def _fetch_token(self, url: str, headers: Mapping[str, str]) -> bytes:
        return self._begin("GET", url, headers, reuse=False).reply(is_secret=True).body


class Sending:
    """A request whose head is out."""

    def __init__(
        self,
        client: Client,
        connection: http.client.HTTPConnection,
        method: str,
        url: str,
        headers: Mapping[str, str],
    ) -> None:
        self.connection = connection
        self._client = client
        self._method, self._url = method, url
        self._headers = tuple(headers.items())
        self._body = b""
        self._size = 0
        self._complete = True
        self._started = time.monotonic()
        if connection.sock is not None and _has_ended(connection.sock):
            connection.close()
        self._guarded(self._send_head)

    def send(self, piece: bytes) -> bool:
        """Send some of the body; False once the answer is there, or the connection takes no more."""
        sock: socket.socket = self.connection.sock
        if not isinstance(sock, ssl.SSLSocket) and _is_readable(sock):
            self._complete = False  # TLS has messages of its own, so that a readable socket says nothing there
            return False
        self._body = (self._body + piece)[:_KEPT_BYTES] if len(self._body) < _KEPT_BYTES else self._body
        self._size += len(piece)
        try:
            sock.sendall(piece)
        except OSError:  # that the connection takes no more is no failure where an answer came before
            self._complete = False
        return self._complete

    def send_next(self, request: bytes) -> None:
        """Send the bytes of another request before the answer is taken. Raises Failed."""
        self._guarded(lambda: self.connection.sock.sendall(request))

    def receive_to(self, end: bytes) -> bytes:
        """The bytes that come, to this end at least. Raises Failed."""
        received = b""
        while end not in received:
            received += self._guarded(self._receive)
        return received

    def reply(self, *, keep: bool = False, is_secret: bool = False) -> Reply:
        """Raises Failed where no answer comes, or one that is no HTTP.

        The connection ends after an early answer, unless it is kept because the rest of the body is still to be sent.
        The record does not have the body of a secret answer.
        """
        response = self._guarded(self.connection.getresponse)
        body = self._guarded(response.read)
        headers = tuple((name.lower(), value) for name, value in response.getheaders())
        if not (self._complete or keep):
            self.connection.close()
        phrase = http.client.responses.get(response.status, "")
        shown = b"***" if is_secret else body[:_KEPT_BYTES]
        answer = Message(f"{response.status} {phrase}", response.status, headers, shown, len(body))
        self._record(answer, "")
        return Reply(self._method, self._url, response.status, headers, body)

    def cut(self) -> None:
        """Break the connection off in the middle of the body."""
        self.connection.sock.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))
        self.connection.close()
        self._record(None, "cut off by the client")

    def _receive(self) -> bytes:
        piece: bytes = self.connection.sock.recv(4096)
        if not piece:
            raise ConnectionError("the registry closed the connection")
        return piece

    def _send_head(self) -> None:
        url = urlsplit(self._url)
        self.connection.putrequest(self._method, f"{url.path}?{url.query}" if url.query else url.path)
        for name, value in self._headers:
            self.connection.putheader(name, value)
        self.connection.endheaders()

    def _guarded(self, act: Callable[[], T]) -> T:
        try:
            return act()
        except (OSError, http.client.HTTPException) as error:
            self.connection.close()
            self._record(None, f"{type(error).__name__}: {error}")
            raise Failed(f"an answer to {self._method} {self._url}", f"{type(error).__name__}: {error}") from None

    def _record(self, answer: Message | None, error: str) -> None:
        shown = tuple((name, "***" if name == "Authorization" else value) for name, value in self._headers)
        request = Message(f"{self._method} {self._url}", 0, shown, self._body, self._size)
        self._client.record(Exchange(request, answer, error, time.monotonic() - self._started))


def _trust_everybody() -> ssl.SSLContext:
    """What ``--insecure`` asks for."""
    context = ssl.create_default_context()
    context.check_hostname = False
    context.verify_mode = ssl.CERT_NONE
    return context


def _is_readable(sock: socket.socket) -> bool:
    poll = select.poll()
    poll.register(sock, select.POLLIN)
    return bool(poll.poll(0))


def _has_ended(sock: socket.socket) -> bool:
    """Whether an idle connection was closed by the peer. (What came unasked stays, to be noticed.)"""
    if not _is_readable(sock):
        return False
    return isinstance(sock, ssl.SSLSocket) or not sock.recv(1, socket.MSG_PEEK)
