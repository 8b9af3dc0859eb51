"""One log entry per request, written when its answer is over; and all of them are counted."""

from __future__ import annotations

import itertools
import secrets
import time
from typing import TYPE_CHECKING, Any

import structlog

from registry.http.traffic import CLIENT_GONE, Traffic

if TYPE_CHECKING:
    from hypercorn.typing import (
        ASGIFramework,
        ASGIReceiveCallable,
        ASGIReceiveEvent,
        ASGISendCallable,
        ASGISendEvent,
        Scope,
    )

_QUIET = frozenset({"live", "healthz", "ready", "metrics"})
"""End points whose requests are logged at level debug: somebody asks every few seconds."""

_RUN = secrets.token_hex(4)
_numbers = itertools.count(1)

log = structlog.get_logger("access")


class ClientGone(ConnectionError):
    """Raised by ``send`` where nobody receives the answer any more."""


class AccessLog:
    """Wraps the application: gives each request an id, counts it, ends the work for a client that went away.

    ``scope["cargohold"]`` is where the application adds the end point and the values of its path, and
    ``scope["cargohold.exchange"]`` is told of the end point too.
    """

    def __init__(self, app: ASGIFramework, traffic: Traffic | None = None) -> None:
        self._app = app
        self._traffic = traffic or Traffic()

    async def __call__(self, scope: Scope, receive: ASGIReceiveCallable, send: ASGISendCallable) -> None:
        if scope["type"] != "http":
            await self._app(scope, receive, send)
            return
        context = {"request_id": f"{_RUN}-{next(_numbers):x}"}
        exchange = self._traffic.begin(scope["method"])
        scope["cargohold"] = context  # type: ignore[typeddict-unknown-key]
        scope["cargohold.exchange"] = exchange  # type: ignore[typeddict-unknown-key]
        counted = _Counted(receive, send, is_head=scope["method"] == "HEAD")
        started = time.perf_counter()
        unanswered = CLIENT_GONE
        try:
            await self._app(scope, counted.receive, counted.send)
        except ClientGone:
            pass
        except Exception:
            unanswered = 500  # which the server says then
            log.exception("the answer broke off", request_id=context["request_id"])
            raise
        finally:
            exchange.end(counted.status or unanswered, counted.received_bytes, counted.sent_bytes)
            _log(scope, context, counted, time.perf_counter() - started)


class _Counted:
    """The messages of a request; ``status`` is 0 until an answer has begun."""

    def __init__(self, receive: ASGIReceiveCallable, send: ASGISendCallable, *, is_head: bool) -> None:
        self._receive = receive
        self._send = send
        self._is_head = is_head
        self.status = 0
        self.received_bytes = 0
        self.sent_bytes = 0

    async def receive(self) -> ASGIReceiveEvent:
        message = await self._receive()
        if message["type"] == "http.request":
            self.received_bytes += len(message.get("body", b""))
        return message

    async def send(self, message: ASGISendEvent) -> None:
        await self._send(message)
        if message["type"] == "http.response.start":
            self.status = message["status"]
        elif message["type"] == "http.response.body" and not self._is_head:
            self.sent_bytes += len(message.get("body", b""))


def _log(scope: Any, context: dict[str, str], counted: _Counted, seconds: float) -> None:
    client = scope.get("client")
    write = log.debug if context.get("route") in _QUIET else log.info
    write(
        "request",
        method=scope["method"],
        path=scope["raw_path"].decode("latin-1"),
        principal=context.get("principal"),
        repository=context.get("name"),
        reference=context.get("reference") or context.get("digest") or context.get("upload_id"),
        status=counted.status,
        bytes=counted.sent_bytes,
        seconds=round(seconds, 6),
        client=client[0] if client else "unix",
        request_id=context["request_id"],
    )
