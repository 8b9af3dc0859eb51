"""Answers that come before the end of the request's body, ``100 Continue``, and the order of pipelined answers."""

from __future__ import annotations

import os
import shutil
import subprocess
import threading
import time
from pathlib import Path
from typing import TYPE_CHECKING

import pytest

from tests.tools.content import digest_of
from tests.tools.daemon import Daemon, running
from tests.tools.raw import connect, request

if TYPE_CHECKING:
    from collections.abc import Iterator

PROGRAM = Path(__file__).with_name("early_answer.go")
BODY = bytes(60 * 1024 * 1024)
ROUNDS = 100
UNKNOWN = "/v2/a/blobs/uploads/00000000-0000-4000-8000-000000000000"
CONTINUE = "Expect: 100-continue"


@pytest.fixture(scope="module")
def daemon(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Daemon]:
    """One daemon for all tests; it ends long before its drain does, so none of them left a handler behind."""
    with running(tmp_path_factory.mktemp("early") / "data", {"CARGOHOLD_HTTP__DRAIN_SECONDS": "20"}) as daemon:
        yield daemon
        started = time.monotonic()
        assert daemon.stop() == 0
        assert time.monotonic() - started < 10
        assert [entry for entry in daemon.entries() if entry["level"] == "error"] == []


@pytest.fixture
def location(daemon: Daemon) -> str:
    """Of an upload that is open and empty."""
    return daemon.request("POST", "/v2/a/blobs/uploads/")[1]["location"]


def refusals(location: str) -> list[tuple[str, str, str, int]]:
    """Method, target, Content-Range and status of requests with a large body that are refused by their heads."""
    return [
        ("PATCH", location, f"100-{100 + len(BODY) - 1}", 416),
        ("PUT", "/v2/a/manifests/v1", "", 413),
        ("PATCH", UNKNOWN, "", 404),
    ]


def test_go_sees_each_early_answer(daemon: Daemon, location: str) -> None:
    go = shutil.which("go")
    if go is None:
        pytest.skip("Go is not installed; the test on a bare socket stands alone")
    specs = [",".join(map(str, refusal)) for refusal in refusals(location)]
    environment = {**os.environ, "GO111MODULE": "off", "GOTOOLCHAIN": "local", "GOPROXY": "off", "GOFLAGS": ""}
    command = [go, "run", str(PROGRAM), f"http://{daemon.host}", str(ROUNDS), *specs]
    done = subprocess.run(command, env=environment, capture_output=True, text=True, timeout=300, check=False)
    assert done.returncode == 0, done.stdout + done.stderr


def test_a_client_that_sends_and_reads_at_once_sees_each_early_answer(daemon: Daemon, location: str) -> None:
    """As Go's client does, so that this is shown without Go too."""
    for method, target, content_range, status in refusals(location) * 10:
        headers = [f"Content-Range: {content_range}"] if content_range else []
        with connect(daemon.port) as client:
            sender = threading.Thread(
                target=client.send_what_is_taken, args=(request(method, target, *headers, body=BODY),)
            )
            sender.start()
            answer = client.answer()
            assert (answer.status, answer.closes) == (status, True)
            client.abandon()
            sender.join()
        assert daemon.request("GET", "/v2/")[0] == 200


def test_a_client_that_sends_everything_first_sees_an_early_answer(daemon: Daemon) -> None:
    with connect(daemon.port) as client:
        client.send_what_is_taken(request("PATCH", UNKNOWN, body=BODY))
        assert client.answer().status == 404
        assert client.rest() == b""


@pytest.mark.parametrize("chunks", [1, 20, 5000])
def test_an_early_answer_to_many_small_chunks(daemon: Daemon, chunks: int) -> None:
    """More pieces than any queue between reader and handler holds: the connection ends all the same."""
    with connect(daemon.port) as client:
        client.send(request("PATCH", UNKNOWN, chunks=[b"a"] * chunks))
        answer = client.answer()
        assert answer.status == 404
        client.end()
        assert client.rest() == b""


