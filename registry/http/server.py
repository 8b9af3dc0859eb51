"""Serves applications to whoever connects, and knows how to stop."""

from __future__ import annotations

from dataclasses import dataclass
from functools import partial
from typing import TYPE_CHECKING

import trio
from hypercorn.app_wrappers import ASGIWrapper

from registry.http.connection import Connection, Limits

if TYPE_CHECKING:
    from collections.abc import Sequence

    from hypercorn.typing import AppWrapper, ASGIFramework


@dataclass(frozen=True, slots=True)
class Site:
    """Where to listen, and the ASGI application that answers there."""

    listener: trio.SocketListener
    app: ASGIFramework


class Server:
    """Serves its sites until ``stop``, then lets requests in flight end."""

    def __init__(self, limits: Limits) -> None:
        self.limits = limits
        self._connections: set[Connection] = set()
        self._stop = trio.Event()

    def stop(self) -> None:
        self._stop.set()

    async def run(self, sites: Sequence[Site]) -> None:
        """Accept connections until ``stop``; requests in flight then have ``drain_seconds``. Closes the listeners."""
        async with trio.open_nursery() as serving:
            async with trio.open_nursery() as accepting:
                for site in sites:
                    accepting.start_soon(self._accept, site, serving)
                await self._stop.wait()
                accepting.cancel_scope.cancel()
            for connection in self._connections:
                connection.stop()
            serving.cancel_scope.deadline = trio.current_time() + self.limits.drain_seconds

    async def _accept(self, site: Site, serving: trio.Nursery) -> None:
        handler = partial(self._serve, ASGIWrapper(site.app))
        async with site.listener:
            await trio.serve_listeners(handler, [site.listener], handler_nursery=serving)

    async def _serve(self, app: AppWrapper, stream: trio.SocketStream) -> None:
        connection = Connection(app, self.limits, stream)
        self._connections.add(connection)
        try:
            if self._stop.is_set():
                connection.stop()
            await connection.run()
        finally:
            self._connections.discard(connection)
