"""What a registry has to know of a manifest: its type, what it refers to, and what it is a referrer of.

Sources: image-spec (manifest.md, image-index.md, descriptor.md), distribution-spec (sections "Pushing Manifests",
"Listing Referrers"), Docker image manifest version 2, schema 2.
"""

from __future__ import annotations

from contextlib import suppress
from dataclasses import dataclass
from enum import StrEnum
from itertools import islice
from typing import TYPE_CHECKING, Any

from registry.oci import media_types, strict_json
from registry.oci.digests import Digest
from registry.oci.errors import DigestInvalid, ManifestInvalid, ManifestTooLarge

if TYPE_CHECKING:
    from collections.abc import Iterator

LIMIT_BYTES = 4 * 1024 * 1024
"""Largest manifest (distribution-spec, "Pushing Manifests": at least 4 megabytes should be expected to work)."""

EDGE_LIMIT = 10_000
"""Most digests that one manifest may refer to; each is a row."""

_SIZE_LIMIT = 2**63 - 1
_TEXT_LIMIT = 255


class EdgeKind(StrEnum):
    """Why a manifest refers to a digest."""

    CONFIG = "config"
    LAYER = "layer"
    CHILD = "child"


@dataclass(frozen=True, slots=True)
class Edge:
    """One reference from a manifest to content. ``required``: the repository must have it before the manifest."""

    kind: EdgeKind
    digest: Digest
    required: bool


@dataclass(frozen=True, slots=True)
class Manifest:
    """A manifest as it was pushed, and what was read from it.

    ``edges`` holds each (kind, digest) once. ``artifact_type`` and ``annotations`` are those that the referrers API
    shows: for an image without ``artifactType`` the media type of its config.
    """

    body: bytes
    media_type: str
    edges: tuple[Edge, ...]
    subject: Digest | None
    artifact_type: str | None
    annotations: dict[str, str]


def parse(body: bytes, content_type: str | None) -> Manifest:
    """Read a pushed manifest. Raises ManifestTooLarge, ManifestInvalid."""
    if len(body) > LIMIT_BYTES:
        raise ManifestTooLarge(LIMIT_BYTES)
    try:
        document = strict_json.loads_object(body)
    except ValueError as error:
        raise ManifestInvalid(f"the manifest is no acceptable JSON: {error}") from None
    media_type = _media_type(document, media_types.without_parameters(content_type))
    _refuse_ambiguity(document, media_type)
    edges = sorted(islice(_edges(document, media_type), EDGE_LIMIT + 1), key=lambda edge: edge.required)
    if len(edges) > EDGE_LIMIT:
        raise ManifestInvalid(f"a manifest may refer to at most {EDGE_LIMIT} digests")
    return Manifest(
        body=body,
        media_type=media_type,
        edges=tuple({(edge.kind, edge.digest): edge for edge in edges}.values()),  # of two, the one that is required
        subject=_subject(document, media_type),
        artifact_type=_artifact_type(document, media_type),
        annotations=_annotations(document, media_type),
    )


def _media_type(document: dict[str, Any], content_type: str | None) -> str:
    """The type under which the manifest is stored and served: body and Content-Type have to agree."""
    own = document.get("mediaType")
    if own is not None and not (isinstance(own, str) and media_types.is_media_type(own)):
        raise ManifestInvalid("mediaType is no media type", {"mediaType": str(own)[:256]})
    if own is not None and own != own.lower() and own.lower() in media_types.KNOWN | media_types.SCHEMA_1:
        raise ManifestInvalid("mediaType has to be written in lower case", {"mediaType": own})
    if content_type in {None, "application/json"}:
        if own is None:
            raise ManifestInvalid("neither the Content-Type header nor the field mediaType names a manifest type")
        return str(own)
    if own is None:
        if content_type not in media_types.KNOWN | media_types.SCHEMA_1:
            raise ManifestInvalid(
                "a manifest of this Content-Type needs the field mediaType", {"content-type": content_type}
            )
        return str(content_type)
    if own.lower() != content_type:
        raise ManifestInvalid(
            "Content-Type and mediaType have to agree", {"content-type": content_type, "mediaType": own}
        )
    return str(own)


