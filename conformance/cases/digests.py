"""Digests: content that does not match them, bad ones, and algorithms other than sha256."""

from __future__ import annotations

from typing import TYPE_CHECKING

from conformance import content, expect
from conformance.case import MAY, MUST, SHOULD, Skipped, in_group
from conformance.cases.chunks import chunks_for, send_chunk
from conformance.exchange import with_query
from conformance.target import OCTETS

if TYPE_CHECKING:
    from conformance.content import Manifest
    from conformance.target import Target

_bad = in_group("bad-digests")
_sha512 = in_group("sha512")
_PUSHING = "Pushing blobs"
_BAD = ("sha256:short", "no-digest", "sha256:" + "A" * 64, "sha256:" + "g" * 64)


@_bad(_PUSHING, "end-6", SHOULD)
def wrong_digest_in_put(target: Target) -> None:
    """A PUT whose digest is that of other content is refused, and there is no blob."""
    wrong = content.unknown_digest()
    expect.status(target.close_upload(target.open_upload().location(), wrong, content.random_blob()), 400)
    target.no_blob(wrong)


@_bad("Single POST", "end-4b", MUST)
def wrong_digest_in_single_post(target: Target) -> None:
    """A single POST whose digest is that of other content pushes nothing."""
    wrong, blob = content.unknown_digest(), content.random_blob()
    url = with_query(f"/v2/{target.repository}/blobs/uploads/", digest=wrong)
    reply = expect.status(target.client.request("POST", url, blob, {"Content-Type": OCTETS}), 400, 202)
    if reply.status == 202:
        expect.status(target.close_upload(reply.location(), wrong, blob), 400)
    target.no_blob(wrong)


@_bad(_PUSHING, "end-6", SHOULD)
def wrong_digest_of_chunks(target: Target) -> None:
    """A session whose digest is that of other content is not closed."""
    wrong, opened = content.unknown_digest(), target.open_upload()
    first, last = chunks_for(opened, 2)
    location = send_chunk(target, opened.location(), first, 0)
    expect.status(target.close_upload(location, wrong, last, len(first)), 400)
    target.no_blob(wrong)


@_bad(_PUSHING, "end-6", SHOULD)
def bad_digest_in_put(target: Target) -> None:
    """A digest with bad syntax is answered with 400."""
    location = target.open_upload().location()
    for digest in _BAD:
        expect.status(target.close_upload(location, digest, b"content"), 400)


@_bad(_PUSHING, "end-6", SHOULD)
def unsupported_algorithm(target: Target) -> None:
    """A digest of an algorithm that is not supported is answered with 400."""
    location = target.open_upload().location()
    for digest in ("md5:" + "0" * 32, "example+unknown:" + "0" * 64):
        expect.status(target.close_upload(location, digest, b"content"), 400)


@_bad(_PUSHING, "end-6", MUST)
def put_without_digest(target: Target) -> None:
    """A session is not closed without a digest."""
    location = target.open_upload().location()
    expect.status(target.client.request("PUT", location, b"content"), 400)


@_bad("Pulling blobs", "end-2", MUST, reads=True)
def pull_blob_with_bad_digest(target: Target) -> None:
    """No blob has a digest with bad syntax: 400 or 404."""
    for digest in _BAD:
        expect.status(target.client.request("GET", f"/v2/{target.sample().repository}/blobs/{digest}"), 400, 404)


@_bad("Pulling manifests", "end-3", MUST, reads=True)
def pull_manifest_with_bad_digest(target: Target) -> None:
    """No manifest has a digest with bad syntax: 400 or 404."""
    for digest in _BAD[:1] + _BAD[2:]:
        expect.status(target.client.request("GET", f"/v2/{target.sample().repository}/manifests/{digest}"), 400, 404)


@_bad("Pushing Manifests", "end-7a", MUST)
def manifest_with_wrong_digest(target: Target) -> None:
    """A manifest is not stored under the digest of other content."""
    image, wrong = target.push(content.image()), content.unknown_digest()
    expect.status(target.put_manifest(image, wrong), 400)
    target.no_manifest(wrong)


