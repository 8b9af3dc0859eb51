"""Interrupted uploads, early answers, connections that are used again, and a restart in the middle."""

from __future__ import annotations

import http.client
from typing import TYPE_CHECKING

from conformance import content, expect
from conformance.case import MUST, SHOULD, Failed, in_group
from conformance.cases.chunks import chunks_for, send_chunk
from conformance.exchange import with_query

if TYPE_CHECKING:
    from conformance.client import Sending
    from conformance.exchange import Reply
    from conformance.target import Target

case = in_group("robustness")
_MIB = 1024 * 1024
_CHUNKS = "Pushing a blob in chunks"


@case("RFC 9112 (section 9.5)", "end-5", SHOULD)
def early_answer_to_large_body(target: Target) -> None:
    """A client that sends 32 MiB to a session that is gone gets its 404, and knows what becomes of the connection."""
    location = target.open_upload().location()
    expect.status(target.close_upload(location, content.digest_of(b"x"), b"x"), 201)
    sending = target.client.begin("PATCH", location, {"Content-Length": str(32 * _MIB)})
    pieces = [bytes(64 * 1024)] * (32 * _MIB // (64 * 1024))
    while pieces and sending.send(pieces[-1]):
        pieces.pop()
    reply = expect.status(sending.reply(keep=True), 404)
    if sending.connection.sock is not None and "close" not in (reply.header("connection") or "").lower():
        _expect_usable(sending, pieces)


def _expect_usable(sending: Sending, rest: list[bytes]) -> None:
    """The connection takes the rest of the body, and another request."""
    try:
        for piece in rest:
            sending.connection.sock.sendall(piece)
        sending.connection.request("GET", "/v2/")
        status = sending.connection.getresponse().status
    except (OSError, http.client.HTTPException) as error:
        raise Failed("a connection that can be used again", f"{type(error).__name__}: {error}") from None
    expect.holds(status in {200, 401}, "an answer on the same connection", status)


@case("Use Cases", "end-6", SHOULD)
def cut_put_is_sent_again(target: Target) -> None:
    """A PUT that broke off leaves no blob; sent again in full it succeeds, in its session or in a new one.

    The session may be gone (404), or have kept what had arrived, so that all of it is too much now (400, 416).
    """
    blob = content.random_blob(_MIB)
    digest = content.digest_of(blob)
    location = target.open_upload().location()
    sending = target.client.begin("PUT", with_query(location, digest=digest), {"Content-Length": str(len(blob))})
    sending.send(blob[: _MIB // 2])
    sending.cut()
    target.no_blob(digest)
    reply = _again_while_busy(target, location, digest, blob)
    if reply.status in {400, 404, 416}:
        reply = target.close_upload(target.open_upload().location(), digest, blob)
    expect.status(reply, 201)
    target.pull_blob(digest, blob)


def _again_while_busy(target: Target, location: str, digest: str, blob: bytes) -> Reply:
    """The registry may take a moment to see that the first client is gone."""
    for _ in range(200):
        reply = target.close_upload(location, digest, blob)
        if reply.status != 409:
            break
    return reply


@case("Use Cases", "end-13", SHOULD)
def cut_chunk_is_continued(target: Target) -> None:
    """After a chunk that broke off the status has the true offset, and the rest completes the blob."""
    blob = content.random_blob(_MIB)
    digest = content.digest_of(blob)
    location = target.open_upload().location()
    sending = target.client.begin("PATCH", location, {"Content-Length": str(_MIB), "Content-Range": f"0-{_MIB - 1}"})
    sending.send(blob[: _MIB // 2])
    sending.cut()
    for _ in range(200):
        status = expect.status(target.client.request("GET", location), 204)
        offset = _offset(status)
        reply = target.patch(status.location(), blob[offset:], offset)
        if reply.status not in {409, 416}:
            break
    expect.status(reply, 202)
    expect.status(target.close_upload(reply.location(), digest), 201)
    target.pull_blob(digest, blob)


def _offset(status: Reply) -> int:
    """How many bytes the registry has. Of none the spec has no Range: it is ``0-0`` (as of one byte), or ``0--1``."""
    value = (status.header("range") or "").removeprefix("bytes=")
    if value in {"0-0", "0--1"}:
        return 0
    first, dash, last = value.partition("-")
    expect.holds(first == "0" and dash and last.isdigit(), "Range: 0-<end>", value)
    return int(last) + 1


@case("RFC 9110 (section 9.3.2)", "end-3", MUST, reads=True)
def head_has_no_body(target: Target) -> None:
    """After the answer to HEAD comes the next answer, not a body."""
    sample = target.sample()
    sending = target.client.begin("HEAD", f"/v2/{sample.repository}/manifests/{sample.digest}")
    _, _, rest = sending.receive_to(b"\r\n\r\n").partition(b"\r\n\r\n")
    sending.send_next(b"GET /v2/ HTTP/1.1\r\nHost: registry\r\n\r\n")
    rest += sending.receive_to(b"\r\n")
    expect.holds(rest.startswith(b"HTTP/1.1 "), "the next answer", rest[:100])
    sending.cut()


@case("RFC 9112 (section 9.3)", "", MUST, reads=True)
def one_connection_for_many_requests(target: Target) -> None:
    """GET, HEAD and refused requests follow each other on one connection, and each gets its own answer."""
    sample = target.sample()
    path = f"/v2/{sample.repository}/manifests"
    requests = [("HEAD", sample.digest, 200), ("GET", sample.digest, 200), ("GET", "unknown", 404)]
    for method, reference, status in requests * 3:
        headers = {"Accept": sample.manifest.media_type}
        reply = expect.status(target.client.request(method, f"{path}/{reference}", headers=headers), status)
        if (method, status) == ("GET", 200):
            expect.body(reply, sample.manifest.body)


@case(_CHUNKS, "end-13", SHOULD, needs_daemon=True)
def restart_in_the_middle_of_an_upload(target: Target) -> None:
    """After a restart the session is where it was, and goes on."""
    opened = target.open_upload()
    first, last = chunks_for(opened, 2)
    send_chunk(target, opened.location(), first, 0)
    target.client.close()
    if target.shared.daemon:
        target.shared.daemon.restart()
    status = expect.status(target.client.request("GET", opened.location()), 204)
    expect.header(status, "Range", f"0-{len(first) - 1}", f"bytes=0-{len(first) - 1}")
    digest = content.digest_of(first + last)
    expect.status(target.close_upload(status.location(), digest, last, len(first)), 201)
    target.pull_blob(digest, first + last)


@case("Pushing Manifests", "end-3", MUST, needs_daemon=True)
def restart_after_a_push(target: Target) -> None:
    """What was pushed before a restart is there after it."""
    image = target.push(content.image(), "kept")
    target.client.close()
    if target.shared.daemon:
        target.shared.daemon.restart()
    target.pull_manifest(image, "kept", image.digest)
    for blob in image.blobs:
        target.pull_blob(content.digest_of(blob), blob)
