"""TLS: the same guard as without it, on the daemon as a process."""

from __future__ import annotations

import os
import shutil
import socket
import ssl
import subprocess
from pathlib import Path
from typing import TYPE_CHECKING, Any

import pytest
import trio

from registry.http.certificates import CertificateFiles, Certificates
from registry.http.connection import Limits
from registry.http.server import Server, Site
from tests.tools import raw
from tests.tools.content import digest_of
from tests.tools.daemon import Daemon, running
from tests.tools.raw import request
from tests.tools.tls import Connection, Pair, connect

if TYPE_CHECKING:
    from collections.abc import Iterator

PROGRAM = Path(__file__).with_name("early_answer.go")
BODY = bytes(60 * 1024 * 1024)
BLOB = bytes(24 * 1024 * 1024)
BLOB_TARGET = f"/v2/a/blobs/{digest_of(BLOB)}"
UNKNOWN = "/v2/a/blobs/uploads/00000000-0000-4000-8000-000000000000"
CHECK = request("GET", "/v2/")
HELLO = b"\x16\x03\x01\x02\x00\x01\x00\x01\xfc\x03\x03"
"""The beginning of a ClientHello."""


@pytest.fixture(scope="module")
def pair(tmp_path_factory: pytest.TempPathFactory) -> Pair:
    return Pair(tmp_path_factory.mktemp("pair"))


@pytest.fixture(scope="module")
def daemon(tmp_path_factory: pytest.TempPathFactory, pair: Pair) -> Iterator[Daemon]:
    """One daemon for all tests; it ends by itself, and none of them made it log an error."""
    settings = {**pair.settings, "CARGOHOLD_HTTP__HEAD_SECONDS": "1", "CARGOHOLD_HTTP__DRAIN_SECONDS": "20"}
    with running(tmp_path_factory.mktemp("tls") / "data", settings) as daemon:
        push_blob(daemon, pair)
        yield daemon
        assert daemon.stop() == 0
        assert [entry for entry in daemon.entries() if entry["level"] == "error"] == []


def push_blob(daemon: Daemon, pair: Pair) -> None:
    with connect(daemon, pair) as client:
        client.send(request("POST", f"/v2/a/blobs/uploads/?digest={digest_of(BLOB)}", body=BLOB))
        assert client.answer().status == 201


def test_it_speaks_http_1_1_and_says_when_it_ends(daemon: Daemon, pair: Pair) -> None:
    with connect(daemon, pair) as client:
        assert (client.tls.version(), client.tls.selected_alpn_protocol()) == ("TLSv1.3", "http/1.1")
        client.send(CHECK, request("GET", BLOB_TARGET), request("GET", "/v2/", "Connection: close"))
        assert client.answer().status == 200
        assert client.answer().body == BLOB
        assert client.answer().closes
        assert client.rest() == b""  # raises SSLEOFError where the end is not said in TLS


def test_tls_1_2_is_the_oldest(daemon: Daemon, pair: Pair) -> None:
    context = pair.client_context()
    context.maximum_version = ssl.TLSVersion.TLSv1_2
    client = Connection(daemon.port, context)
    client.send(CHECK)
    assert (client.tls.version(), client.answer().status) == ("TLSv1.2", 200)
    client.close()


def test_a_location_stays_relative(daemon: Daemon, pair: Pair) -> None:
    with connect(daemon, pair) as client:
        client.send(request("POST", "/v2/a/blobs/uploads/", "Content-Length: 0"))
        assert client.answer().headers["location"].startswith("/v2/a/blobs/uploads/")


async def test_the_application_is_told_that_it_is_https(pair: Pair) -> None:
    schemes: list[str] = []

    async def app(scope: Any, receive: Any, send: Any) -> None:
        schemes.append(scope["scheme"])
        await send({"type": "http.response.start", "status": 204, "headers": []})
        await send({"type": "http.response.body", "body": b""})

    def ask() -> int:
        client = Connection(listener.socket.getsockname()[1], pair.client_context())
        client.send(CHECK)
        status = client.answer().status
        client.close()
        return status

    [listener] = await trio.open_tcp_listeners(0, host="127.0.0.1")
    certificates = Certificates(CertificateFiles(pair.certificate, pair.key))
    server = Server(Limits())
    async with trio.open_nursery() as nursery:
        nursery.start_soon(server.run, [Site(listener, app, certificates)])
        assert await trio.to_thread.run_sync(ask) == 204
        server.stop()
    assert schemes == ["https"]


def test_plain_http_is_told_that_the_port_speaks_tls(daemon: Daemon) -> None:
    with raw.connect(daemon.port) as client:
        client.send(CHECK)
        answer = client.answer()
        assert (answer.status, answer.closes) == (400, True)
        assert b"https://" in answer.body
        assert client.rest() == b""


@pytest.mark.parametrize("sent", [b"", HELLO[:1], HELLO, HELLO + b"a" * 100])
def test_a_handshake_that_does_not_end(daemon: Daemon, sent: bytes) -> None:
    with raw.connect(daemon.port) as client:
        client.send(sent)
        assert client.rest() == b""


