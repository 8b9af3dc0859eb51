"""The express lane: what is asked for most is answered without Hypercorn and Quart, by the same functions.

It takes the requests that it understands to the last byte, and leaves any other one to Hypercorn, with all its bytes.
"""

from __future__ import annotations

import time
from dataclasses import dataclass
from functools import lru_cache
from typing import TYPE_CHECKING, Any
from wsgiref.handlers import format_date_time

import structlog
import trio

from registry.http.access_log import ClientGone, Entry
from registry.http.answers import API_VERSION, FileSlice
from registry.http.bodies import SizedBody, open_body
from registry.http.exchange import Incoming
from registry.http.heads import Fields, read_head
from registry.http.proxies import Origin
from registry.http.repeats import Asked
from registry.http.traffic import CLIENT_GONE
from registry.service import blobs
from registry.service.here import NotHere
from registry.service.principals import UNIX

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping

    from registry.http.answers import Answer
    from registry.http.bodies import ChunkedBody
    from registry.http.exchange import Exchange
    from registry.http.heads import Head
    from registry.http.limits import RequestLimit
    from registry.http.proxies import TrustedProxies
    from registry.http.repeats import Repeats
    from registry.http.route import Route
    from registry.http.wire import Wire
    from registry.service.registry import Registry

_PIECE_BYTES = 256 * 1024

_SMALL_BYTES = 16 * 1024
"""As much of a file is sent together with the head."""

_KEPT_PATH_LENGTH = 512
_KEPT_PATHS = 1024
_KEPT_HEADS = 1024
"""Paths and heads of answers are remembered: what is asked for most is asked for again and again."""

log = structlog.get_logger()


@dataclass(frozen=True, slots=True)
class Express:
    """What the lanes of a site's connections have in common, by the settings of the moment.

    ``routes`` are the end points that are answered here, by their names.
    """

    exchange: Exchange
    proxies: TrustedProxies
    routes: Mapping[str, Route]
    repeats: Repeats
    limit: RequestLimit | None = None


class Lane:
    """The lane of one connection. ``scope`` is what ASGI says of it: ``client``, ``server`` and ``scheme``.

    ``on_request`` is called as soon as it is known that a request is answered here.
    """

    def __init__(self, wire: Wire, scope: dict[str, Any], on_request: Callable[[], None]) -> None:
        self._wire = wire
        self._on_request = on_request
        self._scope = scope
        self._peer: str | None = scope["client"] and scope["client"][0]
        self._proxies: TrustedProxies | None = None
        self._is_proxy = False
        self._origin_by_itself = Origin(self._peer, scope["scheme"], "")
        self._no_body = SizedBody(wire, b"", 0, is_awaited=False)
        self._body: SizedBody | ChunkedBody
        self._fields = Fields()
        self.stopping = False
        """Whether the connection closes after this answer, which announces it if it still can."""
        self.has_unread_body = False
        """Whether the client may still be sending what nobody will read, after an answer."""

    async def serve(self, express: Callable[[], Express], data: bytes) -> bytes:
        """Answer the requests that ``data`` begins with and those that arrive meanwhile; what is left is Hypercorn's.

        ``express`` is asked at each request. Nothing is left where the connection has to end. Raises ClientGone. A
        cancellation breaks off an answer.
        """
        while data:
            end = data.find(b"\r\n\r\n") + len(b"\r\n\r\n")
            if not await self._take(express(), data[:end], data[end:]):
                break
            await trio.lowlevel.checkpoint()  # others wait, and the next request may be on its way
            if self.stopping or self.has_unread_body or self._wire.is_gone:
                return b""
            data = self._body.rest or self._wire.receive_now()
        return data

    async def _take(self, express: Express, head_bytes: bytes, received: bytes) -> bool:
        """Answer the request with this head, which this was received with; False where that is not for this lane."""
        repeat = express.repeats.find(head_bytes)
        asked = self._read(express, head_bytes) if repeat is None else repeat.asked
        if asked is None:
            return False
        head = asked.head
        origin = self._origin(express, head)
        if express.limit is not None and not express.limit.admits(origin.address):
            return False
        self._on_request()
        entry = Entry(express.exchange.monitor.traffic, head.method, head.path, origin.address)
        self._body = self._no_body if not received and head.is_alone else open_body(head, self._wire, received)
        unanswered = CLIENT_GONE
        try:
            answer = repeat and repeat.answer_to(entry, express.exchange.registry)
            answer = answer or await self._answer(express, head_bytes, asked, origin, entry)
            self._finish_body()
            await self._send(express, answer, entry)
        except NotHere:
            entry.is_here = False
        except ClientGone:
            raise
        except Exception:
            unanswered = 500
            log.exception("the answer broke off", request_id=entry.request_id)
            self._wire.is_gone = True  # its end tells the client
        finally:
            entry.received_bytes = self._body.taken
            entry.end(unanswered)
        return entry.is_here

    def _read(self, express: Express, head_bytes: bytes) -> Asked | None:
        """What a head asks for; None where that is not for this lane."""
        head = read_head(head_bytes, self._fields)
        if head is None:
            return None
        find = _recall_route if len(head.path) <= _KEPT_PATH_LENGTH else _find_route
        name, path_values = find(head.path)
        route = express.routes.get(name)
        return None if route is None or not route.has(head.method) else Asked(head, route, path_values)

    async def _answer(self, express: Express, head_bytes: bytes, asked: Asked, origin: Origin, entry: Entry) -> Answer:
        head, route, path_values = asked
        incoming = Incoming(
            head.method, head.path, head.query, head.headers, self._body, origin, origin.address or UNIX, entry
        )
        moment = express.repeats.moment
        answer = await express.exchange.answer(incoming, route, path_values)
        express.repeats.keep(head_bytes, asked, entry.principal, answer, moment)
        return answer

    def _finish_body(self) -> None:
        if self._body is self._no_body:
            return
        if not self._body.is_over:
            self._body.skip_received()
        self.has_unread_body = not self._body.is_over
        self._wire.wake_at(1)

    def _origin(self, express: Express, head: Head) -> Origin:
        if express.proxies is not self._proxies:
            self._proxies, self._is_proxy = express.proxies, express.proxies.trust(self._peer)
        if self._is_proxy:
            headers = [(name.encode(), value.encode()) for name, value in head.headers.items()]
            return express.proxies.origin({**self._scope, "headers": headers})
        if head.headers["host"] != self._origin_by_itself.host:
            self._origin_by_itself = self._origin_by_itself._replace(host=head.headers["host"])
        return self._origin_by_itself

    async def _send(self, express: Express, answer: Answer, entry: Entry) -> None:
        part = answer.body if isinstance(answer.body, FileSlice) else None
        try:
            content = b"" if entry.method == "HEAD" else _content_at_hand(answer.body)
            head = _head(answer, entry.request_id, closes=self.stopping or self.has_unread_body)
            entry.status = answer.status
            has_more = part is not None and len(content) < part.length
            await self._wire.send_at_once(head + content, has_more=has_more)
            entry.sent_bytes = len(content)
            if part is not None and has_more:
                await self._send_file(express.exchange.registry, part, entry)
        finally:
            if part is not None:
                part.close()

    async def _send_file(self, registry: Registry, part: FileSlice, entry: Entry) -> None:
        """What is in memory goes straight to the socket, the rest by way of a thread, which may wait for the disk."""
        descriptor, position, stop = part.file.descriptor, part.start, part.start + part.length
        sendable = 0
        while position < stop:
            if not sendable and part.file.content_hash is None:
                sendable = self._wire.sendable(part.file.blob.digest.hex, descriptor, position, stop - position)
            sent = await self._wire.send_file(descriptor, position, sendable) if sendable else 0
            sendable -= sent
            if not sent:
                sendable = 0
                piece = await blobs.read_piece(registry, part.file, position, min(_PIECE_BYTES, stop - position))
                await self._wire.send(piece)
                sent = len(piece)
            position += sent
            entry.sent_bytes += sent
            if position < stop:
                await trio.lowlevel.checkpoint()  # a client as fast as that would keep all others waiting


