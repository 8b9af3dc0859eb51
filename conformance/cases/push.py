"""Pushing blobs in one piece."""

from __future__ import annotations

import re
from typing import TYPE_CHECKING

from conformance import content, expect
from conformance.case import MAY, MUST, SHOULD, Skipped, in_group
from conformance.exchange import with_query
from conformance.target import OCTETS

if TYPE_CHECKING:
    from conformance.target import Target

case = in_group("push")
_MIB = 1024 * 1024
_UNIQUE = re.compile(r"[A-Za-z0-9_=-]{8,}")


@case("POST then PUT", "end-4a", MUST)
def open_session(target: Target) -> None:
    """POST opens a session: 202 and a location of its own."""
    locations = [target.open_upload().location() for _ in range(2)]
    expect.holds(locations[0] != locations[1], "another location for each session", locations)
    expect.holds(all(map(_UNIQUE.search, locations)), "a unique id in the location", locations)


@case("POST then PUT", "end-6", MUST)
def push_post_then_put(target: Target) -> None:
    """POST and PUT push a blob; the answer's Location is where it is pulled from."""
    blob = content.random_blob()
    digest = content.digest_of(blob)
    reply = expect.status(target.close_upload(target.open_upload().location(), digest, blob), 201)
    expect.body(expect.status(target.client.request("GET", reply.location()), 200), blob)
    target.pull_blob(digest, blob)


@case("Single POST", "end-4b", MAY)
def push_single_post(target: Target) -> None:
    """A single POST pushes a blob, or is answered with a session."""
    blob = content.random_blob()
    digest = content.digest_of(blob)
    url = with_query(f"/v2/{target.repository}/blobs/uploads/", digest=digest)
    reply = expect.status(target.client.request("POST", url, blob, {"Content-Type": OCTETS}), 201, 202)
    if reply.status == 202:
        reply = expect.status(target.close_upload(reply.location(), digest, blob), 201)
    expect.body(expect.status(target.client.request("GET", reply.location()), 200), blob)
    target.pull_blob(digest, blob)


@case("POST then PUT", "end-6", MUST)
def push_blob_twice(target: Target) -> None:
    """A blob that is there already can be pushed again."""
    blob = content.random_blob()
    for _ in range(2):
        target.push_blob(blob)
    target.pull_blob(content.digest_of(blob), blob)


@case("POST then PUT", "end-6", MUST)
def push_empty_blob(target: Target) -> None:
    """A blob may have no bytes."""
    target.pull_blob(target.push_blob(b""), b"")


@case("POST then PUT", "end-6", MUST)
def push_empty_json(target: Target) -> None:
    """The config of artifacts, {}, is a blob like any other."""
    target.pull_blob(target.push_blob(b"{}"), b"{}")


@case("POST then PUT", "end-6", MUST)
def push_large_blob(target: Target) -> None:
    """A blob of 12 MiB in one PUT."""
    blob = content.random_blob(12 * _MIB)
    target.pull_blob(target.push_blob(blob), blob)


@case("RFC 9112 (section 7.1)", "end-6", SHOULD)
def push_without_length(target: Target) -> None:
    """A PUT in the chunked encoding, as clients send what they compress on the way."""
    pieces = [content.random_blob(1000) for _ in range(3)]
    digest = content.digest_of(b"".join(pieces))
    url = with_query(target.open_upload().location(), digest=digest)
    expect.status(target.client.request("PUT", url, iter(pieces), {"Content-Type": OCTETS}), 201)
    target.pull_blob(digest, b"".join(pieces))


@case("RFC 9110 (section 10.1.1)", "end-6", MUST)
def push_after_100_continue(target: Target) -> None:
    """A PUT with Expect: 100-continue is told to go on."""
    blob = content.random_blob()
    digest = content.digest_of(blob)
    url = with_query(target.open_upload().location(), digest=digest)
    sending = target.client.begin("PUT", url, {"Content-Length": str(len(blob)), "Expect": "100-continue"})
    interim = sending.receive_to(b"\r\n\r\n")
    expect.holds(interim.startswith(b"HTTP/1.1 100 "), "100 Continue", interim[:100])
    sending.send(blob)
    expect.status(sending.reply(), 201)
    target.pull_blob(digest, blob)


@case("Pulling manifests", "end-4a", MUST)
def repository_names(target: Target) -> None:
    """Repository names of every form that the spec allows."""
    blob = content.random_blob()
    for name in ("a", "a.b_c-d", "a__b", "a---b", "0/1/2"):
        repository = f"{target.repository}/{name}"
        digest = target.push_blob(blob, repository=repository)
        target.pull_blob(digest, blob, repository)


@case("Pulling manifests", "end-4a", MAY)
def names_like_end_points(target: Target) -> None:
    """A repository may have the words of an end point in its name, or such a name is refused.

    They match the spec's regular expression, which has no exceptions. But "`<name>` MUST match" does not say that a
    registry has to take every name that does, and there is a code to refuse one with, NAME_INVALID.
    """
    blob, refused = content.random_blob(), []
    for name in ("manifests/x", "blobs/uploads/y", "tags/list", "referrers/z"):
        repository = f"{target.repository}/{name}"
        opened = target.client.request("POST", f"/v2/{repository}/blobs/uploads/")
        if 400 <= opened.status < 500:
            refused.append(name)
            continue
        digest = content.digest_of(blob)
        expect.status(target.close_upload(expect.status(opened, 202).location(), digest, blob), 201)
        target.pull_blob(digest, blob, repository)
    if refused:
        raise Skipped(f"the registry refuses names such as {', '.join(refused)}")
