"""Pushing manifests: references, bytes, types and sizes."""

from __future__ import annotations

import json
from dataclasses import replace
from typing import TYPE_CHECKING

from conformance import content, expect
from conformance.case import MAY, MUST, SHOULD, Skipped, in_group

if TYPE_CHECKING:
    from conformance.content import Manifest
    from conformance.exchange import Reply
    from conformance.target import Target

case = in_group("push")
_headers_case = in_group("digest-headers")
_large_case = in_group("large-manifest")
_tags_case = in_group("tag-parameters")
_SECTION = "Pushing Manifests"
_MIB = 1024 * 1024


@case(_SECTION, "end-7a", MUST)
def push_manifest_by_tag(target: Target) -> None:
    """PUT under a tag: 201, and a Location that the manifest is pulled from."""
    _check_push(target, "latest")


@case(_SECTION, "end-7a", MUST)
def push_manifest_by_digest(target: Target) -> None:
    """PUT under its digest: 201, and a Location that the manifest is pulled from."""
    _check_push(target, "")


def _check_push(target: Target, tag: str) -> None:
    image = content.image()
    for blob in image.blobs:
        target.push_blob(blob)
    reply = expect.status(target.put_manifest(image, tag or image.digest), 201)
    headers = {"Accept": image.media_type}
    expect.body(expect.status(target.client.request("GET", reply.location(), headers=headers), 200), image.body)
    target.pull_manifest(image, tag or image.digest)


@case(_SECTION, "end-7a", MUST)
def manifest_bytes_are_kept(target: Target) -> None:
    """A manifest comes back byte for byte, with its white space, order and escapes."""
    image = content.image()
    document = dict(sorted(json.loads(image.body).items(), reverse=True))
    document["annotations"] = {"org.example.text": "\u00e9 \U0001f4e6 <&>"}
    bodies = [json.dumps(document, indent=3).encode() + b"\n\n", json.dumps(document, ensure_ascii=False).encode()]
    for position, body in enumerate(bodies):
        target.pull_manifest(target.push(replace(image, body=body), f"form-{position}"), f"form-{position}")


@case(_SECTION, "end-7a", MUST)
def manifest_pushed_twice(target: Target) -> None:
    """A manifest that is there already can be pushed again."""
    image = target.push(content.image(), "first", "first")
    target.push(image, image.digest, "second")
    target.pull_manifest(image, "first", "second", image.digest)


@case(_SECTION, "end-7a", MUST)
def tag_moves(target: Target) -> None:
    """A tag that is pushed again points to the new manifest.

    "A manifest digest may have zero, one, or many tags", but no clause has a registry keep what has lost its last one.
    """
    target.push(content.image(), "moving")
    new = target.push(content.image(), "moving")
    target.pull_manifest(new, "moving", new.digest)


@case("Pulling manifests", "end-7a", MUST)
def tag_names(target: Target) -> None:
    """Tags of every form that the spec allows."""
    image = content.image()
    tags = ("_", "0", "A.b-c_D", "v1.0.0-rc.1", "a" * 128, "sha256-" + "0" * 64)
    target.push(image, *tags)
    target.pull_manifest(image, *tags)


@case(_SECTION, "end-7a", SHOULD)
def content_type_parameters(target: Target) -> None:
    """Parameters of the Content-Type that a manifest is pushed with are ignored."""
    image = content.image()
    target.push(replace(image, media_type=f"{image.media_type}; charset=utf-8"), "with-parameters")
    reply = expect.status(target.get("manifests/with-parameters", Accept=image.media_type), 200)
    expect.header(reply, "Content-Type", image.media_type)


