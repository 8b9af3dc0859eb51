"""What a client sends harms its own connection and nothing else (law 6), shown on the daemon as a process."""

from __future__ import annotations

import time
from contextlib import suppress
from pathlib import Path
from typing import TYPE_CHECKING

import pytest

from tests.tools.content import digest_of
from tests.tools.daemon import Daemon, running
from tests.tools.raw import connect, request

if TYPE_CHECKING:
    from collections.abc import Iterator

BLOB = bytes(16 * 1024 * 1024)
BLOB_TARGET = f"/v2/a/blobs/{digest_of(BLOB)}"
CHECK = request("GET", "/v2/")
HEAD_LIMIT_BYTES = 64 * 1024
H2_FRAMES = bytes.fromhex(
    "000000040000000000"  # SETTINGS
    "0000050105000000018284418167"  # HEADERS
    "00000400010000000168656c6c"  # DATA on a stream that has ended
    "000004080000000000ffffffff"  # WINDOW_UPDATE that overflows
)
PREFACE = b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n"
WEBSOCKET = (
    "Connection: Upgrade",
    "Upgrade: websocket",
    "Sec-WebSocket-Version: 13",
    "Sec-WebSocket-Key: dGhlIHNhbXBsZSBub25jZQ==",
)


@pytest.fixture(scope="module")
def process(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Daemon]:
    """One daemon for all tests; it ends long before its drain does, so none of them left a handler behind."""
    settings = {"CARGOHOLD_HTTP__DRAIN_SECONDS": "20"}
    with running(tmp_path_factory.mktemp("guard") / "data", settings) as process:
        assert process.request("POST", f"/v2/a/blobs/uploads/?digest={digest_of(BLOB)}", BLOB)[0] == 201
        yield process
        started = time.monotonic()
        assert process.stop() == 0
        assert time.monotonic() - started < 10
        assert [entry for entry in process.entries() if entry["level"] == "error"] == []


@pytest.fixture
def daemon(process: Daemon) -> Iterator[Daemon]:
    """The daemon; after the test it has to live and answer, to hold no connection, and to have logged no error."""
    seen, before = len(process.entries()), sockets(process)
    yield process
    deadline = time.monotonic() + 10
    while sockets(process) > before:
        assert time.monotonic() < deadline
        time.sleep(0.01)
    assert process.request("GET", "/v2/")[0] == 200
    assert process.process.poll() is None
    assert [entry for entry in process.entries()[seen:] if entry["level"] == "error"] == []


def sockets(daemon: Daemon) -> int:
    """How many sockets the daemon has open."""
    count = 0
    for descriptor in Path(f"/proc/{daemon.process.pid}/fd").iterdir():
        with suppress(FileNotFoundError):
            count += str(descriptor.readlink()).startswith("socket:")
    return count


def statuses(daemon: Daemon, data: bytes) -> list[int]:
    """Send the bytes and no more; the statuses of all answers until the daemon closes the connection."""
    answers = []
    with connect(daemon.port) as client:
        client.send_what_is_taken(data)
        client.end()
        while not client.ended():
            answers.append(client.answer().status)
    return answers


@pytest.mark.parametrize(
    "settings",
    [
        pytest.param("!!!", id="bad base64"),
        pytest.param("AAAA", id="half a setting"),
        pytest.param("AAIAAAAF", id="a value that is not allowed"),
        pytest.param("AAMAAABkAARAAAAAAAIAAAAA", id="good"),
        pytest.param("", id="empty"),
    ],
)
def test_h2c_is_answered_as_plain_http(daemon: Daemon, settings: str) -> None:
    headers = ("Connection: Upgrade, HTTP2-Settings", "Upgrade: h2c", f"HTTP2-Settings: {settings}")
    assert statuses(daemon, request("GET", "/v2/", *headers) + CHECK) == [200, 200]


def test_h2c_without_settings_and_with_frames_behind_it(daemon: Daemon) -> None:
    upgrade = request("GET", "/v2/", "Connection: Upgrade", "Upgrade: h2c")
    assert statuses(daemon, upgrade + PREFACE + H2_FRAMES) == [200, 505]


def test_a_websocket_is_answered_as_plain_http(daemon: Daemon) -> None:
    assert statuses(daemon, request("GET", "/v2/", *WEBSOCKET) + CHECK) == [200, 200]
    assert statuses(daemon, request("GET", "/v2/", *WEBSOCKET, body=b"hello"))[0] == 200
    assert statuses(daemon, request("GET", "/v2/", *WEBSOCKET, chunks=[b"hello"]))[0] == 200


