"""Manifests and blobs as the model of the registry knows them: their bytes, and what they mean."""

from __future__ import annotations

import json
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any

from registry.oci.media_types import OCI_IMAGE, OCI_INDEX
from tests.tools.content import CONFIG_TYPE, LAYER_TYPE, digest_of

if TYPE_CHECKING:
    from collections.abc import Sequence

OTHER = "application/vnd.example.bill+json"
FOREIGN_LAYER = "application/vnd.oci.image.layer.nondistributable.v1.tar"


@dataclass(frozen=True)
class Blob:
    content: bytes
    digest: str

    def descriptor(self, _algorithm: str = "", *, media_type: str = LAYER_TYPE) -> dict[str, Any]:
        return {"mediaType": media_type, "digest": self.digest, "size": len(self.content)}


@dataclass(frozen=True)
class Manifest:
    """A manifest's bytes, and what they mean.

    ``parts`` may have to be pushed before it, ``refers`` holds the digests of all content, subject aside; ``shown`` is
    what a list of referrers shows beside type, digest and size.
    """

    body: bytes
    media_type: str
    parts: tuple[Blob | Manifest, ...]
    refers: frozenset[str]
    required_blobs: frozenset[str] = frozenset()
    required_children: frozenset[str] = frozenset()
    subject: str | None = None
    shown: dict[str, Any] = field(default_factory=dict)

    def digest(self, algorithm: str = "sha256") -> str:
        return digest_of(self.body, algorithm)

    def descriptor(self, algorithm: str) -> dict[str, Any]:
        return {"mediaType": self.media_type, "digest": self.digest(algorithm), "size": len(self.body)}


@dataclass(frozen=True)
class About:
    """The fields that every kind of manifest may have."""

    subject: str | None = None
    artifact_type: str | None = None
    annotations: dict[str, str] = field(default_factory=dict)

    def fields(self) -> dict[str, Any]:
        subject = {"subject": {"mediaType": OCI_IMAGE, "digest": self.subject, "size": 1}} if self.subject else {}
        return {**subject, **self.shown()}

    def shown(self, default_type: str | None = None) -> dict[str, Any]:
        shown = {"artifactType": self.artifact_type or default_type, "annotations": self.annotations}
        return {name: value for name, value in shown.items() if value}


def image(media_type: str, config: Blob, layers: Sequence[Blob], foreign: Sequence[Blob], about: About) -> Manifest:
    """An image; its ``foreign`` layers need not be in the registry."""
    descriptors = [each.descriptor() for each in layers]
    descriptors += [each.descriptor(media_type=FOREIGN_LAYER) for each in foreign]
    body = _to_json(media_type, about, config=config.descriptor(media_type=CONFIG_TYPE), layers=descriptors)
    parts = (config, *layers)
    required = _digests(parts)
    refers = required | _digests(foreign)
    return Manifest(body, media_type, parts, refers, required, subject=about.subject, shown=about.shown(CONFIG_TYPE))


def index(children: Sequence[Blob | Manifest], algorithm: str, about: About) -> Manifest:
    """An index of manifests, or of blobs, as a build cache has it. ``algorithm`` names the manifests."""
    descriptors = [each.descriptor(algorithm) for each in children]
    body = _to_json(OCI_INDEX, about, manifests=descriptors)
    digests = frozenset(each["digest"] for each in descriptors)
    parts, shown = tuple(children), about.shown()
    return Manifest(body, OCI_INDEX, parts, digests, required_children=digests, subject=about.subject, shown=shown)


def other(parts: Sequence[Blob], about: About) -> Manifest:
    """A type that the registry does not know: nothing has to be there, and what is there is referred to."""
    body = _to_json(OTHER, about, parts={"list": [part.descriptor() for part in parts]})
    return Manifest(body, OTHER, tuple(parts), _digests(parts), subject=about.subject, shown=about.shown())


def _to_json(media_type: str, about: About, **more: Any) -> bytes:
    return json.dumps({"schemaVersion": 2, "mediaType": media_type, **more, **about.fields()}).encode()


def _digests(blobs: Sequence[Blob]) -> frozenset[str]:
    return frozenset(blob.digest for blob in blobs)
