"""Many clients at once."""

from __future__ import annotations

from collections import Counter
from concurrent.futures import ThreadPoolExecutor
from typing import TYPE_CHECKING, TypeVar

from conformance import content, expect
from conformance.case import MUST, Skipped, in_group
from conformance.cases.chunks import chunks_for

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable

    from conformance.content import Manifest
    from conformance.exchange import Reply
    from conformance.target import Target

T = TypeVar("T")

case = in_group("concurrency")
_CLIENTS = 100
_ROUNDS = 20


def _at_once(count: int, act: Callable[[int], T], *, jobs: int | None = None) -> list[T]:
    with ThreadPoolExecutor(count) as executor:
        return list(executor.map(act, range(jobs or count)))


@case("Use Cases", "end-6", MUST)
def same_blob_from_100_clients(target: Target) -> None:
    """A hundred clients push the same blob: each is told 201, and it is there once and whole."""
    blob = content.random_blob(64 * 1024)
    digest = content.digest_of(blob)
    locations = _at_once(20, lambda _: target.open_upload().location(), jobs=_CLIENTS)
    replies = _at_once(_CLIENTS, lambda number: target.close_upload(locations[number], digest, blob))
    expect.equal("statuses", dict(Counter(reply.status for reply in replies)), {201: _CLIENTS})
    target.pull_blob(digest, blob)


@case("Pushing Manifests", "end-9", MUST)
def tag_pushed_and_deleted_at_once(target: Target) -> None:
    """While a tag is pushed and deleted, each reader gets the old manifest, the new one, or 404."""
    old, new = target.push(content.image()), target.push(content.image())
    target.push(old, "raced")

    def write(number: int) -> Reply:
        if number % 3 == 2:
            return target.client.request("DELETE", f"/v2/{target.repository}/manifests/raced")
        return target.put_manifest((old, new)[number % 3], "raced")

    def read(_: int) -> Reply:
        return target.get("manifests/raced", Accept=old.media_type)

    with ThreadPoolExecutor(12) as executor:
        writes = [executor.submit(write, number) for number in range(_ROUNDS * 3)]
        reads = [executor.submit(read, number) for number in range(_ROUNDS * 6)]
        statuses = {future.result().status for future in writes}
        _check_reads([future.result() for future in reads], {old.digest: old, new.digest: new})
    if statuses & {400, 405}:
        raise Skipped("DELETE of a tag is switched off")
    expect.holds(statuses <= {201, 202, 404}, "201, 202 or 404 for every write", statuses)


def _check_reads(replies: Iterable[Reply], manifests: dict[str, Manifest]) -> None:
    for reply in replies:
        if expect.status(reply, 200, 404).status == 200:
            digest = content.digest_of(reply.body)
            expect.holds(digest in manifests, "the old or the new manifest", reply.body[:100])
            expect.header(reply, "Docker-Content-Digest", digest)


@case("Pushing a blob in chunks", "end-5", MUST)
def same_chunk_at_once(target: Target) -> None:
    """Of clients that send the same chunk to one session at once, one is accepted, and the session stays usable."""
    opened = target.open_upload()
    first, last = chunks_for(opened, 2)
    replies = _at_once(8, lambda _: target.patch(opened.location(), first, 0))
    statuses = Counter(reply.status for reply in replies)
    expect.equal("accepted chunks", statuses[202], 1)
    expect.holds(all(status == 202 or 400 <= status < 500 for status in statuses), "202 once, else 4xx", statuses)
    status = expect.status(target.client.request("GET", opened.location()), 204)
    expect.header(status, "Range", f"0-{len(first) - 1}", f"bytes=0-{len(first) - 1}")
    digest = content.digest_of(first + last)
    expect.status(target.close_upload(status.location(), digest, last, len(first)), 201)
    target.pull_blob(digest, first + last)


@case("Listing Tags", "end-8a", MUST)
def tags_pushed_at_once(target: Target) -> None:
    """Tags that many clients push at once are all listed."""
    image = target.push(content.image())
    tags = [f"tag-{number:02}" for number in range(40)]
    for reply in _at_once(20, lambda number: target.put_manifest(image, tags[number]), jobs=len(tags)):
        expect.status(reply, 201)
    expect.equal("tags", expect.status(target.get("tags/list"), 200).json().get("tags"), tags)


@case("Listing Referrers", "end-12a", MUST)
def referrers_pushed_at_once(target: Target) -> None:
    """Referrers that many clients push at once are all listed."""
    subject = target.push(content.image())
    target.push_blob(b"{}")
    referrers = [content.artifact(subject=subject.descriptor()) for _ in range(20)]
    for reply in _at_once(20, lambda number: target.put_manifest(referrers[number], referrers[number].digest)):
        expect.status(reply, 201)
    listed = expect.status(target.get(f"referrers/{subject.digest}"), 200).json().get("manifests", [])
    expect.equal("referrers", {each.get("digest") for each in listed}, {each.digest for each in referrers})