def test_a_websocket_with_frames_behind_it(daemon: Daemon) -> None:
    frame = b"\x81\x85\x00\x00\x00\x00hello"
    assert statuses(daemon, request("GET", "/v2/", *WEBSOCKET) + frame * 3 + b"\r\n\r\n") == [200, 400]


@pytest.mark.parametrize("rest", [b"", H2_FRAMES, H2_FRAMES * 1000, b"\xff" * 1000])
def test_the_preface_of_http_2_is_refused(daemon: Daemon, rest: bytes) -> None:
    assert statuses(daemon, PREFACE + rest) == [505]


@pytest.mark.parametrize(
    ("head", "status"),
    [
        (b"CONNECT registry:443 HTTP/1.1\r\nHost: registry:443", 400),
        (b"CONNECT  HTTP/1.1\r\nHost: registry:443", 400),
        (b"CONNECT HTTP/1.1\r\nHost: registry:443", 400),
        (b"CONNECT /v2/ HTTP/1.1\r\nHost: registry", 405),
        (b"G\xc3\x89T /v2/ HTTP/1.1\r\nHost: registry", 400),
        (b"GET /v2/\xc3\xa9/tags/list HTTP/1.1\r\nHost: registry", 400),
        (b"GET /v2/%c3%a9/tags/list HTTP/1.1\r\nHost: registry", 400),
        (b"GET /v2/%00/tags/list HTTP/1.1\r\nHost: registry", 400),
        (b"GET /v2/ HTTP/1.1\r\nHost: registry\r\n\xc3\xa9: x", 400),
        (b"GET /v2/ HTTP/1.1\r\nHost: registry\r\nX-Name: \xc3\xa9\xff", 200),
        (b"GET /v2/ HTTP/1.1\r\nHost: registry\r\nX-Name: a\x00b", 400),
        (b"GET /v2/ HTTP/1.1\r\nHost: \xff\xfe", 400),
        (b"GET /v2/ HTTP/1.1\r\nHost: [::1", 400),
        (b"GET /v2/ HTTP/1.1\r\nHost: a b/c?d", 400),
        (b"GET /v2/ HTTP/1.1\r\nHost: ..a", 200),
        (b"GET /v2/ HTTP/1.1\r\nHost: " + b"a" * 64, 200),
        (b"GET /v2/ HTTP/1.1", 400),
        (b"GET /v2/ HTTP/1.1\r\nHost: a\r\nHost: b", 400),
        (b"GET /v2/ HTTP/1.0", 200),
        (b"GET /v2/ HTTP/1.2\r\nHost: registry", 505),
        (b"GET /v2/ HTTP/3.0\r\nHost: registry", 505),
        (b"GET /v2/", 400),
        (b"GET /v2/ HTTP/0.9", 505),
        (b"hEAD /v2/ HTTP/1.1\r\nHost: registry", 501),
        (b"get /v2/ HTTP/1.1\r\nHost: registry", 501),
        (b"", 400),
        (b"\x16\x03\x01\x02\x00\x01\x00\x01\xfc\x03\x03", 400),
    ],
)
def test_a_head_that_is_odd(daemon: Daemon, head: bytes, status: int) -> None:
    assert statuses(daemon, head + b"\r\n\r\n") == [status]


@pytest.mark.parametrize(
    ("target", "status"),
    [
        ("http://registry/v2/", 200),
        ("https://registry:5000/v2/?x", 200),
        ("http://user@elsewhere/v2/", 400),
        ("http://registry", 404),
        ("http://registry?x", 404),
        ("http://[/v2/", 400),
        ("http://[x]/v2/", 400),
        ("http://registry:port/v2/", 400),
        ("ftp://registry/v2/", 400),
        ("?x", 400),
        ("*", 400),
        ("", 400),
        ("v2/", 400),
        ("//registry/v2/", 404),
    ],
)
def test_a_target_of_any_form(daemon: Daemon, target: str, status: int) -> None:
    assert statuses(daemon, request("GET", target)) == [status]


@pytest.mark.parametrize(
    ("headers", "status"),
    [
        (b"Content-Length: 3\r\nTransfer-Encoding: chunked", 400),
        (b"Transfer-Encoding: chunked\r\nContent-Length: 3", 400),
        (b"Content-Length: 3\r\nContent-Length: 4", 400),
        (b"Content-Length: 3, 4", 400),
        (b"Content-Length: +3", 400),
        (b"Content-Length: -1", 400),
        (b"Content-Length: 0x3", 400),
        (b"Content-Length:", 400),
        (b"Content-Length : 3", 400),
        (b"Content-Length: " + b"9" * 5000, 400),
        (b"Transfer-Encoding: gzip", 501),
        (b"Transfer-Encoding: gzip, chunked", 501),
        (b"Transfer-Encoding: chunked\r\nTransfer-Encoding: chunked", 501),
        (b"Transfer-Encoding: xchunked", 501),
    ],
)
def test_a_body_whose_end_is_in_doubt(daemon: Daemon, headers: bytes, status: int) -> None:
    """RFC 9112, section 6: what follows may be read as a second request by somebody else, so nothing is."""
    head = b"POST /v2/a/blobs/uploads/ HTTP/1.1\r\nHost: registry\r\n" + headers + b"\r\n\r\n"
    assert statuses(daemon, head + b"3\r\nabc\r\n0\r\n\r\n" + CHECK) == [status]


