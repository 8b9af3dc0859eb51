"""What stands before the application, as the settings have it: TLS, trusted proxies, limits."""

from __future__ import annotations

import socket
from pathlib import Path
from typing import TYPE_CHECKING

import structlog
import trio

from registry.http.app import make_app
from registry.http.certificates import CertificateFiles, Certificates, LoadedCertificate, load_certificate
from registry.http.exchange import Exchange
from registry.http.express import Express
from registry.http.limits import Places, RequestLimit
from registry.http.monitor import Monitor
from registry.http.proxies import OriginFinder, TrustedProxies
from registry.http.repeats import Repeats
from registry.http.routes import LANE_ROUTES, MONITOR_ROUTES
from registry.http.server import Site

if TYPE_CHECKING:
    from collections.abc import Sequence

    from hypercorn.typing import ASGIFramework, ASGIReceiveCallable, ASGISendCallable, Scope

    from registry.config import HttpSettings
    from registry.http.dealing import Dealer
    from registry.service.registry import Registry

_DESCRIPTORS_EACH = 2
"""Of a connection: its socket, and the file that it reads or writes."""

_MONITORS = 64
"""So many connections at a time may ask for nothing but metrics."""

log = structlog.get_logger()


class Front:
    def __init__(self, settings: HttpSettings, descriptors: int) -> None:
        """Of the ``descriptors`` that the process may have (-1: any number). Raises CertificateUnusable."""
        self._descriptors = descriptors
        self._certificates = Certificates(_files_of(settings)) if settings.tls_certificate else None
        self.monitor = Monitor(certificates=self._certificates)
        self._places = Places()
        self._limit_places(settings)
        self._settings = settings
        self._registry: Registry
        self._app: ASGIFramework
        self._express: Express

    def sites(
        self, listeners: Sequence[trio.SocketListener], registry: Registry, dealer: Dealer | None = None
    ) -> list[Site]:
        """TLS is spoken on the network, not on this machine's unix sockets, and by this process alone."""
        self._registry = registry
        self._answer_by(self._settings)
        return [
            Site(
                listener,
                self._answer,
                self._certificates_for(listener),
                self._places,
                self.monitor.traffic,
                lambda: self._express,
                dealer if self._certificates_for(listener) is None else None,
            )
            for listener in listeners
        ]

    def _certificates_for(self, listener: trio.SocketListener) -> Certificates | None:
        return None if listener.socket.family == socket.AF_UNIX else self._certificates

    def monitor_sites(self, listeners: Sequence[trio.SocketListener], registry: Registry) -> list[Site]:
        """Where /metrics is told to whoever asks, and nothing can be pulled or pushed: in plain HTTP."""
        app, places = make_app(registry, monitor=self.monitor, routes=MONITOR_ROUTES), Places(_MONITORS)
        return [Site(listener, app, places=places, traffic=self.monitor.traffic) for listener in listeners]

    async def prepare(self, settings: HttpSettings) -> LoadedCertificate | None:
        """What ``follow`` needs of the files that other settings name. Raises CertificateUnusable.

        Whether TLS is spoken does not change while it runs: where it is not, a certificate is only tried.
        """
        if not settings.tls_certificate:
            return None
        return await trio.to_thread.run_sync(load_certificate, _files_of(settings), abandon_on_cancel=True)

    def follow(self, settings: HttpSettings, loaded: LoadedCertificate | None) -> None:
        """Take other settings: for requests and connections that come from now on."""
        if self._certificates is not None and loaded is not None:
            self._certificates.use(loaded)
        if settings != self._settings:  # the requests that each client has made are counted from nothing
            self._limit_places(settings)
            self._answer_by(settings)
            self._settings = settings

    async def watch(self) -> None:
        if self._certificates is not None:
            await self._certificates.watch()

    async def _answer(self, scope: Scope, receive: ASGIReceiveCallable, send: ASGISendCallable) -> None:
        await self._app(scope, receive, send)

    def _answer_by(self, settings: HttpSettings) -> None:
        url, proxies = settings.external_url, TrustedProxies(settings.trusted_proxies)
        app, limit = make_app(self._registry, external_url=url, monitor=self.monitor), None
        if settings.client_requests_per_second:
            limit = RequestLimit(
                app, settings.client_requests_per_second, settings.client_burst, traffic=self.monitor.traffic
            )
        self._app = OriginFinder(limit or app, proxies)
        exchange = Exchange(self._registry, external_url=url, monitor=self.monitor)
        self._express = Express(exchange, proxies, LANE_ROUTES, Repeats(self._registry), limit)

    def _limit_places(self, settings: HttpSettings) -> None:
        limit = settings.connection_limit
        if 0 <= self._descriptors < limit * _DESCRIPTORS_EACH:
            limit = max(self._descriptors // _DESCRIPTORS_EACH, 1)
            log.warning("fewer connections than http.connection_limit, for want of descriptors", limit=limit)
        self._places.limit(limit, settings.client_connection_limit, TrustedProxies(settings.trusted_proxies))


def _files_of(settings: HttpSettings) -> CertificateFiles:
    client_ca = Path(settings.tls_client_ca) if settings.tls_client_ca else None
    return CertificateFiles(Path(settings.tls_certificate), Path(settings.tls_key), client_ca)
