"""Serves an application to whoever connects, and knows how to stop."""

from __future__ import annotations

from typing import TYPE_CHECKING

import trio
from hypercorn.app_wrappers import ASGIWrapper

from registry.http.connection import Connection, Limits

if TYPE_CHECKING:
    from collections.abc import Sequence

    from hypercorn.typing import ASGIFramework


class Server:
    """Serves an ASGI application until ``stop``, then lets requests in flight end."""

    def __init__(self, app: ASGIFramework, limits: Limits) -> None:
        self.limits = limits
        self._app = ASGIWrapper(app)
        self._connections: set[Connection] = set()
        self._stop = trio.Event()

    def stop(self) -> None:
        self._stop.set()

    async def run(self, listeners: Sequence[trio.SocketListener]) -> None:
        """Accept connections until ``stop``; requests in flight then have ``drain_seconds``. Closes the listeners."""
        async with trio.open_nursery() as serving:
            async with trio.open_nursery() as accepting:
                for listener in listeners:
                    accepting.start_soon(self._accept, listener, serving)
                await self._stop.wait()
                accepting.cancel_scope.cancel()
            for connection in self._connections:
                connection.stop()
            serving.cancel_scope.deadline = trio.current_time() + self.limits.drain_seconds

    async def _accept(self, listener: trio.SocketListener, serving: trio.Nursery) -> None:
        async with listener:
            await trio.serve_listeners(self._serve, [listener], handler_nursery=serving)

    async def _serve(self, stream: trio.SocketStream) -> None:
        connection = Connection(self._app, self.limits, stream)
        self._connections.add(connection)
        try:
            if self._stop.is_set():
                connection.stop()
            await connection.run()
        finally:
            self._connections.discard(connection)