def test_transfer_encoding_in_http_1_0(daemon: Daemon) -> None:
    head = b"POST /v2/a/blobs/uploads/ HTTP/1.0\r\nTransfer-Encoding: chunked\r\n\r\n"
    assert statuses(daemon, head + b"0\r\n\r\n") == [400]


@pytest.mark.parametrize(
    "data",
    [
        b"GET /" + b"a" * 2 * HEAD_LIMIT_BYTES,
        b"GET /v2/ HTTP/1.1\r\nHost: registry\r\nX-Long: " + b"a" * 2 * HEAD_LIMIT_BYTES,
        b"GET /v2/ HTTP/1.1\r\nHost: registry\r\n" + b"X-Name: a\r\n" * HEAD_LIMIT_BYTES,
        b"a" * 16 * HEAD_LIMIT_BYTES,
    ],
    ids=["target", "header", "headers", "no line"],
)
def test_a_head_beyond_the_limit(daemon: Daemon, data: bytes) -> None:
    assert statuses(daemon, data) == [431]


@pytest.mark.parametrize(
    "body",
    [b"ZZ\r\n", b"-1\r\n", b"3\r\nabcd\r\n", b"3;" + b"x" * 2 * HEAD_LIMIT_BYTES, b"f" * 21 + b"\r\n", b"\x00\r\n"],
    ids=["no number", "negative", "longer", "extension", "huge", "zero"],
)
def test_a_broken_chunk_ends_its_request(daemon: Daemon, body: bytes) -> None:
    location = daemon.request("POST", "/v2/a/blobs/uploads/")[1]["location"]
    with connect(daemon.port) as client:
        client.send(request("PATCH", location, "Transfer-Encoding: chunked"), body)
        assert client.answer().status in {400, 431}
        assert client.rest() == b""
    status, _, body = daemon.request("PATCH", location, b"abc")
    assert status == 202, body


def test_a_client_that_ends_its_side_gets_its_answers(daemon: Daemon) -> None:
    push = request("POST", f"/v2/a/blobs/uploads/?digest={digest_of(b'abc')}", body=b"abc")
    assert statuses(daemon, push) == [201]
    assert statuses(daemon, push + CHECK + request("GET", BLOB_TARGET) + CHECK) == [201, 200, 200, 200]


def test_a_client_that_ends_its_side_in_a_body(daemon: Daemon) -> None:
    """What has arrived is kept (law 5), and the upload can go on."""
    location = daemon.request("POST", "/v2/a/blobs/uploads/")[1]["location"]
    with connect(daemon.port) as client:
        client.send(request("PATCH", location, "Content-Length: 100"), b"abc")
        client.end()
        client.rest()
    assert daemon.request("GET", location)[1]["range"] == "0-2"
    assert daemon.request("PATCH", location, b"def", {"Content-Range": "3-5"})[1]["range"] == "0-5"


def test_a_client_that_resets_before_an_answer(daemon: Daemon) -> None:
    for _ in range(20):
        with connect(daemon.port) as client:
            client.send(CHECK)
            assert client.answer().status == 200
            client.send(request("POST", f"/v2/a/blobs/uploads/?digest={digest_of(b'abc')}", body=b"abc"))
            client.reset()


def test_a_client_that_resets_in_an_answer(daemon: Daemon) -> None:
    for _ in range(20):
        with connect(daemon.port) as client:
            client.send(request("GET", BLOB_TARGET) * 3)
            assert client.socket.recv(100)
            client.reset()


@pytest.mark.parametrize("body", [b"a" * 1000, b"1\r\na\r\n" * 1000], ids=["length", "chunked"])
def test_a_client_that_resets_in_a_body(daemon: Daemon, body: bytes) -> None:
    location = daemon.request("POST", "/v2/a/blobs/uploads/")[1]["location"]
    framing = "Transfer-Encoding: chunked" if body.startswith(b"1") else "Content-Length: 100000"
    for _ in range(20):
        with connect(daemon.port) as client:
            client.send(request("PATCH", location, framing), body)
            client.reset()
    while (status := daemon.request("PATCH", location, b"abc")[0]) == 409:
        assert daemon.process.poll() is None
    assert status == 202
