"""No bytes on a connection make the daemon see another request than a strict reader of RFC 9112 does.

Each sequence is followed by the request of an honest client. What reached a handler is read from the log of requests,
and an answer belongs to the request that was logged under its id.
"""

from __future__ import annotations

import json
import socket
from contextlib import suppress
from typing import TYPE_CHECKING

import pytest

from tests.http.odd_heads import HEADS
from tests.http.smuggling import BODIES, KEPT, UPLOADS, End, Sequence
from tests.tools.content import CONFIG, digest_of, image, to_json
from tests.tools.daemon import Daemon, running
from tests.tools.raw import Answer, connect, request

if TYPE_CHECKING:
    from collections.abc import Iterator

Request = tuple[str, str, int]
"""Method, path, status."""

SEQUENCES = [*BODIES, *HEADS]
HONEST = "/v2/honest/tags/list"
HONESTLY_SEEN = ("GET", HONEST, 404)
BROKEN = ("POST", UPLOADS, 400)
IMAGE_TYPE = "Content-Type: application/vnd.oci.image.manifest.v1+json"
INJECTED = "X-Injected:%201"
LINE_BREAKS = ("%0d%0a", "%0D%0A", "%0a", "%0d", "%250d%250a", "%E5%98%8D%E5%98%8A", "%E2%80%A8", "%C2%85", "%00%0d%0a")


@pytest.fixture(scope="module")
def process(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Daemon]:
    """One daemon for all sequences; none of them makes it log an error."""
    with running(tmp_path_factory.mktemp("smuggling") / "data") as process:
        assert ask(process, "POST", f"{UPLOADS}?digest={digest_of(CONFIG)}", body=CONFIG).status == 201
        assert ask(process, "PUT", KEPT, IMAGE_TYPE, body=image()).status == 201
        yield process
        assert process.stop() == 0
        assert [entry for entry in process.entries() if entry["level"] == "error"] == []


@pytest.fixture
def daemon(process: Daemon) -> Iterator[Daemon]:
    """The daemon; after the test the tag has to stand that was to be deleted."""
    yield process
    answer = ask(process, "GET", KEPT)
    assert (answer.status, answer.headers["docker-content-digest"]) == (200, digest_of(image()))


def ask(daemon: Daemon, method: str, target: str, *headers: str, body: bytes | None = None) -> Answer:
    """One request. The log has it when the connection has ended."""
    with connect(daemon.port) as client:
        client.send(request(method, target, "Connection: close", *headers, body=body))
        answer = client.answer(method)
        assert client.ended()
    return answer


def exchange(daemon: Daemon, sequence: Sequence, piece_bytes: int) -> list[Answer]:
    """Send the sequence and an honest request, then end; all final answers until the daemon closes the connection."""
    data = sequence.data + request("GET", HONEST)
    methods = [method for method, _, _ in sequence.seen]
    answers: list[Answer] = []
    with connect(daemon.port) as client:
        client.socket.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
        for start in range(0, len(data), piece_bytes):
            client.send_what_is_taken(data[start : start + piece_bytes])
        with suppress(OSError):  # the daemon may have closed the connection already
            client.end()
        while not client.ended():
            answer = client.answer(methods[len(answers)] if len(answers) < len(methods) else "GET")
            answers += [answer] if answer.status >= 200 else []
    return answers


def requests_since(daemon: Daemon, log_bytes: int) -> dict[str, Request]:
    """The requests that a handler answered since the log had so many bytes, by their ids."""
    with daemon.log.open("rb") as log:
        log.seek(log_bytes)
        entries = [entry for entry in map(json.loads, log) if entry["event"] == "request"]
    return {entry["request_id"]: (entry["method"], entry["path"], entry["status"]) for entry in entries}


