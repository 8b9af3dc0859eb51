"""Manifests of every form: what a registry takes and gives back without understanding all of it."""

from __future__ import annotations

import base64
from typing import TYPE_CHECKING, Any

from conformance import content, expect
from conformance.case import MAY, MUST, SHOULD, Skipped, in_group
from conformance.content import (
    DOCKER_CONFIG,
    DOCKER_IMAGE,
    DOCKER_LAYER,
    DOCKER_LIST,
    FOREIGN_LAYER,
    OCI_CONFIG,
    OCI_INDEX,
    OCI_LAYER,
    Manifest,
    artifact,
    descriptor,
    image,
    index,
    manifest,
    random_blob,
)

if TYPE_CHECKING:
    from conformance.target import Target

case = in_group("formats")
_sparse_case = in_group("sparse")
_SECTION = "Pushing Manifests"


def _round_trip(target: Target, pushed: Manifest) -> None:
    """Push under a tag; pull by tag and digest."""
    target.push(pushed, "form")
    target.pull_manifest(pushed, "form", pushed.digest)


@case(_SECTION, "end-7a", MUST)
def image_manifest(target: Target) -> None:
    """An image with two layers."""
    _round_trip(target, image(random_blob(), random_blob()))


@case(_SECTION, "end-7a", MUST)
def image_index(target: Target) -> None:
    """An index of images for several platforms."""
    children = [target.push(image()) for _ in range(2)]
    described = [
        child.descriptor(platform={"os": "linux", "architecture": architecture})
        for child, architecture in zip(children, ("amd64", "arm64"), strict=True)
    ]
    _round_trip(target, manifest(OCI_INDEX, manifests=described))


@case(_SECTION, "end-7a", MUST)
def nested_index(target: Target) -> None:
    """An index of indexes."""
    inner = target.push(index(target.push(image())))
    _round_trip(target, index(inner, target.push(image())))


@case(_SECTION, "end-7a", MUST)
def empty_index(target: Target) -> None:
    """An index of nothing."""
    _round_trip(target, index(annotations={"org.example.unique": random_blob(8).hex()}))


@case(_SECTION, "end-7a", MUST)
def image_without_layers(target: Target) -> None:
    """An image whose list of layers is empty."""
    _round_trip(target, image(layers=[]))


@case(_SECTION, "end-7a", MUST)
def artifact_manifest(target: Target) -> None:
    """An artifact: an image manifest with an artifactType and the empty config."""
    _round_trip(target, artifact())


@case(_SECTION, "end-7a", MUST)
def artifact_without_layers(target: Target) -> None:
    """An artifact whose list of layers is empty."""
    _round_trip(target, artifact(layers=[]))


@case(_SECTION, "end-7a", MUST)
def artifact_index(target: Target) -> None:
    """An index with an artifactType."""
    _round_trip(target, index(target.push(artifact()), artifactType="application/vnd.example.index"))


@case(_SECTION, "end-7a", MUST)
def data_field(target: Target) -> None:
    """Descriptors that hold their content in the field data."""
    layer, config = random_blob(64), content.config()
    fields = {
        "config": descriptor(config, OCI_CONFIG, data=base64.b64encode(config).decode()),
        "layers": [descriptor(layer, OCI_LAYER, data=base64.b64encode(layer).decode())],
    }
    _round_trip(target, manifest(content.OCI_IMAGE, config, layer, **fields))


@case(_SECTION, "end-7a", SHOULD)
def non_distributable_layers(target: Target) -> None:
    """Layers that must not be distributed are not missed."""
    layer, config = random_blob(), content.config()
    foreign = descriptor(random_blob(), FOREIGN_LAYER, urls=["https://example.org/layer"])
    fields = {"config": descriptor(config, OCI_CONFIG), "layers": [foreign, descriptor(layer, OCI_LAYER)]}
    _round_trip(target, manifest(content.OCI_IMAGE, config, layer, **fields))


@case(_SECTION, "end-7a", MUST)
def custom_fields(target: Target) -> None:
    """Fields that no spec knows stay where they are."""
    layer = random_blob()
    fields: dict[str, Any] = {"org.example.custom": {"deep": [1, 2.50, None]}}
    _round_trip(target, image(layer, layers=[{**descriptor(layer, OCI_LAYER), **fields}], **fields))


@case("image-spec (Compatibility Matrix)", "end-7a", MAY)
def docker_image(target: Target) -> None:
    """Docker's image manifest, version 2, schema 2."""
    docker = _docker_image()
    _expect_known(target, docker)
    _round_trip(target, docker)


@case("image-spec (Compatibility Matrix)", "end-7a", MAY)
def docker_manifest_list(target: Target) -> None:
    """Docker's list of manifests for several platforms."""
    child = _docker_image()
    _expect_known(target, child)
    target.push(child)
    platform = {"os": "linux", "architecture": "amd64"}
    listing = manifest(DOCKER_LIST, manifests=[child.descriptor(platform=platform)])
    _expect_known(target, listing)
    _round_trip(target, listing)


def _expect_known(target: Target, docker: Manifest) -> None:
    """Raises Skipped where the registry does not take the type.

    No clause asks for it: the distribution-spec counts "legacy manifests" among its examples of manifests, and the
    image-spec calls them similar to its own. But there are clients that push nothing else.
    """
    for blob in docker.blobs:
        target.push_blob(blob)
    reply = target.put_manifest(docker, docker.digest)
    if reply.status in {400, 415}:
        raise Skipped(f"the registry answers {docker.media_type} with {reply.status}")
    expect.status(reply, 201)


def _docker_image() -> Manifest:
    layer, config = random_blob(), content.config()
    fields = {"config": descriptor(config, DOCKER_CONFIG), "layers": [descriptor(layer, DOCKER_LAYER)]}
    return manifest(DOCKER_IMAGE, config, layer, **fields)


@_sparse_case("Push", "end-7a", MAY)
def sparse_image(target: Target) -> None:
    """An image whose layer is missing is accepted, or refused with MANIFEST_BLOB_UNKNOWN."""
    whole = image()
    target.push_blob(whole.blobs[0])
    _accepted_or_refused(target, whole)


@_sparse_case("Push", "end-7a", MAY)
def sparse_index(target: Target) -> None:
    """An index with a child that is missing is accepted, or refused with MANIFEST_BLOB_UNKNOWN."""
    _accepted_or_refused(target, index(target.push(image()), image()))


def _accepted_or_refused(target: Target, sparse: Manifest) -> None:
    reply = target.put_manifest(sparse, "sparse")
    if reply.status == 201:
        target.pull_manifest(sparse, "sparse", sparse.digest)
        return
    expect.equal("error codes", set(expect.error_codes(expect.refused(reply))), {"MANIFEST_BLOB_UNKNOWN"})
    target.no_manifest("sparse")