@pytest.mark.parametrize("sent", [b"\x00", b"\x80\x2e\x01\x03\x01", b"\xff" * 100_000, b"\x16\x03\x01\xff\xff" * 100])
def test_what_is_neither_tls_nor_http(daemon: Daemon, sent: bytes) -> None:
    with raw.connect(daemon.port) as client:
        client.send_what_is_taken(sent)
        client.rest()
    with raw.connect(daemon.port) as client:
        client.send_what_is_taken(sent)
        client.reset()


@pytest.mark.parametrize("sent", [b"", CHECK, request("PATCH", UNKNOWN, "Content-Length: 100")])
def test_a_record_that_is_forged_ends_its_connection(daemon: Daemon, pair: Pair, sent: bytes) -> None:
    with connect(daemon, pair) as client:
        if sent:
            client.send(sent)
            client.answer()
        client.send_below(b"\x17\x03\x03\x00\x20" + bytes(32))
        with pytest.raises((ssl.SSLError, EOFError)):
            client.answer()


def test_a_client_that_ends_its_side_gets_its_answers(daemon: Daemon, pair: Pair) -> None:
    with connect(daemon, pair) as client:
        client.send(CHECK, request("GET", BLOB_TARGET), CHECK)
        client.end()
        assert client.answer().status == 200
        assert client.answer().body == BLOB
        assert client.answer().status == 200
        assert client.rest() == b""


def test_a_client_that_resets(daemon: Daemon, pair: Pair) -> None:
    for sent in (CHECK, request("GET", BLOB_TARGET) * 3, request("PATCH", UNKNOWN, "Content-Length: 9999")) * 5:
        with connect(daemon, pair) as client:
            client.send(sent)
            assert client.socket.recv(10)
            client.reset()


def test_a_client_that_sends_everything_first_sees_an_early_answer(daemon: Daemon, pair: Pair) -> None:
    with connect(daemon, pair) as client:
        client.send_what_is_taken(request("PATCH", UNKNOWN, body=BODY))
        assert client.answer().status == 404


@pytest.mark.parametrize("chunked", [False, True])
@pytest.mark.parametrize("content", [b"content", bytes(range(256)) * 4096], ids=["small", "large"])
def test_what_follows_a_body_in_its_record_is_the_next_request(
    daemon: Daemon, pair: Pair, content: bytes, *, chunked: bool
) -> None:
    body, chunks = (None, [content[:5], content[5:]]) if chunked else (content, [])
    message = request("POST", f"/v2/a/blobs/uploads/?digest={digest_of(content)}", body=body, chunks=chunks)
    head, end, sent = message.partition(b"\r\n\r\n")
    with connect(daemon, pair) as client:
        for _ in range(3):
            client.send(head + end)
            client.send(sent + CHECK)
            assert [client.answer().status for _ in "12"] == [201, 200]
        client.end()
        assert client.rest() == b""


def test_go_sees_each_early_answer(daemon: Daemon, pair: Pair) -> None:
    go = shutil.which("go")
    if go is None:
        pytest.skip("Go is not installed; the tests on a bare socket stand alone")
    environment = {"GO111MODULE": "off", "GOTOOLCHAIN": "local", "GOPROXY": "off", "GOFLAGS": ""}
    environment = {**os.environ, **environment, "SSL_CERT_FILE": str(pair.ca_file)}
    specs = [f"PATCH,{UNKNOWN},,404", "PUT,/v2/a/manifests/v1,,413"]
    command = [go, "run", str(PROGRAM), f"https://{daemon.host}", "100", *specs]
    done = subprocess.run(command, env=environment, capture_output=True, text=True, timeout=300, check=False)
    assert done.returncode == 0, done.stdout + done.stderr


def test_it_stops_with_stalled_clients(tmp_path: Path, pair: Pair) -> None:
    """Its drain is long; only requests in flight may use it up, and a reader that stalls is one."""
    settings = {**pair.settings, "CARGOHOLD_HTTP__DRAIN_SECONDS": "2", "CARGOHOLD_HTTP__HEAD_SECONDS": "600"}
    with running(tmp_path / "data", settings) as daemon:
        push_blob(daemon, pair)
        silent, partial = raw.Connection(daemon.port), raw.Connection(daemon.port)
        partial.send(HELLO)
        readers = [Connection(daemon.port, pair.client_context(), 4096) for _ in range(20)]
        for reader in readers[1:]:
            reader.send(request("GET", BLOB_TARGET))
            assert reader.socket.recv(1) == b"H"
        assert daemon.stop() == 0, daemon.log.read_text()
        for client in (silent, partial, *readers):
            client.close()


def test_a_unix_socket_speaks_no_tls(tmp_path: Path, pair: Pair) -> None:
    listen = f"127.0.0.1:0,unix:{tmp_path}/socket"
    with running(tmp_path / "data", {**pair.settings, "CARGOHOLD_LISTEN": listen}) as daemon:
        with socket.socket(socket.AF_UNIX) as client:
            client.connect(str(tmp_path / "socket"))
            client.sendall(CHECK)
            assert client.recv(100).startswith(b"HTTP/1.1 200")
        with connect(daemon, pair) as by_tls:
            by_tls.send(CHECK)
            assert by_tls.answer().status == 200