@pytest.mark.parametrize("piece_bytes", [65536, 1], ids=["at_once", "byte_by_byte"])
@pytest.mark.parametrize("sequence", SEQUENCES, ids=lambda sequence: sequence.name)
def test_every_reader_sees_the_same_requests(daemon: Daemon, sequence: Sequence, piece_bytes: int) -> None:
    log_bytes = daemon.log.stat().st_size
    answers = exchange(daemon, sequence, piece_bytes)
    logged = requests_since(daemon, log_bytes)
    answered = [logged.get(answer.headers.get("x-request-id", "")) for answer in answers]
    handled = list(logged.values())
    closing = [answer.closes for answer in answers]
    expected = list(sequence.seen)
    if sequence.end is End.GOES_ON or (sequence.end is End.MAY_CLOSE and not closing[-1]):
        assert answered == handled == [*expected, HONESTLY_SEEN]
        assert not any(closing)
        return
    assert closing == [*(False for _ in answers[1:]), True]
    if sequence.end in {End.CLOSES, End.MAY_CLOSE}:
        assert answered == handled == expected
        return
    assert 400 <= answers[-1].status < 600
    if sequence.end is End.REFUSED:
        assert (answered, handled) == ([*expected, None], expected)
    else:
        assert answered in ([*expected, None], [*expected, BROKEN])  # of the server, or of the handler
        assert handled == [*expected, BROKEN]


def test_the_sequences_are_many_and_different() -> None:
    assert len({sequence.name for sequence in SEQUENCES}) == len({sequence.data for sequence in SEQUENCES}) >= 300


def targets(text: str) -> list[tuple[str, str]]:
    """Each place of a path or query that an answer could repeat, with the text in it."""
    digest = digest_of(CONFIG)
    return [
        ("GET", f"/{text}"),
        ("GET", f"/v2/{text}"),
        ("GET", f"/v2/a{text}/tags/list"),
        ("GET", f"/v2/a/tags/list?n=1{text}"),
        ("GET", f"/v2/a/tags/list?n=0&last={text}"),
        ("GET", f"/v2/_catalog?n=1&last={text}"),
        ("GET", f"/v2/a/referrers/{digest}?artifactType=x/y{text}"),
        ("GET", f"/v2/a/referrers/{digest}?n=1&last={text}"),
        ("GET", f"/v2/a/referrers/{digest}{text}"),
        ("GET", f"/v2/a/manifests/keep{text}"),
        ("HEAD", f"/v2/a/manifests/keep{text}"),
        ("DELETE", f"/v2/a/manifests/keep{text}"),
        ("PUT", f"/v2/a/manifests/other{text}"),
        ("PUT", f"/v2/a{text}/manifests/other"),
        ("PUT", f"/v2/a/manifests/{digest_of(image())}?tag=other{text}"),
        ("GET", f"/v2/a/blobs/{digest}{text}"),
        ("POST", f"/v2/a{text}/blobs/uploads/"),
        ("POST", f"/v2/a/blobs/uploads/?digest={digest}{text}"),
        ("POST", f"/v2/a/blobs/uploads/?mount={digest}{text}&from=a"),
        ("POST", f"/v2/a/blobs/uploads/?mount={digest}&from=a{text}"),
        ("POST", f"/v2/a/blobs/uploads/?digest-algorithm=sha256{text}"),
        ("PATCH", f"/v2/a/blobs/uploads/{text}"),
        ("PUT", f"/v2/a/blobs/uploads/x{text}?digest={digest}{text}"),
    ]


@pytest.mark.parametrize("line_break", LINE_BREAKS)
def test_an_encoded_line_break_is_none_in_an_answer(daemon: Daemon, line_break: str) -> None:
    for method, target in targets(line_break + INJECTED):
        with connect(daemon.port) as client:
            body = image() if method == "PUT" else b""
            client.send(request(method, target, IMAGE_TYPE, body=body))
            client.end()
            answer = client.rest().lower()
        assert answer.startswith((b"http/1.1 2", b"http/1.1 4")), target
        assert answer.count(b"http/1.1") == 1, target
        assert b"\rx-injected" not in answer, target
        assert b"\nx-injected" not in answer, target


@pytest.mark.parametrize("field", ["mediaType", "artifactType"])
def test_a_line_break_in_a_manifest_is_none_in_an_answer(daemon: Daemon, field: str) -> None:
    """What is pushed becomes the Content-Type of a pull."""
    manifest = to_json({"schemaVersion": 2, "mediaType": "application/x", field: "application/x\r\nX-Injected: 1"})
    answer = ask(daemon, "PUT", "/v2/a/manifests/injected", "Content-Type: application/x", body=manifest)
    assert (answer.status, b"MANIFEST_INVALID" in answer.body) == (400, True)
    assert ask(daemon, "GET", "/v2/a/manifests/injected").status == 404
