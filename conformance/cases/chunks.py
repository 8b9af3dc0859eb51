"""Pushing a blob in chunks, asking how far it has come, and cancelling."""

from __future__ import annotations

from typing import TYPE_CHECKING

from conformance import content, expect
from conformance.case import MUST, SHOULD, in_group
from conformance.target import OCTETS

if TYPE_CHECKING:
    from conformance.exchange import Reply
    from conformance.target import Target

case = in_group("chunks")
_cancel_case = in_group("cancel")
_SECTION = "Pushing a blob in chunks"
_CHUNK_BYTES = 1000


def chunks_for(opened: Reply, count: int) -> list[bytes]:
    """Random chunks as large as the registry asks for; the last one is smaller."""
    minimum = opened.header("oci-chunk-min-length")
    expect.holds(minimum is None or minimum.isdigit(), "OCI-Chunk-Min-Length in bytes", minimum)
    size = max(_CHUNK_BYTES, int(minimum or 0))
    return [content.random_blob(size) for _ in range(count - 1)] + [content.random_blob(size // 2)]


def send_chunk(target: Target, location: str, chunk: bytes, start: int) -> str:
    """Send a chunk that has to be accepted; the next location."""
    return _accepted(target.patch(location, chunk, start), start + len(chunk))


def _accepted(reply: Reply, end: int) -> str:
    expect.header(expect.status(reply, 202), "Range", f"0-{end - 1}", f"bytes=0-{end - 1}")
    return reply.location()


def _finish(target: Target, location: str, blob: bytes, chunk: bytes = b"", start: int | None = None) -> None:
    digest = content.digest_of(blob)
    reply = expect.status(target.close_upload(location, digest, chunk, start), 201)
    expect.body(expect.status(target.client.request("GET", reply.location()), 200), blob)
    target.pull_blob(digest, blob)


@case(_SECTION, "end-5", MUST)
def single_chunk(target: Target) -> None:
    """One chunk: its answer has the next Location, and in Range the last byte that arrived."""
    opened = target.open_upload()
    (chunk,) = chunks_for(opened, 1)
    _finish(target, send_chunk(target, opened.location(), chunk, 0), chunk)


@case(_SECTION, "end-5", MUST)
def several_chunks(target: Target) -> None:
    """Chunks in order make the blob."""
    opened = target.open_upload()
    location, sent = opened.location(), b""
    for chunk in chunks_for(opened, 3):
        location = send_chunk(target, location, chunk, len(sent))
        sent += chunk
    _finish(target, location, sent)


@case(_SECTION, "end-6", MUST)
def last_chunk_in_put(target: Target) -> None:
    """The last chunk may come with the PUT."""
    opened = target.open_upload()
    first, last = chunks_for(opened, 2)
    location = send_chunk(target, opened.location(), first, 0)
    _finish(target, location, first + last, last, len(first))


@case(_SECTION, "end-5", SHOULD)
def chunk_without_content_range(target: Target) -> None:
    """A PATCH without Content-Range appends, as docker pushes a layer."""
    opened = target.open_upload()
    (chunk,) = chunks_for(opened, 1)
    location = _accepted(target.patch(opened.location(), chunk, None), len(chunk))
    _finish(target, location, chunk)


@case("RFC 9112 (section 7.1)", "end-5", SHOULD)
def chunk_in_chunked_encoding(target: Target) -> None:
    """A PATCH in the chunked encoding, without a length."""
    pieces = chunks_for(opened := target.open_upload(), 3)
    reply = target.client.request("PATCH", opened.location(), iter(pieces), {"Content-Type": OCTETS})
    blob = b"".join(pieces)
    _finish(target, _accepted(reply, len(blob)), blob)


@case(_SECTION, "end-5", MUST)
def chunk_out_of_order(target: Target) -> None:
    """A chunk that leaves a gap is answered with 416."""
    opened = target.open_upload()
    first, second = chunks_for(opened, 2)
    location = send_chunk(target, opened.location(), first, 0)
    expect.status(target.patch(location, second, len(first) + 1), 416)


@case(_SECTION, "end-5", MUST)
def first_chunk_not_at_zero(target: Target) -> None:
    """A first chunk that does not begin at 0 is answered with 416."""
    opened = target.open_upload()
    (chunk,) = chunks_for(opened, 1)
    expect.status(target.patch(opened.location(), chunk, len(chunk)), 416)


@case(_SECTION, "end-5", MUST)
def chunk_repeated(target: Target) -> None:
    """A chunk that was accepted before is answered with 416."""
    opened = target.open_upload()
    first, _ = chunks_for(opened, 2)
    location = send_chunk(target, opened.location(), first, 0)
    expect.status(target.patch(location, first, 0), 416)


@case(_SECTION, "end-6", MUST)
def last_chunk_out_of_order(target: Target) -> None:
    """A last chunk out of order, in the PUT, is answered with 416."""
    opened = target.open_upload()
    first, last = chunks_for(opened, 2)
    location = send_chunk(target, opened.location(), first, 0)
    digest = content.digest_of(first + last)
    expect.status(target.close_upload(location, digest, last, len(first) + 1), 416)
    target.no_blob(digest)


@case(_SECTION, "end-13", MUST)
def true_offset_after_416(target: Target) -> None:
    """After a 416 the status has the true offset, and the upload goes on from there."""
    opened = target.open_upload()
    first, second = chunks_for(opened, 2)
    location = send_chunk(target, opened.location(), first, 0)
    expect.status(target.patch(location, second, len(first) + 5), 416)
    status = expect.status(target.client.request("GET", location), 204)
    expect.header(status, "Range", f"0-{len(first) - 1}", f"bytes=0-{len(first) - 1}")
    location = send_chunk(target, status.location(), second, len(first))
    _finish(target, location, first + second)


@case(_SECTION, "end-13", MUST)
def upload_status(target: Target) -> None:
    """GET of an upload: 204, the location, and in Range the last byte that arrived."""
    opened = target.open_upload()
    expect.status(target.client.request("GET", opened.location()), 204).location()
    first, last = chunks_for(opened, 2)
    location = send_chunk(target, opened.location(), first, 0)
    status = expect.status(target.client.request("GET", location), 204)
    expect.header(status, "Range", f"0-{len(first) - 1}", f"bytes=0-{len(first) - 1}")
    _finish(target, status.location(), first + last, last, len(first))


@case(_SECTION, "end-5", MUST)
def unknown_upload(target: Target) -> None:
    """GET, PATCH and PUT of a session that was closed are answered with 404."""
    blob = content.random_blob()
    location = target.open_upload().location()
    expect.status(target.close_upload(location, content.digest_of(blob), blob), 201)
    expect.status(target.client.request("GET", location), 404)
    expect.status(target.patch(location, blob, 0), 404)
    expect.status(target.close_upload(location, content.digest_of(blob), blob), 404)


@case(_SECTION, "end-5", SHOULD)
def content_range_with_bad_syntax(target: Target) -> None:
    """A Content-Range that is not <first>-<last> is refused, and nothing of the chunk counts."""
    location = target.open_upload().location()
    for value in ("a-b", "5-2", "0-"):
        reply = target.client.request("PATCH", location, b"content", {"Content-Range": value})
        expect.status(reply, 400, 416)
    _finish(target, send_chunk(target, location, b"right", 0), b"right")


@case(_SECTION, "end-5", SHOULD)
def content_range_contradicts_length(target: Target) -> None:
    """A Content-Range of another length than the body is refused."""
    location = target.open_upload().location()
    reply = target.client.request("PATCH", location, b"content", {"Content-Range": "0-99"})
    expect.refused(reply)


@_cancel_case("Cancel a blob upload", "end-14", SHOULD)
def cancel_upload(target: Target) -> None:
    """DELETE of an upload is answered with 204, and the session is gone."""
    blob = content.random_blob()
    opened = target.open_upload()
    location = send_chunk(target, opened.location(), chunks_for(opened, 1)[0], 0)
    expect.status(target.client.request("DELETE", location), 204)
    expect.status(target.client.request("GET", location), 404)
    expect.status(target.close_upload(location, content.digest_of(blob), blob), 404)


@_cancel_case("Cancel a blob upload", "end-14", SHOULD)
def cancel_unknown_upload(target: Target) -> None:
    """DELETE of a session that is gone is answered with 404 or 400."""
    location = target.open_upload().location()
    expect.status(target.client.request("DELETE", location), 204)
    expect.status(target.client.request("DELETE", location), 400, 404)
