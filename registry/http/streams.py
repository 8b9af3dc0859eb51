"""Bodies that flow through Quart at the pace of whoever reads them.

Quart collects a request's body as fast as it arrives and watches for a disconnect in a second task; here the handler
itself receives each piece, so that a slow disk slows the client down, and nobody cancels a handler behind its back.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, Self

from quart.wrappers.response import ResponseBody
from quart_trio.asgi import TrioASGIHTTPConnection
from quart_trio.wrappers import TrioRequest

from registry.service import blobs
from registry.service.bodies import BodyInterrupted

if TYPE_CHECKING:
    from collections.abc import AsyncIterator
    from types import TracebackType

    from hypercorn.typing import ASGIReceiveCallable, ASGISendCallable

    from registry.http.answers import FileSlice
    from registry.service.registry import Registry

_PIECE_BYTES = 256 * 1024


class StreamingBody:
    """The body of a request: an iterator over pieces, each received when it is asked for."""

    receive: ASGIReceiveCallable

    def __init__(self, *_limits: object) -> None:
        self._ended = False

    def __aiter__(self) -> StreamingBody:
        return self

    async def __anext__(self) -> bytes:
        """Raises BodyInterrupted where the client goes away before the end."""
        while not self._ended:
            message = await self.receive()
            if message["type"] != "http.request":
                raise BodyInterrupted
            self._ended = not message.get("more_body", False)
            if message.get("body"):
                return message["body"]
        raise StopAsyncIteration


class StreamingRequest(TrioRequest):
    body_class = StreamingBody  # type: ignore[assignment]


class StreamingConnection(TrioASGIHTTPConnection):
    """One request and its response, in one task."""

    async def __call__(self, receive: ASGIReceiveCallable, send: ASGISendCallable) -> None:
        request = self._create_request_from_scope(send)
        request.body.receive = receive  # type: ignore[attr-defined]
        response: Any = await self.app.handle_request(request)
        async with response.response:
            await self._send_response(send, response)


class FileBody(ResponseBody):
    """A slice of a file, read piece by piece; closed when the response is over, sent or not."""

    def __init__(self, registry: Registry, file: FileSlice) -> None:
        self._registry = registry
        self._file = file
        self._closed = False

    async def __aenter__(self) -> Self:
        return self

    async def __aexit__(
        self, exc_type: type[BaseException] | None, exc_value: BaseException | None, tb: TracebackType | None
    ) -> None:
        if not self._closed:
            self._closed = True
            self._file.close()

    async def __aiter__(self) -> AsyncIterator[bytes]:
        position, stop = self._file.start, self._file.start + self._file.length
        while position < stop:
            length = min(_PIECE_BYTES, stop - position)
            piece = await blobs.read_piece(self._registry, self._file.file, position, length)
            position += len(piece)
            yield piece