@case("Pushing Manifests with Subject", "end-7a", MAY)
def conditional_push(target: Target) -> None:
    """A push on a condition that does not hold is answered with 412 and moves no tag; one that holds is a push."""
    old, new = target.push(content.image(), "guarded"), target.push(content.image())
    path, plain = f"/v2/{target.repository}/manifests/guarded", {"Content-Type": new.media_type}
    reply = target.client.request("PUT", path, new.body, {**plain, "If-None-Match": "*"})
    if reply.status == 201:
        raise Skipped("the registry knows no conditions")
    expect.status(reply, 412)
    target.pull_manifest(old, "guarded")
    etag = target.get("manifests/guarded", Accept=old.media_type).header("etag") or "*"
    expect.status(target.client.request("PUT", path, new.body, {**plain, "If-Match": etag}), 201)
    target.pull_manifest(new, "guarded")


@_headers_case(_SECTION, "end-7a", MUST)
def push_digest_header(target: Target) -> None:
    """The answer to a push has the digest that the client pushed in Docker-Content-Digest, if any."""
    image = target.push(content.image(), "latest")
    for reference in ("latest", image.digest):
        reply = expect.status(target.put_manifest(image, reference), 201)
        if reply.header("docker-content-digest") is not None:
            expect.header(reply, "Docker-Content-Digest", image.digest)


@_large_case(_SECTION, "end-7a", SHOULD)
def large_manifest(target: Target) -> None:
    """A manifest of nearly 4 MB is accepted and comes back."""
    image = _padded(4_000_000 - 4096)
    target.push(image, "large")
    target.pull_manifest(image, "large", image.digest)


@_large_case(_SECTION, "end-7a", SHOULD)
def manifest_over_the_limit(target: Target) -> None:
    """There is a limit to the size of a manifest: 32 MiB are answered with 413."""
    image = _padded(32 * _MIB)
    for blob in image.blobs:
        target.push_blob(blob)
    expect.status(target.put_manifest(image, "too-large"), 413)
    target.no_manifest("too-large")


def _padded(size: int) -> Manifest:
    return content.image(annotations={"org.example.padding": "x" * size})


@_tags_case(_SECTION, "end-7b", MAY)
def tag_parameters(target: Target) -> None:
    """A push by digest may set tags, and says in OCI-Tag which it has set."""
    _push_with_tags(target, ["1.2.3", "1.2", "1", "latest"])


@_tags_case(_SECTION, "end-7b", SHOULD)
def ten_tag_parameters(target: Target) -> None:
    """At least ten tags can be set in one push."""
    _push_with_tags(target, [f"tag-{number}" for number in range(10)])


@_tags_case(_SECTION, "end-7b", MAY)
def too_many_tag_parameters(target: Target) -> None:
    """Far too many tags are set, or refused with 414 or another 4xx."""
    image = target.push(content.image())
    tags = [f"tag-{number:04}-{'x' * 100}" for number in range(500)]
    reply = target.put_manifest(image, image.digest, tags=tags)
    if reply.status != 201:
        expect.refused(reply)
    target.pull_manifest(image)


@_tags_case(_SECTION, "end-7b", MAY)
def tag_parameters_with_sha512(target: Target) -> None:
    """A manifest that is pushed by its sha512 digest can be tagged too."""
    image, tags = _pushed_blobs(target), ["sha512"]
    reply = target.put_sha512(image, content.digest_of(image.body, "sha512"), tags=tags)
    _check_tags(target, image, tags, reply)


def _push_with_tags(target: Target, tags: list[str]) -> None:
    image = _pushed_blobs(target)
    _check_tags(target, image, tags, expect.status(target.put_manifest(image, image.digest, tags=tags), 201))


def _pushed_blobs(target: Target) -> Manifest:
    """An image that is not there yet, with its blobs."""
    image = content.image()
    for blob in image.blobs:
        target.push_blob(blob)
    return image


def _check_tags(target: Target, image: Manifest, tags: list[str], reply: Reply) -> None:
    """Raises Skipped where none of the tags was set."""
    named = [tag.strip() for value in reply.values("oci-tag") for tag in value.split(",")]
    found = [tag for tag in tags if target.get(f"manifests/{tag}", Accept=image.media_type).status == 200]
    if not named and not found:
        raise Skipped("the registry ignores the parameter tag")
    expect.equal("tags in OCI-Tag", sorted(named), sorted(tags))
    target.pull_manifest(image, *tags)
