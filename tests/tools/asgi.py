"""A client that calls an ASGI application in process."""

from __future__ import annotations

import json
from collections.abc import AsyncGenerator
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any
from urllib.parse import unquote

if TYPE_CHECKING:
    from collections.abc import AsyncIterable, Iterable, Mapping


@dataclass(frozen=True)
class Reply:
    status: int
    headers: dict[str, str]
    body: bytes

    def json(self) -> Any:
        return json.loads(self.body)

    @property
    def codes(self) -> list[str]:
        """The codes of the error envelope."""
        return [error["code"] for error in self.json()["errors"]]


class Client:
    def __init__(self, app: Any) -> None:
        self._app = app

    async def __call__(
        self,
        method: str,
        target: str,
        body: bytes | AsyncIterable[bytes] = b"",
        headers: Mapping[str, str] | Iterable[tuple[str, str]] = (),
    ) -> Reply:
        """Send a request; a body of bytes has a Content-Length, an iterable one is chunked."""
        pairs = list(headers.items() if hasattr(headers, "items") else headers)
        if isinstance(body, bytes):
            if not any(name.lower() == "content-length" for name, _ in pairs):
                pairs.append(("Content-Length", str(len(body))))
            body = _once(body)
        pieces = aiter(body)
        started: dict[str, Any] = {}
        received = bytearray()

        async def receive() -> dict[str, Any]:
            try:
                return {"type": "http.request", "body": await anext(pieces), "more_body": True}
            except StopAsyncIteration:
                return {"type": "http.request", "body": b"", "more_body": False}
            except ConnectionError:
                return {"type": "http.disconnect"}

        async def send(message: dict[str, Any]) -> None:
            if message["type"] == "http.response.start":
                started.update(message)
            else:
                received.extend(message.get("body", b""))

        try:
            await self._app(_scope(method, target, pairs), receive, send)
        finally:
            if isinstance(pieces, AsyncGenerator):
                await pieces.aclose()
        reply_headers = {name.decode().lower(): value.decode() for name, value in started["headers"]}
        return Reply(started["status"], reply_headers, b"" if method == "HEAD" else bytes(received))


async def _once(body: bytes) -> AsyncIterable[bytes]:
    yield body


def _scope(method: str, target: str, headers: list[tuple[str, str]]) -> dict[str, Any]:
    path, _, query = target.partition("?")
    return {
        "type": "http",
        "asgi": {"version": "3.0", "spec_version": "2.1"},
        "http_version": "1.1",
        "method": method,
        "scheme": "http",
        "path": unquote(path),
        "raw_path": path.encode(),
        "query_string": query.encode(),
        "root_path": "",
        "headers": [(name.lower().encode(), value.encode("latin-1")) for name, value in headers],
        "client": ("127.0.0.1", 1),
        "server": ("127.0.0.1", 5000),
        "state": {},
        "extensions": {},
    }
