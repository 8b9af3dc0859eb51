"""What stands before the application, as the settings have it: TLS, trusted proxies, limits."""

from __future__ import annotations

import socket
from pathlib import Path
from typing import TYPE_CHECKING

import structlog

from registry.http.certificates import CertificateFiles, Certificates
from registry.http.limits import Places, RequestLimit
from registry.http.proxies import OriginFinder, TrustedProxies
from registry.http.server import Site

if TYPE_CHECKING:
    from collections.abc import Sequence

    import trio
    from hypercorn.typing import ASGIFramework

    from registry.config import HttpSettings

_DESCRIPTORS_EACH = 2
"""Of a connection: its socket, and the file that it reads or writes."""

log = structlog.get_logger()


class Front:
    def __init__(self, settings: HttpSettings, descriptors: int) -> None:
        """Of the ``descriptors`` that the process may have (-1: any number). Raises CertificateUnusable."""
        self._settings = settings
        self._certificates = Certificates(_files_of(settings)) if settings.tls_certificate else None
        self._proxies = TrustedProxies(settings.trusted_proxies)
        limit = settings.connection_limit
        if 0 <= descriptors < limit * _DESCRIPTORS_EACH:
            limit = max(descriptors // _DESCRIPTORS_EACH, 1)
            log.warning("fewer connections than http.connection_limit, for want of descriptors", limit=limit)
        self._places = Places(limit, settings.client_connection_limit, self._proxies)

    def sites(self, listeners: Sequence[trio.SocketListener], app: ASGIFramework) -> list[Site]:
        """TLS is spoken on the network, not on this machine's unix sockets."""
        settings = self._settings
        if settings.client_requests_per_second:
            app = RequestLimit(app, settings.client_requests_per_second, settings.client_burst)
        app = OriginFinder(app, self._proxies)
        return [
            Site(
                listener,
                app,
                None if listener.socket.family == socket.AF_UNIX else self._certificates,
                self._places,
            )
            for listener in listeners
        ]

    def reload(self) -> None:
        """Load the certificate now, not when a change is seen."""
        if self._certificates is not None:
            self._certificates.reload()

    async def watch(self) -> None:
        if self._certificates is not None:
            await self._certificates.watch()


def _files_of(settings: HttpSettings) -> CertificateFiles:
    client_ca = Path(settings.tls_client_ca) if settings.tls_client_ca else None
    return CertificateFiles(Path(settings.tls_certificate), Path(settings.tls_key), client_ca)
