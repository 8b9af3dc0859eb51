"""Certificates of a test's own authority, and a client that speaks TLS on a bare socket."""

from __future__ import annotations

import os
import socket
import ssl
from contextlib import contextmanager, suppress
from typing import TYPE_CHECKING

import trustme

from tests.tools import raw

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

    from tests.tools.daemon import Daemon


class Pair:
    """A certificate for 127.0.0.1 and its key, in files that can be replaced."""

    def __init__(self, folder: Path, ca: trustme.CA | None = None) -> None:
        self.ca = ca or trustme.CA()
        self.certificate = folder / "tls.pem"
        self.key = folder / "tls.key"
        self.ca_file = folder / "ca.pem"
        self.ca_file.write_bytes(self.ca.cert_pem.bytes())
        self.renew()

    @property
    def settings(self) -> dict[str, str]:
        return {
            "CARGOHOLD_HTTP__TLS_CERTIFICATE": str(self.certificate),
            "CARGOHOLD_HTTP__TLS_KEY": str(self.key),
        }

    def renew(self) -> bytes:
        """Replace both as a tool does that renews them; the new certificate as it comes over the wire."""
        made = self.ca.issue_cert("127.0.0.1", "localhost")
        for path, data in ((self.key, made.private_key_pem.bytes()), (self.certificate, chain(made))):
            path.with_suffix(".new").write_bytes(data)
            os.replace(path.with_suffix(".new"), path)
        return ssl.PEM_cert_to_DER_cert(made.cert_chain_pems[0].bytes().decode())

    def client_context(self) -> ssl.SSLContext:
        """Of a client that trusts the authority."""
        context = ssl.create_default_context(cafile=str(self.ca_file))
        context.set_alpn_protocols(["h2", "http/1.1"])
        return context


def chain(certificate: trustme.LeafCert) -> bytes:
    return b"".join(blob.bytes() for blob in certificate.cert_chain_pems)


class Connection(raw.Connection):
    """Like its base, by TLS. The end of the daemon's side has to be said in TLS too (SSLEOFError)."""

    def __init__(self, port: int, context: ssl.SSLContext, receive_bytes: int | None = None) -> None:
        super().__init__(port, receive_bytes)
        try:
            self.tls = context.wrap_socket(self.socket, server_hostname="127.0.0.1", suppress_ragged_eofs=False)
        except BaseException:
            self.socket.close()
            raise
        self.socket = self.tls

    def send_below(self, data: bytes) -> None:
        """Bytes that are no TLS."""
        os.write(self.tls.fileno(), data)

    def send_what_is_taken(self, data: bytes) -> None:
        with suppress(ssl.SSLError):
            super().send_what_is_taken(data)

    def end(self) -> None:
        """Only in TCP: having said it in TLS, OpenSSL's clients read no more."""
        socket.socket.shutdown(self.tls, socket.SHUT_WR)


@contextmanager
def connect(daemon: Daemon, pair: Pair, receive_bytes: int | None = None) -> Iterator[Connection]:
    connection = Connection(daemon.port, pair.client_context(), receive_bytes)
    try:
        yield connection
    finally:
        connection.close()