@_bad("Pushing Manifests", "end-7a", MUST)
def manifest_with_bad_digest(target: Target) -> None:
    """A manifest is not stored under a digest with bad syntax."""
    image = target.push(content.image())
    for digest in _BAD[:1] + _BAD[2:]:
        expect.status(target.put_manifest(image, digest), 400, 404)


@_sha512("Pushing a blob in chunks", "end-4c", MAY)
def sha512_blob(target: Target) -> None:
    """A blob is pushed and pulled by its sha512 digest."""
    _check_support(target)
    blob = content.random_blob()
    digest = target.push_blob(blob, "sha512")
    target.pull_blob(digest, blob)
    head = expect.status(target.get(f"blobs/{digest}", "HEAD"), 200)
    expect.header(head, "Content-Length", str(len(blob)))


@_sha512("Pushing a blob in chunks", "end-4c", MAY)
def sha512_chunks(target: Target) -> None:
    """A blob is pushed in chunks by its sha512 digest."""
    _check_support(target)
    opened = target.open_upload(digest_algorithm="sha512")
    first, last = chunks_for(opened, 2)
    location = send_chunk(target, opened.location(), first, 0)
    digest = content.digest_of(first + last, "sha512")
    expect.status(target.close_upload(location, digest, last, len(first)), 201)
    target.pull_blob(digest, first + last)


@_sha512("Pulling blobs", "end-2", MUST)
def sha512_digest_header(target: Target) -> None:
    """The digest header of a blob matches its bytes, whatever the algorithm."""
    _check_support(target)
    blob = content.random_blob()
    digest = target.push_blob(blob, "sha512")
    expect.header(target.get(f"blobs/{digest}"), "Docker-Content-Digest", digest, content.digest_of(blob))


@_sha512("Pushing Manifests", "end-7a", MAY)
def sha512_manifest(target: Target) -> None:
    """A manifest is pushed and pulled by its sha512 digest."""
    image, digest = _push_sha512(target)
    target.pull_manifest(image, digest)
    expect.header(target.get(f"manifests/{digest}"), "Docker-Content-Digest", digest)


@_sha512("Pushing Manifests", "end-7a", MUST)
def sha512_wrong_digest(target: Target) -> None:
    """A manifest is not stored under the sha512 digest of other content."""
    image, _ = _push_sha512(target)
    wrong = content.unknown_digest("sha512")
    expect.status(target.put_manifest(image, wrong), 400)
    target.no_manifest(wrong)


@_sha512("Listing Referrers", "end-12a", MUST)
def sha512_subject(target: Target) -> None:
    """What refers to a manifest by its sha512 digest is listed."""
    image, digest = _push_sha512(target)
    subject = content.descriptor(image.body, image.media_type, "sha512")
    referrer = target.push(content.artifact(subject=subject))
    reply = expect.status(target.get(f"referrers/{digest}"), 200)
    listed = [entry.get("digest") for entry in reply.json().get("manifests", [])]
    expect.equal("referrers", listed, [referrer.digest])


@_sha512("Pushing blobs", "end-4c", SHOULD)
def unknown_algorithm(target: Target) -> None:
    """A session for an algorithm that nobody knows is answered with 400."""
    url = f"/v2/{target.repository}/blobs/uploads/?digest-algorithm=unknown"
    expect.status(target.client.request("POST", url), 400)


def _check_support(target: Target) -> None:
    """Raises Skipped where a session for sha512 is refused; image-spec: registries MAY support it."""
    reply = target.client.request("POST", f"/v2/{target.repository}/blobs/uploads/?digest-algorithm=sha512")
    if reply.status == 400:
        raise Skipped("the registry refuses digest-algorithm=sha512")
    expect.status(reply, 202)


def _push_sha512(target: Target) -> tuple[Manifest, str]:
    """An image that is pushed by its sha512 digest, with blobs of the same algorithm. Raises Skipped."""
    _check_support(target)
    image = content.image(algorithm="sha512")
    for blob in image.blobs:
        target.push_blob(blob, "sha512")
    digest = content.digest_of(image.body, "sha512")
    target.put_sha512(image, digest)
    return image, digest
