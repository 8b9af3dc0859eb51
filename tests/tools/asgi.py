"""A client that calls an ASGI application in process."""

from __future__ import annotations

import json
from collections.abc import Mapping
from contextlib import aclosing
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any
from urllib.parse import unquote

if TYPE_CHECKING:
    from collections.abc import AsyncGenerator, Iterable


ERROR_CODES = {
    "BLOB_UNKNOWN", "BLOB_UPLOAD_INVALID", "BLOB_UPLOAD_UNKNOWN", "DIGEST_INVALID", "MANIFEST_BLOB_UNKNOWN",
    "MANIFEST_INVALID", "MANIFEST_UNKNOWN", "NAME_INVALID", "NAME_UNKNOWN", "SIZE_INVALID", "UNAUTHORIZED", "DENIED",
    "UNSUPPORTED", "TOOMANYREQUESTS",
}  # fmt: skip
"""Source: distribution-spec, section "Error Codes"."""


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
        body: bytes | AsyncGenerator[bytes, None] = b"",
        headers: Mapping[str, str] | Iterable[tuple[str, str]] = (),
    ) -> Reply:
        """Send a request; a body of bytes has a Content-Length, a generated one is chunked.

        A body that raises ConnectionError is a client that went away.
        """
        pairs = list(headers.items() if isinstance(headers, Mapping) else headers)
        if isinstance(body, bytes):
            pairs.append(("Content-Length", str(len(body))))
            body = _once(body)
        started: dict[str, Any] = {}
        received = bytearray()

        async def send(message: dict[str, Any]) -> None:
            if message["type"] == "http.response.start":
                started.update(message)
            else:
                received.extend(message.get("body", b""))

        async with aclosing(body), aclosing(_messages(body)) as messages:
            await self._app(_scope(method, target, pairs), messages.__anext__, send)
        reply_headers = {name.decode().lower(): value.decode() for name, value in started["headers"]}
        return Reply(started["status"], reply_headers, b"" if method == "HEAD" else bytes(received))


async def _messages(body: AsyncGenerator[bytes, None]) -> AsyncGenerator[dict[str, Any], None]:
    try:
        async for piece in body:
            yield {"type": "http.request", "body": piece, "more_body": True}
    except ConnectionError:
        yield {"type": "http.disconnect"}
    yield {"type": "http.request", "body": b"", "more_body": False}


async def _once(body: bytes) -> AsyncGenerator[bytes, None]:
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
