"""Every wait for a client has a deadline: while the daemon serves, and when it is told to stop."""

from __future__ import annotations

import time
from typing import TYPE_CHECKING, Any

import pytest

from tests.tools.content import digest_of
from tests.tools.daemon import Daemon, running
from tests.tools.raw import Connection, connect, request

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator
    from pathlib import Path

HEAD_SECONDS = 1
STALL_SECONDS = 2
BLOB = bytes(24 * 1024 * 1024)
"""More than the kernel keeps for a client that does not read."""
BLOB_TARGET = f"/v2/a/blobs/{digest_of(BLOB)}"
RECEIVE_BYTES = 4096
READERS = 200


@pytest.fixture(scope="module")
def impatient(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Daemon]:
    settings = {
        "CARGOHOLD_HTTP__HEAD_SECONDS": str(HEAD_SECONDS),
        "CARGOHOLD_HTTP__STALL_SECONDS": str(STALL_SECONDS),
    }
    with running(tmp_path_factory.mktemp("waits") / "data", settings) as daemon:
        push_blob(daemon)
        yield daemon
        assert daemon.stop() == 0
        assert [entry for entry in daemon.entries() if entry["level"] == "error"] == []


@pytest.fixture
def stopping(tmp_path: Path) -> Iterator[Callable[[float], Daemon]]:
    """Start a daemon whose drain lasts so many seconds."""
    started = []

    def start(drain_seconds: float) -> Daemon:
        daemon = Daemon(tmp_path / "data", {"CARGOHOLD_HTTP__DRAIN_SECONDS": str(drain_seconds)})
        started.append(daemon)
        daemon.start()
        return daemon

    yield start
    for daemon in started:
        if daemon.process.poll() is None:
            daemon.kill()


def push_blob(daemon: Daemon) -> None:
    assert daemon.request("POST", f"/v2/a/blobs/uploads/?digest={digest_of(BLOB)}", BLOB)[0] == 201


def begin_upload(daemon: Daemon) -> str:
    return daemon.request("POST", "/v2/a/blobs/uploads/")[1]["location"]


def seconds_until_closed(connection: Connection) -> float:
    started = time.monotonic()
    assert connection.rest() == b""
    return time.monotonic() - started


def stays_open(connection: Connection, seconds: float) -> bool:
    """Wait so long; whether the daemon neither sent anything nor closed the connection."""
    connection.socket.settimeout(seconds)
    try:
        connection.socket.recv(1, 0)
    except TimeoutError:
        return True
    finally:
        connection.socket.settimeout(20)
    return False


def requests_logged(daemon: Daemon, **fields: Any) -> list[dict[str, Any]]:
    entries = [entry for entry in daemon.entries() if entry["event"] == "request"]
    return [entry for entry in entries if all(entry[name] == value for name, value in fields.items())]


def wait_until(condition: Callable[[], object]) -> None:
    deadline = time.monotonic() + 20
    while not condition():
        assert time.monotonic() < deadline
        time.sleep(0.02)


def stop_seconds(daemon: Daemon) -> float:
    started = time.monotonic()
    assert daemon.stop() == 0, daemon.log.read_text()
    return time.monotonic() - started


def test_a_head_that_does_not_end(impatient: Daemon) -> None:
    with connect(impatient.port) as client:
        client.send(b"GET /v2/ HTTP/1.1\r\nHost: regis")
        assert HEAD_SECONDS * 0.9 < seconds_until_closed(client) < STALL_SECONDS + 8


def test_a_head_that_comes_byte_by_byte(impatient: Daemon) -> None:
    """The head as a whole has a deadline, not each piece of it."""
    with connect(impatient.port) as client:
        pieces = 0
        client.send(b"GET /v2/ HTTP/1.1\r\nX-Long: ")
        while stays_open(client, HEAD_SECONDS / 10):
            pieces += 1
            assert pieces < 100
            client.send_what_is_taken(b"a")


def test_a_second_head_that_does_not_end(impatient: Daemon) -> None:
    with connect(impatient.port) as client:
        client.send(request("GET", "/v2/"), b"GET")
        assert client.answer().status == 200
        assert seconds_until_closed(client) > HEAD_SECONDS * 0.9


@pytest.mark.parametrize("requests", [0, 1, 3])
def test_a_connection_without_a_request_in_flight(impatient: Daemon, requests: int) -> None:
    with connect(impatient.port) as client:
        for _ in range(requests):
            client.send(request("GET", "/v2/"))
            assert client.answer().status == 200
        assert seconds_until_closed(client) > STALL_SECONDS * 0.9


