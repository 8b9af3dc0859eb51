"""One log entry per request, written when its answer is over; and all of them are counted."""

from __future__ import annotations

import itertools
import secrets
from typing import TYPE_CHECKING

import structlog

from registry.http.traffic import CLIENT_GONE, Traffic
from registry.request_log import requests

if TYPE_CHECKING:
    from collections.abc import Mapping

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

RUN = secrets.token_hex(4)
"""With this the ids of the requests begin that this process answers."""
_numbers = itertools.count(1)

log = structlog.get_logger("access")


class ClientGone(ConnectionError):
    """Raised by ``send`` where nobody receives the answer any more."""


class Entry:
    """What is known of a request and of its answer; ``client`` is None on a unix socket.

    ``route`` is the name of the end point and ``status`` that of the answer, once there are any. The bytes are those of
    bodies, as far as they were read and sent.
    """

    __slots__ = (
        "_client",
        "_path",
        "_record",
        "_values",
        "is_here",
        "method",
        "principal",
        "received_bytes",
        "request_id",
        "route",
        "sent_bytes",
        "status",
    )

    def __init__(self, traffic: Traffic, method: str, path: str, client: str | None) -> None:
        self._record = traffic.begin(method)
        self._path = path
        self._client = client
        self._values: Mapping[str, str] = {}
        self.method = method
        self.request_id = f"{RUN}-{next(_numbers):x}"
        self.route = ""
        self.principal: str | None = None
        self.is_here = True
        """Whether this process answers the request: another one counts and logs it otherwise."""
        self.status = 0
        self.received_bytes = 0
        self.sent_bytes = 0

    def lead_to(self, route: str, path_values: Mapping[str, str]) -> None:
        """The end point is known, and the values in its path."""
        self.route = route
        self._values = path_values
        self._record.route(route)

    def end(self, unanswered: int = CLIENT_GONE) -> None:
        """Count the request and log it. ``unanswered`` is the status that counts where no answer has begun."""
        if not self.is_here:
            self._record.drop()
            return
        seconds = self._record.end(self.status or unanswered, self.received_bytes, self.sent_bytes)
        values = self._values
        requests.write(
            "debug" if self.route in _QUIET else "info",
            (
                self.method,
                self._path,
                self.principal,
                values.get("name"),
                values.get("reference") or values.get("digest") or values.get("upload_id"),
                self.status,
                self.sent_bytes,
                round(seconds, 6),
                self._client or "unix",
                self.request_id,
            ),
        )


class AccessLog:
    """Wraps the application: gives each request an id, counts it, ends the work for a client that went away.

    ``scope["cargohold"]`` is the request's entry.
    """

    def __init__(self, app: ASGIFramework, traffic: Traffic | None = None) -> None:
        self._app = app
        self._traffic = traffic or Traffic()

    async def __call__(self, scope: Scope, receive: ASGIReceiveCallable, send: ASGISendCallable) -> None:
        if scope["type"] != "http":
            await self._app(scope, receive, send)
            return
        client = scope.get("client")
        path = scope["raw_path"].decode("latin-1")
        entry = Entry(self._traffic, scope["method"], path, client[0] if client else None)
        scope["cargohold"] = entry  # type: ignore[typeddict-unknown-key]
        counted = _Counted(receive, send, entry)
        unanswered = CLIENT_GONE
        try:
            await self._app(scope, counted.receive, counted.send)
        except ClientGone:
            pass
        except Exception:
            unanswered = 500  # which the server says then
            log.exception("the answer broke off", request_id=entry.request_id)
            raise
        finally:
            entry.end(unanswered)


class _Counted:
    """The messages of a request."""

    def __init__(self, receive: ASGIReceiveCallable, send: ASGISendCallable, entry: Entry) -> None:
        self._receive = receive
        self._send = send
        self._entry = entry

    async def receive(self) -> ASGIReceiveEvent:
        message = await self._receive()
        if message["type"] == "http.request":
            self._entry.received_bytes += len(message.get("body", b""))
        return message

    async def send(self, message: ASGISendEvent) -> None:
        await self._send(message)
        if message["type"] == "http.response.start":
            self._entry.status = message["status"]
        elif message["type"] == "http.response.body" and self._entry.method != "HEAD":
            self._entry.sent_bytes += len(message.get("body", b""))