@pytest.mark.parametrize("chunks", [0, 9, 10, 11, 1000])
def test_an_early_answer_to_a_body_that_breaks(daemon: Daemon, chunks: int) -> None:
    with connect(daemon.port) as client:
        client.send(request("PATCH", UNKNOWN, "Transfer-Encoding: chunked"), b"1\r\na\r\n" * chunks, b"ZZ\r\n")
        assert client.answer().status in {400, 404}
        client.end()
        assert client.rest() == b""


def test_a_reset_after_an_early_answer(daemon: Daemon) -> None:
    for _ in range(20):
        with connect(daemon.port) as client:
            client.send(request("PATCH", UNKNOWN, "Content-Length: 1000000"), b"a" * 100000)
            assert client.answer().status == 404
            client.reset()


def test_what_follows_an_early_answer_is_not_answered(daemon: Daemon) -> None:
    with connect(daemon.port) as client:
        client.send(request("PATCH", UNKNOWN, "Content-Length: 100"))
        assert client.answer().closes
        client.send(b"a" * 100, request("GET", "/v2/"))
        client.end()
        assert client.rest() == b""


def test_a_refusal_sends_no_continue(daemon: Daemon, location: str) -> None:
    for method, target, content_range, status in refusals(location):
        headers = [f"Content-Range: {content_range}"] if content_range else []
        with connect(daemon.port) as client:
            client.send(request(method, target, CONTINUE, *headers, f"Content-Length: {len(BODY)}"))
            answer = client.answer()
            assert (answer.status, answer.closes) == (status, True)
            client.end()
            assert client.rest() == b""


@pytest.mark.parametrize("accepted", [1, 2])
@pytest.mark.parametrize("chunked", [False, True])
def test_an_upload_that_is_accepted_sends_continue_once(
    daemon: Daemon, location: str, chunked: bool, accepted: int
) -> None:
    """Again for each request of a connection, and not for a refused one after an accepted one."""
    framing = "Transfer-Encoding: chunked" if chunked else "Content-Length: 6"
    pieces = (b"3\r\nabc\r\n", b"3\r\ndef\r\n0\r\n\r\n") if chunked else (b"abc", b"def")
    with connect(daemon.port) as client:
        for end in (5, 11)[:accepted]:
            client.send(request("PATCH", location, CONTINUE, framing))
            assert client.answer().status == 100
            for piece in pieces:
                client.send(piece)
            answer = client.answer()
            assert (answer.status, answer.headers["range"], answer.closes) == (202, f"0-{end}", False)
        client.send(request("PATCH", UNKNOWN, CONTINUE, framing))
        answer = client.answer()
        assert (answer.status, answer.closes) == (404, True)
        client.end()
        assert client.rest() == b""


def test_a_body_that_does_not_wait_gets_its_answer(daemon: Daemon, location: str) -> None:
    with connect(daemon.port) as client:
        client.send(request("PATCH", location, CONTINUE, body=b"abc") + request("GET", "/v2/"))
        first = client.answer()
        assert (first if first.status != 100 else client.answer()).status == 202
        assert client.answer().status == 200


def test_pipelined_requests_are_answered_in_order(daemon: Daemon) -> None:
    blobs = [b"%d" % number * 1000 for number in range(30)]
    pushes = [request("POST", f"/v2/a/blobs/uploads/?digest={digest_of(blob)}", body=blob) for blob in blobs]
    heads = [request("HEAD", f"/v2/a/blobs/{digest_of(blob)}") for blob in blobs]
    gets = [request("GET", f"/v2/a/blobs/{digest_of(blob)}") for blob in blobs]
    with connect(daemon.port) as client:
        client.send(*pushes, *(each for pair in zip(heads, gets, strict=True) for each in pair))
        for blob in blobs:
            answer = client.answer()
            assert (answer.status, answer.headers["docker-content-digest"]) == (201, digest_of(blob))
        for blob in blobs:
            assert client.answer("HEAD").headers["docker-content-digest"] == digest_of(blob)
            assert client.answer().body == blob
        client.end()
        assert client.rest() == b""
