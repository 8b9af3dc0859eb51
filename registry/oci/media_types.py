"""Media types of manifests and layers (image-spec, media-types.md; Docker image manifest version 2, schema 2)."""

from __future__ import annotations

import re

OCI_IMAGE = "application/vnd.oci.image.manifest.v1+json"
OCI_INDEX = "application/vnd.oci.image.index.v1+json"
OCI_ARTIFACT = "application/vnd.oci.artifact.manifest.v1+json"
DOCKER_IMAGE = "application/vnd.docker.distribution.manifest.v2+json"
DOCKER_LIST = "application/vnd.docker.distribution.manifest.list.v2+json"

IMAGES = frozenset({OCI_IMAGE, DOCKER_IMAGE})
INDEXES = frozenset({OCI_INDEX, DOCKER_LIST})
KNOWN = IMAGES | INDEXES | {OCI_ARTIFACT}

SCHEMA_1 = frozenset(
    {
        "application/vnd.docker.distribution.manifest.v1+json",
        "application/vnd.docker.distribution.manifest.v1+prettyjws",
    }
)

_MEDIA_TYPE = re.compile(r"[A-Za-z0-9][\w!#$&^.+-]{0,126}/[A-Za-z0-9][\w!#$&^.+-]{0,126}", re.ASCII)
_NOT_DISTRIBUTABLE = re.compile(
    r"application/vnd\.oci\.image\.layer\.nondistributable\.v1\.tar(\+\w+)?"
    r"|application/vnd\.docker\.image\.rootfs\.foreign\.diff\.tar(\.\w+)?"
)


def is_media_type(text: str) -> bool:
    """RFC 6838, section 4.2."""
    return _MEDIA_TYPE.fullmatch(text) is not None


def is_distributable(layer_type: str) -> bool:
    """Whether a registry can be expected to hold a layer of this type."""
    return _NOT_DISTRIBUTABLE.fullmatch(layer_type) is None


def without_parameters(content_type: str | None) -> str | None:
    """The media type of a Content-Type header, None where there is none."""
    if content_type is None:
        return None
    return content_type.partition(";")[0].strip().lower() or None
