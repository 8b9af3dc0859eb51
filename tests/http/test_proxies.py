"""Whose word is taken for where a request comes from."""

from __future__ import annotations

import socket
from typing import TYPE_CHECKING, Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from registry.http.proxies import Origin, OriginFinder, TrustedProxies, is_host, origin_of, realm_base
from tests.tools.daemon import running
from tests.tools.raw import connect, request

if TYPE_CHECKING:
    from pathlib import Path

PROXIES = TrustedProxies(["10.0.0.0/8", "fd00::/8", "192.0.2.7", "unix"])
PROXY = "10.0.0.1"


def scope(headers: dict[str, str], peer: str | None = PROXY) -> dict[str, Any]:
    return {
        "type": "http",
        "scheme": "http",
        "client": None if peer is None else (peer, 1),
        "server": ("127.0.0.1", 5000),
        "headers": [(name.lower().encode(), value.encode("latin-1")) for name, value in headers.items()],
    }


def origin(peer: str | None = PROXY, /, **headers: str) -> tuple[str | None, str, str]:
    named = {name.replace("_", "-"): value for name, value in {"host": "inner:80", **headers}.items()}
    found = PROXIES.origin(scope(named, peer))
    return found.address, found.scheme, found.host


@pytest.mark.parametrize("peer", ["192.0.2.1", "11.0.0.1", "::1", "192.0.2.70", "not an address"])
def test_nobody_else_is_believed(peer: str) -> None:
    headers = {"forwarded": "for=1.2.3.4;proto=https;host=evil", "x_forwarded_for": "1.2.3.4"}
    assert origin(peer, **headers, x_forwarded_proto="https", x_forwarded_host="evil") == (peer, "http", "inner:80")


@pytest.mark.parametrize("peer", [PROXY, "192.0.2.7", "fd00::1", "fd00::1%eth0", "::ffff:10.0.0.1", None])
def test_a_proxy_is_believed(peer: str | None) -> None:
    assert origin(peer, x_forwarded_for="1.2.3.4") == ("1.2.3.4", "http", "inner:80")
    assert origin(peer) == (peer, "http", "inner:80")


def test_unix_sockets_are_trusted_only_by_name() -> None:
    assert TrustedProxies(["0.0.0.0/0"]).origin(scope({"x-forwarded-for": "1.2.3.4"}, None)).address is None


@pytest.mark.parametrize(
    ("value", "expected"),
    [
        ("for=1.2.3.4", ("1.2.3.4", "http", "inner:80")),
        ("For=1.2.3.4;Proto=HTTPS;Host=r.example", ("1.2.3.4", "https", "r.example")),
        ('for="[2001:db8::1]:4711";proto=https', ("2001:db8::1", "https", "inner:80")),
        ("for=2001:db8::1", ("2001:db8::1", "http", "inner:80")),
        ('for="1.2.3.4:99" ; proto="https" ; host="r.example:443"', ("1.2.3.4", "https", "r.example:443")),
        (r'for="1.2\.3.4";host="r\:1"', ("1.2.3.4", "http", "r:1")),
        ("for=9.9.9.9, for=1.2.3.4", ("1.2.3.4", "http", "inner:80")),
        ("for=9.9.9.9;proto=https;host=x, for=1.2.3.4;proto=http", ("1.2.3.4", "http", "inner:80")),
        ("for=1.2.3.4;proto=https, for=10.0.0.9;proto=http;host=i", ("1.2.3.4", "https", "i")),
        ("for=1.2.3.4, for=unknown", (PROXY, "http", "inner:80")),
        ("for=1.2.3.4, for=_hidden, for=10.0.0.9", ("10.0.0.9", "http", "inner:80")),
        ("for=10.0.0.3, for=10.0.0.2", ("10.0.0.3", "http", "inner:80")),
        ('for="9.9.9.9, for=1.2.3.4', ("1.2.3.4", "http", "inner:80")),
        ("for=9.9.9.9;for=8.8.8.8", (PROXY, "http", "inner:80")),
        ("proto=https", (PROXY, "https", "inner:80")),
        ("proto=gopher;host=a b", (PROXY, "http", "inner:80")),
        ("", (PROXY, "http", "inner:80")),
    ],
)
def test_forwarded(value: str, expected: tuple[str, str, str]) -> None:
    """The rightmost address that is no proxy's counts, and what the proxy said that it was connected to."""
    assert origin(forwarded=value) == expected


@pytest.mark.parametrize(
    ("headers", "expected"),
    [
        ({"for": "9.9.9.9, 1.2.3.4"}, ("1.2.3.4", "http", "inner:80")),
        ({"for": "1.2.3.4:5, [fd00::1]:6, fd00::2"}, ("1.2.3.4", "http", "inner:80")),
        ({"for": "::ffff:1.2.3.4"}, ("1.2.3.4", "http", "inner:80")),
        ({"for": "1.2.3.4, nonsense"}, (PROXY, "http", "inner:80")),
        ({"for": "fe80::1%eth0"}, (PROXY, "http", "inner:80")),
        ({"for": "1.2.3.4, 10.0.0.9", "proto": "https", "host": "r"}, ("1.2.3.4", "https", "r")),
        ({"for": "9.9.9.9, 1.2.3.4", "proto": "https, http", "host": "a, b"}, ("1.2.3.4", "http", "b")),
        ({"for": "1.2.3.4, 10.0.0.9", "proto": "https, http"}, ("1.2.3.4", "https", "inner:80")),
        ({"proto": "https", "host": "r.example:8443"}, (PROXY, "https", "r.example:8443")),
    ],
)
def test_x_forwarded(headers: dict[str, str], expected: tuple[str, str, str]) -> None:
    assert origin(**{f"x_forwarded_{name}": value for name, value in headers.items()}) == expected