def _content_at_hand(body: bytes | FileSlice) -> bytes:
    """The whole body where it is here, or small and in memory; else nothing."""
    if not isinstance(body, FileSlice):
        return body
    if body.length > _SMALL_BYTES or body.file.content_hash is not None:
        return b""
    return blobs.read_now(body.file.descriptor, body.start, body.length) or b""


def _find_route(path: str) -> tuple[str, dict[str, str]]:
    """The end point that the path leads to, of what is answered here; always the same as Quart's router finds."""
    if path == "/v2/":
        return "version", {}
    parts = path.rsplit("/", 2)
    if len(parts) < 3 or not parts[0].startswith("/v2/") or "//" in path:
        return "", {}
    return _route_below(parts[0].removeprefix("/v2/"), parts[1], parts[2])


def _route_below(name: str, kind: str, last: str) -> tuple[str, dict[str, str]]:
    match kind:
        case "manifests" if last:
            return "manifest", {"name": name, "reference": last}
        case "blobs" if ":" in last:
            return "blob", {"name": name, "digest": last}
        case "tags" if last == "list":
            return "tags", {"name": name}
        case "uploads" if last and name.endswith("/blobs"):
            return "upload", {"name": name.removesuffix("/blobs"), "upload_id": last}
        case "uploads" if name.endswith("/blobs"):
            return "uploads", {"name": name.removesuffix("/blobs")}
    return "", {}


_recall_route = lru_cache(maxsize=_KEPT_PATHS)(_find_route)


def _head(answer: Answer, request_id: str, *, closes: bool) -> bytes:
    lines = _lines(answer.status, answer.headers, answer.content_length)
    close = "connection: close\r\n" if closes else ""
    return f"{lines}x-request-id: {request_id}\r\n{close}date: {_date()}\r\n\r\n".encode()


@lru_cache(maxsize=_KEPT_HEADS)
def _lines(status: int, headers: tuple[tuple[str, str], ...], length: int | None) -> str:
    """What of a head follows from its answer alone, each with the end of its line."""
    lines = [f"HTTP/1.1 {status} ", *[f"{name.lower()}: {value}" for name, value in (*headers, API_VERSION)]]
    if length is not None:
        lines.append(f"content-length: {length}")
    text = "\r\n".join([*lines, ""])
    if text.count("\r") + text.count("\n") != 2 * len(lines):
        raise ValueError(f"a header's value has a line end in it: {text!r}")
    return text


_dates: dict[int, str] = {}
"""The text of this second."""


def _date() -> str:
    """Source: RFC 9110, section 6.6.1."""
    now = int(time.time())
    text = _dates.get(now)
    if text is None:
        _dates.clear()
        text = _dates[now] = format_date_time(now)
    return text
