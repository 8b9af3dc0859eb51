"""One log entry per request, written when its answer is over."""

from __future__ import annotations

import itertools
import secrets
import time
from typing import TYPE_CHECKING, Any

import structlog

if TYPE_CHECKING:
    from hypercorn.typing import ASGIFramework, ASGIReceiveCallable, ASGISendCallable, ASGISendEvent, Scope

_QUIET = frozenset({"live", "healthz", "ready"})
"""End points whose requests are logged at level debug: somebody asks every few seconds."""

_RUN = secrets.token_hex(4)
_numbers = itertools.count(1)

log = structlog.get_logger("access")


class ClientGone(ConnectionError):
    """Raised by ``send`` where nobody receives the answer any more."""


class AccessLog:
    """Wraps the application: gives each request an id, counts what is sent, ends the work for a client that went away.

    ``scope["cargohold"]`` is where the application adds the end point and the values of its path.
    """

    def __init__(self, app: ASGIFramework) -> None:
        self._app = app

    async def __call__(self, scope: Scope, receive: ASGIReceiveCallable, send: ASGISendCallable) -> None:
        if scope["type"] != "http":
            await self._app(scope, receive, send)
            return
        context = {"request_id": f"{_RUN}-{next(_numbers):x}"}
        scope["cargohold"] = context  # type: ignore[typeddict-unknown-key]
        sent = {"status": 0, "bytes": 0}

        async def counting_send(message: ASGISendEvent) -> None:
            await send(message)
            if message["type"] == "http.response.start":
                sent["status"] = message["status"]
            elif message["type"] == "http.response.body" and scope["method"] != "HEAD":
                sent["bytes"] += len(message.get("body", b""))

        started = time.perf_counter()
        try:
            await self._app(scope, receive, counting_send)
        except ClientGone:
            pass
        except Exception:
            log.exception("the answer broke off", request_id=context["request_id"])
            raise
        finally:
            _log(scope, context, sent, time.perf_counter() - started)


def _log(scope: Any, context: dict[str, str], sent: dict[str, int], seconds: float) -> None:
    client = scope.get("client")
    write = log.debug if context.get("route") in _QUIET else log.info
    write(
        "request",
        method=scope["method"],
        path=scope["raw_path"].decode("latin-1"),
        principal=context.get("principal"),
        repository=context.get("name"),
        reference=context.get("reference") or context.get("digest") or context.get("upload_id"),
        status=sent["status"],
        bytes=sent["bytes"],
        seconds=round(seconds, 6),
        client=client[0] if client else "unix",
        request_id=context["request_id"],
    )
