"""/metrics on a listener of its own."""

from __future__ import annotations

import http.client
import socket
from contextlib import contextmanager
from typing import TYPE_CHECKING

import pytest

from tests.tools.daemon import Daemon, running
from tests.tools.tls import Pair

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

TOKEN_MODE = {"CARGOHOLD_ACCESS__MODE": "token"}


@contextmanager
def held() -> Iterator[socket.socket]:
    """As a socket unit holds it."""
    with socket.socket() as listening:
        listening.bind(("127.0.0.1", 0))
        listening.listen()
        yield listening


@contextmanager
def activated(data: Path, sockets: list[socket.socket], names: list[str], settings: dict[str, str]) -> Iterator[Daemon]:
    daemon = Daemon(data, {**TOKEN_MODE, **settings})
    daemon.sockets, daemon.socket_names = sockets, names
    daemon.start()
    try:
        yield daemon
    finally:
        if daemon.process.poll() is None:
            daemon.kill()


def get(address: str, target: str, method: str = "GET") -> tuple[int, bytes]:
    connection = http.client.HTTPConnection(address, timeout=60)
    try:
        connection.request(method, target)
        answer = connection.getresponse()
        return answer.status, answer.read()
    finally:
        connection.close()


def address_of(listening: socket.socket) -> str:
    return f"127.0.0.1:{listening.getsockname()[1]}"


def test_it_asks_for_no_credentials_and_has_nothing_else(tmp_path: Path) -> None:
    pair = Pair(tmp_path)
    tls = {"CARGOHOLD_HTTP__TLS_CERTIFICATE": str(pair.certificate), "CARGOHOLD_HTTP__TLS_KEY": str(pair.key)}
    with running(tmp_path / "data", {**TOKEN_MODE, **tls, "CARGOHOLD_METRICS__LISTEN": "127.0.0.1:0"}) as daemon:
        [address] = daemon.wait_for("listening")[-1]["metrics"]
        status, body = get(address, "/metrics")
        assert status == 200
        assert b"\ncargohold_certificate_expiry_timestamp_seconds " in body
        assert get(address, "/ready") == (200, b"OK")
        assert get(address, "/metrics", "POST")[0] == 405
        for target in ("/v2/", "/v2/_catalog", "/token", "/admin/gc", "/", "//metrics"):
            assert get(address, target)[0] == 404


def test_on_the_addresses_of_the_registry_it_is_guarded_as_before(tmp_path: Path) -> None:
    with running(tmp_path / "data", {**TOKEN_MODE, "CARGOHOLD_METRICS__LISTEN": "127.0.0.1:0"}) as daemon:
        [address] = daemon.wait_for("listening")[-1]["metrics"]
        assert daemon.request("GET", "/metrics")[0] == 401
        assert daemon.request("GET", "/v2/_catalog")[0] == 401
        counted = get(address, "/metrics")[1]
        assert b'registry_http_requests_total{code="401",handler="catalog",method="get"} 1.0' in counted


@pytest.mark.parametrize("by_name", [True, False])
def test_a_socket_of_systemd_by_its_name_or_address(tmp_path: Path, by_name: bool) -> None:
    with held() as public, held() as apart:
        settings = {} if by_name else {"CARGOHOLD_METRICS__LISTEN": address_of(apart)}
        names = ["cargohold.socket", "metrics" if by_name else "cargohold.socket"]
        with activated(tmp_path / "data", [public, apart], names, settings) as daemon:
            [entry] = daemon.wait_for("listening")
            assert (entry["addresses"], entry["metrics"]) == ([address_of(public)], [address_of(apart)])
            assert get(address_of(apart), "/metrics")[0] == 200
            assert get(address_of(apart), "/v2/")[0] == 404
            assert get(address_of(public), "/v2/")[0] == 401


def test_no_socket_of_the_registry_is_taken_for_it(tmp_path: Path) -> None:
    with held() as one, held() as other, activated(tmp_path / "data", [one, other], [], {}) as daemon:
        assert daemon.wait_for("listening")[0]["metrics"] == []
        for listening in (one, other):
            assert get(address_of(listening), "/v2/")[0] == 401
            assert get(address_of(listening), "/metrics")[0] == 401


def test_a_socket_for_metrics_alone_leaves_the_addresses_of_the_settings(tmp_path: Path) -> None:
    listen = {"CARGOHOLD_LISTEN": "127.0.0.1:0"}
    with held() as apart, activated(tmp_path / "data", [apart], ["metrics"], listen) as daemon:
        assert daemon.port not in {0, apart.getsockname()[1]}
        assert get(daemon.host, "/v2/")[0] == 401
        assert get(address_of(apart), "/ready")[0] == 200
