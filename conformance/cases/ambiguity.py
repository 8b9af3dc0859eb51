"""Manifests that two clients could read in two ways (CVE-2021-41190)."""

from __future__ import annotations

from dataclasses import replace
from typing import TYPE_CHECKING

from conformance import content, expect
from conformance.case import MUST, SHOULD, in_group
from conformance.content import DOCKER_IMAGE, OCI_IMAGE, OCI_INDEX, descriptor, digest_of, image, index
from conformance.target import media_type_of

if TYPE_CHECKING:
    from conformance.content import Manifest
    from conformance.target import Target

case = in_group("content-types")


def _refused(target: Target, ambiguous: Manifest) -> None:
    for blob in ambiguous.blobs:
        target.push_blob(blob)
    expect.refused(target.put_manifest(ambiguous, "ambiguous"))
    target.no_manifest("ambiguous")


@case("Pushing Manifests", "end-7a", SHOULD)
def type_contradicts_media_type(target: Target) -> None:
    """A Content-Type other than the field mediaType is refused."""
    _refused(target, replace(image(), media_type=OCI_INDEX))
    _refused(target, replace(image(), media_type=DOCKER_IMAGE))


@case("image-spec (image manifest, mediaType)", "end-7a", SHOULD)
def image_with_manifests(target: Target) -> None:
    """An image that has the field of an index too is refused."""
    child = target.push(image())
    _refused(target, image(manifests=[child.descriptor()]))


@case("image-spec (image index, mediaType)", "end-7a", SHOULD)
def index_with_layers(target: Target) -> None:
    """An index that has the fields of an image too is refused."""
    layer = content.random_blob()
    target.push_blob(layer)
    child = target.push(image())
    _refused(target, index(child, layers=[descriptor(layer, content.OCI_LAYER)]))


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