def _refuse_ambiguity(document: dict[str, Any], media_type: str) -> None:
    """Refuse what one client may read as an image and another as an index (CVE-2021-41190)."""
    is_ours = media_type in media_types.KNOWN
    if media_type in media_types.SCHEMA_1 or (is_ours and document.get("schemaVersion") == 1):
        raise ManifestInvalid("Docker schema 1 manifests are not supported; push schema 2 or an OCI manifest")
    if media_type in media_types.IMAGES | media_types.INDEXES and document.get("schemaVersion", 2) != 2:
        raise ManifestInvalid("schemaVersion has to be 2", {"schemaVersion": str(document["schemaVersion"])[:256]})
    if "manifests" in document and ("layers" in document or "config" in document):
        raise ManifestInvalid("a manifest with the field manifests must not have layers or config")
    if media_type in media_types.IMAGES and "manifests" in document:
        raise ManifestInvalid("an image manifest must not have the field manifests")
    if media_type in media_types.INDEXES and ("layers" in document or "config" in document):
        raise ManifestInvalid("an index must not have the fields layers or config")


def _edges(document: dict[str, Any], media_type: str) -> Iterator[Edge]:
    if media_type in media_types.IMAGES:
        yield Edge(EdgeKind.CONFIG, _descriptor(document.get("config"), "config"), required=True)
        yield from _layers(document, "layers")
    elif media_type in media_types.INDEXES:
        for position, child in enumerate(_array(document, "manifests")):
            yield Edge(EdgeKind.CHILD, _descriptor(child, f"manifests[{position}]"), required=True)
    elif media_type == media_types.OCI_ARTIFACT:
        yield from _layers(document, "blobs")
    else:
        yield from _descriptors_anywhere(document)


def _layers(document: dict[str, Any], field: str) -> Iterator[Edge]:
    for position, layer in enumerate(_array(document, field)):
        digest = _descriptor(layer, f"{field}[{position}]")
        required = not layer.get("urls") and media_types.is_distributable(str(layer.get("mediaType")))
        yield Edge(EdgeKind.LAYER, digest, required)


def _descriptors_anywhere(document: dict[str, Any]) -> Iterator[Edge]:
    """Each object with a digest and a size, subject aside: a type that is not known may put them where it likes.

    None is required: whether they have to be here, only the type itself could tell.
    """
    rest: list[Any] = [value for field, value in document.items() if field != "subject"]
    while rest:
        value = rest.pop()
        if isinstance(value, dict):
            if isinstance(value.get("digest"), str) and isinstance(value.get("size"), int):
                with suppress(DigestInvalid):  # a digest of some other world
                    yield Edge(EdgeKind.CHILD, Digest.parse(value["digest"]), required=False)
            rest.extend(value.values())
        elif isinstance(value, list):
            rest.extend(value)


def _array(document: dict[str, Any], field: str) -> list[Any]:
    """An array of the document; absent and null (Go's nil slice) are empty."""
    value = document.get(field)
    if value is None:
        return []
    if not isinstance(value, list):
        raise ManifestInvalid(f"{field} has to be an array")
    return value


def _descriptor(value: Any, field: str) -> Digest:
    """Check a descriptor and return its digest."""
    if not isinstance(value, dict):
        raise ManifestInvalid(f"{field} has to be a descriptor: an object with mediaType, digest and size")
    size = value.get("size")
    if not isinstance(size, int) or isinstance(size, bool) or not 0 <= size <= _SIZE_LIMIT:
        raise ManifestInvalid(f"{field}.size has to be a number of bytes")
    try:
        return Digest.parse(str(value.get("digest")))
    except DigestInvalid as error:
        raise ManifestInvalid(f"{field}.digest: {error}", {"digest": str(value.get("digest"))[:256]}) from None


def _subject(document: dict[str, Any], media_type: str) -> Digest | None:
    """What it is a referrer of; in a type that is not known, what is no descriptor means something else."""
    subject = document.get("subject")
    if subject is None:
        return None
    if media_type in media_types.KNOWN:
        return _descriptor(subject, "subject")
    with suppress(ManifestInvalid):
        return _descriptor(subject, "subject")
    return None


def _artifact_type(document: dict[str, Any], media_type: str) -> str | None:
    own = document.get("artifactType")
    if own is None or own == "":
        config = document.get("config")
        own = config.get("mediaType") if media_type in media_types.IMAGES and isinstance(config, dict) else None
    if own is not None and not (isinstance(own, str) and own.isprintable() and len(own) <= _TEXT_LIMIT):
        raise ManifestInvalid("artifactType has to be a media type", {"artifactType": str(own)[:256]})
    return own


def _annotations(document: dict[str, Any], media_type: str) -> dict[str, str]:
    """The annotations; of a type that is not known, what has another form is something else."""
    annotations = document.get("annotations")
    if isinstance(annotations, dict) and all(isinstance(value, str) for value in annotations.values()):
        return annotations
    if annotations is not None and media_type in media_types.KNOWN:
        raise ManifestInvalid("annotations have to be an object whose values are strings")
    return {}
