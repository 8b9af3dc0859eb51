"""A registry with a fault: a proxy in front of the real daemon that spoils requests or answers."""

from __future__ import annotations

import http.client
import json
import re
import threading
from collections.abc import Callable
from contextlib import contextmanager, suppress
from dataclasses import dataclass, field
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import TYPE_CHECKING, Any
from urllib.parse import parse_qs, urlsplit

if TYPE_CHECKING:
    from collections.abc import Iterator

_KINDS = {
    "version": re.compile(r"/v2/"),
    "uploads": re.compile(r"/v2/.+/blobs/uploads/"),
    "upload": re.compile(r"/v2/.+/blobs/uploads/[^/]+"),
    "blob": re.compile(r"/v2/.+/blobs/[^/]+"),
    "manifest": re.compile(r"/v2/.+/manifests/[^/]+"),
    "tags": re.compile(r"/v2/.+/tags/list"),
    "referrers": re.compile(r"/v2/.+/referrers/[^/]+"),
}


@dataclass
class Request:
    method: str
    target: str
    headers: dict[str, str]
    body: bytes

    @property
    def path(self) -> str:
        return urlsplit(self.target).path

    @property
    def query(self) -> dict[str, list[str]]:
        return parse_qs(urlsplit(self.target).query, keep_blank_values=True)

    def is_kind(self, methods: str, kind: str) -> bool:
        named = next((name for name, pattern in _KINDS.items() if pattern.fullmatch(self.path)), "")
        return self.method in methods.split() and named == kind


@dataclass
class Answer:
    """Header names are in lower case; ``declared_length`` is what Content-Length says, if not the body's own."""

    status: int
    headers: dict[str, str] = field(default_factory=dict)
    body: bytes = b""

    def change_json(self, change: Callable[[Any], Any]) -> None:
        document = json.loads(self.body)
        self.body = json.dumps(change(document)).encode()


Early = Callable[[Request], Answer | None]
"""Answers a request, or changes it and returns None."""

Late = Callable[[Request, Answer], None]
"""Changes an answer."""


@dataclass(frozen=True)
class Fault:
    """``breaks`` are cases that have to fail because of it; ``connection`` names a fault below HTTP's meaning."""

    name: str
    breaks: str
    early: Early = lambda _: None
    late: Late = lambda _request, _answer: None
    connection: str = ""


class _Proxy(ThreadingHTTPServer):
    daemon_threads = True
    request_queue_size = 256

    def __init__(self, upstream: str, fault: Fault) -> None:
        self.upstream = upstream
        self.fault = fault
        self.cut: set[str] = set()
        super().__init__(("127.0.0.1", 0), _Handler)

    def forward(self, request: Request) -> Answer:
        connection = http.client.HTTPConnection(self.upstream, timeout=60)
        try:
            with suppress(BrokenPipeError, ConnectionResetError):  # the answer may come before the body's end
                connection.request(request.method, request.target, request.body or None, request.headers)
            response = connection.getresponse()
            headers = {name.lower(): value for name, value in response.getheaders()}
            return Answer(response.status, headers, response.read())
        finally:
            connection.close()

    def handle_error(self, request: Any, client_address: Any) -> None:
        """A client that goes away is part of some cases."""


class _Handler(BaseHTTPRequestHandler):
    protocol_version = "HTTP/1.1"
    disable_nagle_algorithm = True
    server: _Proxy

    def handle_one_request(self) -> None:
        self.raw_requestline = self.rfile.readline(65537)
        if not self.raw_requestline or not self.parse_request():
            self.close_connection = True
            return
        length = int(self.headers.get("Content-Length") or 0)
        if self.server.fault.connection == "early" and self.command == "PATCH" and length > 1 << 20:
            self._send(Answer(404))
            return
        try:
            body = self._read_body(length)
        except ConnectionError:
            self.server.cut.add(self.path.partition("?")[0])
            self.close_connection = True
            return
        headers = {name: value for name, value in self.headers.items() if name.lower() not in _HOP_BY_HOP}
        self._send(self._answer(Request(self.command, self.path, headers, body)))

    def handle_expect_100(self) -> bool:
        if self.server.fault.connection == "expect":
            self._send(Answer(417))
            self.close_connection = True
            return False
        return super().handle_expect_100()

    def log_message(self, *_args: Any) -> None:
        """Nothing."""

    def _answer(self, request: Request) -> Answer:
        fault = self.server.fault
        if fault.connection == "locked" and request.method == "PUT" and request.path in self.server.cut:
            return Answer(409)
        answer = fault.early(request)
        if answer is None:
            answer = self.server.forward(request)
        fault.late(request, answer)
        return answer

    def _read_body(self, length: int) -> bytes:
        if self.headers.get("Transfer-Encoding") != "chunked":
            return self._read(length)
        body = b""
        while size := int(self.rfile.readline(), 16):
            body += self._read(size)
            self._read(2)
        self._read(2)
        return body

    def _read(self, length: int) -> bytes:
        piece = self.rfile.read(length)
        if len(piece) < length:
            raise ConnectionError
        return piece

    def _send(self, answer: Answer) -> None:
        self.send_response_only(answer.status)
        has_body = answer.status not in {204, 304} and self.command != "HEAD"
        for name, value in answer.headers.items():
            if name not in _HOP_BY_HOP and (name != "content-length" or self.command == "HEAD"):
                self.send_header(name, value)
        if has_body:
            self.send_header("Content-Length", str(len(answer.body)))
        self.end_headers()
        if has_body:
            self.wfile.write(answer.body)
        elif self.server.fault.connection == "head":
            self.wfile.write(b"a body")


_HOP_BY_HOP = frozenset({"connection", "transfer-encoding", "expect", "keep-alive"})


@contextmanager
def broken(upstream: str, fault: Fault) -> Iterator[str]:
    """The URL of a registry that is the one at ``upstream`` (host:port), but for the fault."""
    proxy = _Proxy(upstream, fault)
    thread = threading.Thread(target=lambda: proxy.serve_forever(0.02))
    thread.start()
    try:
        yield f"http://127.0.0.1:{proxy.server_port}"
    finally:
        proxy.shutdown()
        thread.join()
        proxy.server_close()
