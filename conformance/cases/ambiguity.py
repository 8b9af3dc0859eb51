"""Manifests that two clients could read in two ways (CVE-2021-41190).

No clause makes a registry refuse them. The distribution-spec binds clients: when they push, "If a manifest includes a
`mediaType` field, clients MUST set the `Content-Type` header to the value specified by the `mediaType` field", and when
they pull, they "SHOULD reject unless the `mediaType` field's value matches the type specified by the `Content-Type`
header". Of a document with the fields of both an image and an index the advisory to the image-spec says that software
"may reject" it (GHSA-77vh-xpmg-72qh), while the image-spec (Extensibility) has "SHOULD NOT generate an error if they
encounter an unknown property in a known media type". So a registry may do either; but what it refuses must not be
there, and what it takes must come back as it was pushed.
"""

from __future__ import annotations

from dataclasses import replace
from typing import TYPE_CHECKING

from conformance import content, expect
from conformance.case import MAY, MUST, Skipped, in_group
from conformance.content import DOCKER_IMAGE, OCI_IMAGE, OCI_INDEX, descriptor, digest_of, image, index
from conformance.target import media_type_of

if TYPE_CHECKING:
    from conformance.content import Manifest
    from conformance.target import Target

case = in_group("content-types")


def _refused_or_kept(target: Target, *several: Manifest) -> None:
    """Raises Skipped where the registry takes one of them."""
    taken = False
    for ambiguous in several:
        for blob in ambiguous.blobs:
            target.push_blob(blob)
        reply = target.put_manifest(ambiguous, ambiguous.digest)
        if reply.status == 201:
            taken = True
            target.pull_manifest(ambiguous)
        else:
            expect.refused(reply)
            target.no_manifest(ambiguous.digest)
    if taken:
        raise Skipped("the registry takes such a manifest, and gives it back as it was pushed")


@case("Pushing Manifests", "end-7a", MAY)
def type_contradicts_media_type(target: Target) -> None:
    """A Content-Type other than the field mediaType is refused; or kept with the manifest."""
    _refused_or_kept(target, replace(image(), media_type=OCI_INDEX), replace(image(), media_type=DOCKER_IMAGE))


@case("image-spec (Extensibility)", "end-7a", MAY)
def image_with_manifests(target: Target) -> None:
    """An image that has the field of an index too is refused; or kept as it is."""
    child = target.push(image())
    _refused_or_kept(target, image(manifests=[child.descriptor()]))


@case("image-spec (Extensibility)", "end-7a", MAY)
def index_with_layers(target: Target) -> None:
    """An index that has a field of an image too is refused; or kept as it is."""
    layer = content.random_blob()
    target.push_blob(layer)
    child = target.push(image())
    _refused_or_kept(target, index(child, layers=[descriptor(layer, content.OCI_LAYER)]))


@case("Pulling manifests", "end-3", MUST)
def nothing_is_converted(target: Target) -> None:
    """Whatever Accept says, what is served by a digest has that digest, and its Content-Type is its own."""
    pushed = target.push(index(target.push(image())), "index")
    for accept in (OCI_INDEX, OCI_IMAGE, DOCKER_IMAGE, "*/*", "text/html"):
        for reference in ("index", pushed.digest):
            reply = expect.status(target.get(f"manifests/{reference}", Accept=accept), 200, 404, 406)
            if reply.status == 200:
                expect.header(reply, "Docker-Content-Digest", digest_of(reply.body))
                expect.equal("mediaType", reply.json().get("mediaType"), media_type_of(reply))
    expect.body(expect.status(target.get(f"manifests/{pushed.digest}", Accept=OCI_INDEX), 200), pushed.body)