def test_forwarded_wins_but_not_with_another_client() -> None:
    """A proxy writes the one and passes on the other: then the client wrote that."""
    both = {"x_forwarded_for": "1.2.3.4", "x_forwarded_proto": "http", "x_forwarded_host": "x"}
    assert origin(**both, forwarded="for=1.2.3.4;proto=https;host=f") == ("1.2.3.4", "https", "f")
    assert origin(**both, forwarded="proto=https") == ("1.2.3.4", "https", "x")
    assert origin(**both, forwarded="for=6.6.6.6;proto=https;host=f") == (PROXY, "http", "inner:80")


def test_a_thousand_hops() -> None:
    hops = [f"10.0.{number // 250}.{number % 250}" for number in range(1000)]
    assert origin(x_forwarded_for=", ".join(["1.2.3.4", *hops]))[0] == "1.2.3.4"
    assert origin(forwarded=", ".join(f"for={hop}" for hop in ["1.2.3.4", *hops]))[0] == "1.2.3.4"


@given(st.text(st.sampled_from('for=1.20:[],;" \\proto%hs\x00\xff')) | st.text(st.characters(max_codepoint=255)))
def test_no_value_raises_or_gets_through(value: str) -> None:
    found = PROXIES.origin(
        scope({"forwarded": value, "x-forwarded-for": value, "x-forwarded-host": value, "host": value})
    )
    assert found.scheme in {"http", "https"}
    assert is_host(found.host)
    assert found.address is not None
    assert set(found.address) <= set("0123456789abcdef.:")


@pytest.mark.parametrize(
    "text", ["a", "r.example", "r-1.example:443", "my_host", "1.2.3.4:80", "[::1]", "[2001:db8::1]:5"]
)
def test_a_host(text: str) -> None:
    assert is_host(text)


NO_HOSTS = [
    "",
    ":80",
    "a:",
    "a:b",
    "a:99999",
    "a:123456",
    ".a",
    "-a",
    "a b",
    'a"',
    "a/b",
    "a@b",
    "a,b",
    "a\n",
    "é",
    "a" * 256,
]
NO_IPV6_HOSTS = ["::1", "[::1", "[1.2.3.4]", "[::g]", "[::1]a"]


@pytest.mark.parametrize("text", [*NO_HOSTS, *NO_IPV6_HOSTS])
def test_no_host(text: str) -> None:
    assert not is_host(text)


@pytest.mark.parametrize(
    ("server", "host"), [(("::1", 5000), "[::1]:5000"), (("10.1.1.1", 80), "10.1.1.1:80"), (None, "localhost")]
)
def test_without_a_good_host_the_address_of_the_socket_counts(server: tuple[str, int] | None, host: str) -> None:
    for headers in ({}, {"host": 'a"b'}):
        assert origin_of({**scope(headers), "server": server}).host == host


def test_the_base_of_a_realm() -> None:
    found = Origin("1.2.3.4", "https", "r.example:443")
    assert realm_base(found, "") == "https://r.example:443"
    assert realm_base(found, "https://outside.example/registry/") == "https://outside.example/registry"


async def test_the_application_sees_one_origin() -> None:
    seen: dict[str, Any] = {}

    async def app(scope: Any, receive: Any, send: Any) -> None:
        seen.update(scope)

    headers = {"x-forwarded-for": "1.2.3.4", "x-forwarded-proto": "https", "x-forwarded-host": "r"}
    await OriginFinder(app, PROXIES)(scope(headers), None, None)  # type: ignore[arg-type]
    assert (seen["client"], seen["scheme"], origin_of(seen)) == (
        ("1.2.3.4", 0),
        "https",
        Origin("1.2.3.4", "https", "r"),
    )
    await OriginFinder(app, PROXIES)(scope({}), None, None)  # type: ignore[arg-type]
    assert (seen["client"], seen["scheme"]) == ((PROXY, 1), "http")


def test_the_log_of_the_daemon_has_the_client(tmp_path: Path) -> None:
    settings = {
        "CARGOHOLD_HTTP__TRUSTED_PROXIES": "127.0.0.1,unix",
        "CARGOHOLD_LISTEN": f"127.0.0.1:0,unix:{tmp_path}/socket",
    }
    forwarded = request("GET", "/v2/", "X-Forwarded-For: 1.2.3.4", "Connection: close")
    with running(tmp_path / "data", settings) as daemon:
        with connect(daemon.port) as client:
            client.send(forwarded)
            assert client.answer().status == 200
        with socket.socket(socket.AF_UNIX) as by_unix:
            by_unix.connect(str(tmp_path / "socket"))
            by_unix.sendall(forwarded.replace(b"1.2.3.4", b"5.6.7.8"))
            assert by_unix.recv(100).startswith(b"HTTP/1.1 200")
        assert daemon.stop() == 0
        clients = [entry["client"] for entry in daemon.entries() if entry["event"] == "request"]
        assert clients == ["1.2.3.4", "5.6.7.8"]