@pytest.mark.parametrize(
    ("framing", "sent"),
    [("Content-Length: 100", b"abc"), ("Transfer-Encoding: chunked", b"3\r\nabc\r\n")],
    ids=["length", "chunked"],
)
def test_a_body_that_stalls(impatient: Daemon, framing: str, sent: bytes) -> None:
    """It is answered with an error or not at all; its bytes are kept, and the upload is free for the next request."""
    location = begin_upload(impatient)
    with connect(impatient.port) as client:
        started = time.monotonic()
        client.send(request("PATCH", location, framing), sent)
        assert client.rest()[:10] in {b"", b"HTTP/1.1 4"}
        assert time.monotonic() - started > STALL_SECONDS * 0.9
    assert impatient.request("GET", location)[1]["range"] == "0-2"
    assert impatient.request("PATCH", location, b"def", {"Content-Range": "3-5"})[1]["range"] == "0-5"


def test_a_body_that_is_slow_but_moves(impatient: Daemon) -> None:
    location = begin_upload(impatient)
    pieces = 12
    with connect(impatient.port) as client:
        client.send(request("PATCH", location, f"Content-Length: {pieces}"))
        for _ in range(pieces):
            assert stays_open(client, STALL_SECONDS / 8)
            client.send(b"a")
        answer = client.answer()
    assert (answer.status, answer.headers["range"]) == (202, f"0-{pieces - 1}")


def test_a_reader_that_stalls(impatient: Daemon) -> None:
    cut = {"path": BLOB_TARGET, "method": "GET", "status": 200}
    with connect(impatient.port, RECEIVE_BYTES) as client:
        client.send(request("GET", BLOB_TARGET))
        wait_until(lambda: requests_logged(impatient, **cut))
        [entry] = requests_logged(impatient, **cut)
        assert entry["bytes"] < len(BLOB)
        assert entry["seconds"] > STALL_SECONDS * 0.9
        assert len(client.rest()) < len(BLOB)


def test_stop_with_stalled_readers_idle_connections_and_an_endless_body(
    stopping: Callable[[float], Daemon],
) -> None:
    daemon = stopping(2)
    push_blob(daemon)
    location = begin_upload(daemon)
    clients = [Connection(daemon.port, RECEIVE_BYTES) for _ in range(READERS + 20)]
    readers = clients[:READERS]
    try:
        for client in readers:
            client.send(request("GET", BLOB_TARGET))
        for client in readers:
            assert client.socket.recv(1) == b"H"
        for client in clients[READERS:]:
            client.send(request("GET", "/v2/"))
            assert client.answer().status == 200
        clients[-1].send(request("PATCH", location, "Expect: 100-continue", "Transfer-Encoding: chunked"))
        assert clients[-1].answer().status == 100
        clients[-1].send(b"%x\r\n" % len(BLOB), BLOB[: 4 * 1024 * 1024])
        assert stop_seconds(daemon) < 2 + 5
    finally:
        for client in clients:
            client.close()
    assert sum(entry["bytes"] < len(BLOB) for entry in requests_logged(daemon, path=BLOB_TARGET)) == READERS
    daemon.start()
    assert daemon.request("GET", location)[1]["range"] != "0-0"


def test_stop_waits_for_no_idle_connection(stopping: Callable[[float], Daemon]) -> None:
    daemon = stopping(30)
    with connect(daemon.port) as silent, connect(daemon.port) as idle, connect(daemon.port) as partial:
        for client in (idle, partial):
            client.send(request("GET", "/v2/"))
            assert client.answer().status == 200
        partial.send(b"GET /v2/ HT")
        assert stop_seconds(daemon) < 10
        for client in (silent, idle, partial):
            assert client.rest() == b""


@pytest.mark.parametrize("next_request", [b"", request("GET", "/v2/")], ids=["alone", "pipelined"])
def test_a_request_that_ends_within_the_drain_is_answered(
    stopping: Callable[[float], Daemon], next_request: bytes
) -> None:
    daemon = stopping(30)
    location = begin_upload(daemon)
    with connect(daemon.port) as client:
        client.send(request("PATCH", location, "Expect: 100-continue", "Content-Length: 3"))
        assert client.answer().status == 100
        daemon.process.terminate()
        wait_until(lambda: not listens(daemon))
        client.send(b"abc", next_request)
        answer = client.answer()
        assert (answer.status, answer.headers["range"], answer.closes) == (202, "0-2", True)
        assert client.rest() == b""
    assert daemon.process.wait(10) == 0


def listens(daemon: Daemon) -> bool:
    try:
        Connection(daemon.port).close()
    except ConnectionRefusedError:
        return False
    return True
