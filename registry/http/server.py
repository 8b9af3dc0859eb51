"""Serves applications to whoever connects, and knows how to stop."""

from __future__ import annotations

from dataclasses import dataclass, field
from functools import partial
from typing import TYPE_CHECKING, cast

import structlog
import trio
from hypercorn.app_wrappers import ASGIWrapper

from registry.http.connection import Connection, Limits, part, peer_of
from registry.http.dealing import Dealt
from registry.http.errors import error_answer
from registry.http.limits import Places
from registry.http.tls import TlsStream
from registry.http.traffic import Traffic
from registry.oci.errors import Overloaded

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence

    from hypercorn.typing import AppWrapper, ASGIFramework

    from registry.http.answers import Answer
    from registry.http.certificates import Certificates
    from registry.http.dealing import Dealer
    from registry.http.express import Express

_REFUSALS = 64
"""So many connections that have no place are told so at a time; others are closed without a word."""

_REFUSAL_SECONDS = 5
_COMPLAINT_SECONDS = 10

log = structlog.get_logger()


@dataclass(frozen=True, slots=True)
class Site:
    """Where to listen, the ASGI application that answers there, and how many may come; with certificates, by TLS.

    ``traffic`` counts what does not get as far as the application; ``express`` tells by which settings what is asked
    for most is answered without it; ``dealer`` may pass connections to other processes.
    """

    listener: trio.SocketListener
    app: ASGIFramework
    certificates: Certificates | None = None
    places: Places = field(default_factory=Places)
    traffic: Traffic = field(default_factory=Traffic)
    express: Callable[[], Express] | None = None
    dealer: Dealer | None = None


class Server:
    """Serves its sites until ``stop``, then lets requests in flight end."""

    def __init__(self, limits: Limits) -> None:
        self.limits = limits
        self._connections: set[Connection] = set()
        self._serving: trio.Nursery
        self._stop = trio.Event()
        self._refusals = 0
        self._refused = 0
        self._quiet_until = 0.0

    def stop(self) -> None:
        self._stop.set()

    async def run(self, sites: Sequence[Site]) -> None:
        """Accept connections until ``stop``; requests in flight then have ``drain_seconds``. Closes the listeners."""
        async with trio.open_nursery() as serving:
            self._serving = serving
            async with trio.open_nursery() as accepting:
                for site in sites:
                    accepting.start_soon(self._accept, site, serving)
                await self._stop.wait()
                accepting.cancel_scope.cancel()
            for connection in self._connections:
                connection.finish()
            for dealer in {site.dealer for site in sites if site.dealer is not None}:
                dealer.finish()
                serving.start_soon(dealer.wait_finished)
            serving.cancel_scope.deadline = trio.current_time() + self.limits.drain_seconds

    async def _accept(self, site: Site, serving: trio.Nursery) -> None:
        handler = partial(self._receive, site, ASGIWrapper(site.app))
        async with site.listener:
            await trio.serve_listeners(handler, [site.listener], handler_nursery=serving)

    async def _receive(self, site: Site, app: AppWrapper, stream: trio.SocketStream) -> None:
        """Serve a connection if there is a place for it."""
        client = site.places.client_of(peer_of(stream))
        if not site.places.make_room(client):
            self._complain()
            if site.certificates is None and self._refusals < _REFUSALS:
                await self._refuse(stream, site.traffic)
            return
        if site.dealer is not None and not self._stop.is_set():
            dealt = Dealt(site.places, client, partial(self._take_back, site, app, client))
            if site.dealer.deal(stream, dealt, len(self._connections)):
                return
        await self._serve(site, self._enter(site, app, client, stream))

    def _take_back(
        self, site: Site, app: AppWrapper, client: str | None, stream: trio.SocketStream, received: bytes
    ) -> None:
        """Serve a connection on from what another process has received of it, unless the time for that is over."""
        if self._serving.cancel_scope.cancel_called:
            stream.socket.close()
            return
        self._serving.start_soon(self._serve, site, self._enter(site, app, client, stream, received))

    def _enter(
        self, site: Site, app: AppWrapper, client: str | None, stream: trio.SocketStream, received: bytes = b""
    ) -> Connection:
        secured = stream if site.certificates is None else TlsStream(stream, site.certificates.context)
        connection = Connection(app, self.limits, secured, site.places, site.traffic, site.express, received)
        site.places.enter(connection, client)
        return connection

    async def _serve(self, site: Site, connection: Connection) -> None:
        self._connections.add(connection)
        try:
            if self._stop.is_set():
                connection.finish()
            await connection.run()
        finally:
            self._connections.discard(connection)
            site.places.leave(connection)

    async def _refuse(self, stream: trio.SocketStream, traffic: Traffic) -> None:
        """Answer the first request, once it comes: an answer before it would be nobody's."""
        answer = error_answer(Overloaded("too many connections; try again soon"))
        self._refusals += 1
        try:
            with trio.move_on_after(_REFUSAL_SECONDS):
                if received := await stream.receive_some():
                    method = bytes(received).partition(b" ")[0].decode("latin-1")
                    traffic.begin(method).end(answer.status, 0, answer.content_length or 0)
                    await stream.send_all(_encoded(answer))
                    await part(stream, sends_more=True)
        except trio.BrokenResourceError:
            pass  # the client has gone; there is nobody to tell
        finally:
            self._refusals -= 1

    def _complain(self) -> None:
        """Say now and then how many connections were refused."""
        self._refused += 1
        if trio.current_time() >= self._quiet_until:
            log.warning("connections were refused: all places are taken by requests in flight", count=self._refused)
            self._refused = 0
            self._quiet_until = trio.current_time() + _COMPLAINT_SECONDS


def _encoded(answer: Answer) -> bytes:
    headers = [*answer.headers, ("Content-Length", str(answer.content_length)), ("Connection", "close")]
    lines = ["HTTP/1.1 503 Service Unavailable", *(f"{name.lower()}: {value}" for name, value in headers), "", ""]
    return "\r\n".join(lines).encode() + cast("bytes", answer.body)
