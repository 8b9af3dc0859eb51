"""One registry that answers on three ports: with the express lane, without it, and with nothing else."""

from __future__ import annotations

import threading
from contextlib import contextmanager, suppress
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import trio

from registry.http.app import make_app
from registry.http.connection import Limits
from registry.http.exchange import Exchange
from registry.http.express import Express
from registry.http.limits import RequestLimit
from registry.http.proxies import OriginFinder, TrustedProxies
from registry.http.repeats import Repeats
from registry.http.routes import LANE_ROUTES
from registry.http.server import Server, Site
from registry.service.policy import Policy
from registry.service.registry import open_registry

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

    from registry.service.registry import Registry

NOT_TAKEN = 418
"""The status that stands for an answer of Hypercorn's, where there is only the lane."""


@dataclass(frozen=True)
class Sites:
    """The ports."""

    both: int
    without_lane: int
    lane_alone: int
    registry: Registry
    server: Server
    token: trio.lowlevel.TrioToken

    def call(self, function: Any, *args: Any) -> Any:
        """Run a function where the registry runs."""
        return trio.from_thread.run(function, *args, trio_token=self.token)


@contextmanager
def serving(data: Path, policy: Policy | None = None, *, stall_seconds: float = 60, burst: int = 0) -> Iterator[Sites]:
    """With a ``burst``, each client may send so many requests."""
    started, sites = threading.Event(), []

    async def live() -> None:
        server = Server(Limits(stall_seconds=stall_seconds, drain_seconds=5))
        async with open_registry(data, policy or Policy()) as registry:
            limit = RequestLimit(_teapot, 0.0001, burst) if burst else None
            proxies = TrustedProxies(["127.0.0.1"])
            express = Express(Exchange(registry), proxies, LANE_ROUTES, Repeats(registry), limit)
            listeners = [(await trio.open_tcp_listeners(0, host="127.0.0.1"))[0] for _ in range(3)]
            app = OriginFinder(make_app(registry), proxies)
            ports = [listener.socket.getsockname()[1] for listener in listeners]
            sites.append(Sites(*ports, registry, server, trio.lowlevel.current_trio_token()))
            started.set()
            await server.run(
                [
                    Site(listeners[0], app, express=lambda: express),
                    Site(listeners[1], app),
                    Site(listeners[2], _teapot, express=lambda: express),
                ]
            )

    def run() -> None:
        try:
            trio.run(live)
        finally:
            started.set()

    thread = threading.Thread(target=run)
    thread.start()
    started.wait()
    try:
        yield sites[0]
    finally:
        with suppress(trio.RunFinishedError):  # a test may have stopped it
            sites[0].token.run_sync_soon(sites[0].server.stop)
        thread.join()


async def _teapot(_scope: Any, _receive: Any, send: Any) -> None:
    await send({"type": "http.response.start", "status": NOT_TAKEN, "headers": [(b"content-length", b"0")]})
    await send({"type": "http.response.body", "body": b""})
