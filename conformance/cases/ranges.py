"""Range requests: how a pull goes on where it was interrupted."""

from __future__ import annotations

from typing import TYPE_CHECKING

from conformance import expect
from conformance.case import MUST, SHOULD, in_group
from conformance.cases.pull import blob

if TYPE_CHECKING:
    from conformance.target import Target

case = in_group("ranges")
_SECTION = "Pulling blobs"


def _expect_part(target: Target, header: str, start: int, stop: int) -> None:
    """``start`` up to, not including, ``stop``."""
    whole = target.sample().blob
    reply = expect.status(blob(target, "GET", Range=header), 206)
    span = f"bytes {start}-{stop - 1}"
    expect.header(reply, "Content-Range", f"{span}/{len(whole)}", f"{span}/*")
    expect.header(reply, "Content-Length", str(stop - start))
    expect.body(reply, whole[start:stop])


@case(_SECTION, "end-2", SHOULD, reads=True)
def range_in_the_middle(target: Target) -> None:
    """A range with both ends."""
    size = len(target.sample().blob)
    _expect_part(target, f"bytes={size // 4}-{size // 2}", size // 4, size // 2 + 1)


@case(_SECTION, "end-2", SHOULD, reads=True)
def range_to_the_end(target: Target) -> None:
    """A range without an end."""
    size = len(target.sample().blob)
    _expect_part(target, f"bytes={size // 4}-", size // 4, size)


@case(_SECTION, "end-2", SHOULD, reads=True)
def range_of_the_last_bytes(target: Target) -> None:
    """A range without a start counts from the end."""
    size = len(target.sample().blob)
    _expect_part(target, f"bytes=-{size // 4}", size - size // 4, size)


@case(_SECTION, "end-2", SHOULD, reads=True)
def range_past_the_end(target: Target) -> None:
    """A range that ends after the blob is cut to it."""
    size = len(target.sample().blob)
    _expect_part(target, f"bytes={size // 2}-{size * 3}", size // 2, size)


@case(_SECTION, "end-2", SHOULD, reads=True)
def range_outside(target: Target) -> None:
    """A range after the end is answered with 416 and the size of the blob."""
    size = len(target.sample().blob)
    reply = expect.status(blob(target, "GET", Range=f"bytes={size}-{size * 2}"), 416)
    expect.header(reply, "Content-Range", f"bytes */{size}")


@case("RFC 9110 (section 14.2)", "end-2", MUST, reads=True)
def range_reversed(target: Target) -> None:
    """A range that ends before it starts is refused or ignored; no part is made up."""
    reply = expect.status(blob(target, "GET", Range="bytes=500-0"), 200, 400, 416)
    if reply.status == 200:
        expect.body(reply, target.sample().blob)


@case("RFC 9110 (section 14.2)", "end-2", MUST, reads=True)
def range_of_unknown_unit(target: Target) -> None:
    """A range in a unit that nobody knows is ignored."""
    expect.body(expect.status(blob(target, "GET", Range="pages=1-2"), 200), target.sample().blob)


@case("RFC 9110 (section 13.1.5)", "end-2", MUST, reads=True)
def range_if_unchanged(target: Target) -> None:
    """A range that If-Range ties to other content is ignored."""
    reply = blob(target, "GET", **{"Range": "bytes=1-2", "If-Range": '"other content"'})
    expect.body(expect.status(reply, 200), target.sample().blob)


@case(_SECTION, "end-2", SHOULD, reads=True)
def resume_pull(target: Target) -> None:
    """Two ranges put together are the blob."""
    size = len(target.sample().blob)
    replies = [blob(target, "GET", Range=header) for header in (f"bytes=0-{size // 2 - 1}", f"bytes={size // 2}-")]
    for reply in replies:
        expect.status(reply, 206)
    expect.equal("the parts together", b"".join(reply.body for reply in replies), target.sample().blob)
