"""Content to push, made on the spot: random, so that no registry has seen it before."""

from __future__ import annotations

import hashlib
import json
import os
from dataclasses import dataclass
from typing import Any, Final

OCI_IMAGE: Final = "application/vnd.oci.image.manifest.v1+json"
OCI_INDEX: Final = "application/vnd.oci.image.index.v1+json"
OCI_CONFIG: Final = "application/vnd.oci.image.config.v1+json"
OCI_LAYER: Final = "application/vnd.oci.image.layer.v1.tar"
OCI_EMPTY: Final = "application/vnd.oci.empty.v1+json"
FOREIGN_LAYER: Final = "application/vnd.oci.image.layer.nondistributable.v1.tar"
DOCKER_IMAGE: Final = "application/vnd.docker.distribution.manifest.v2+json"
DOCKER_LIST: Final = "application/vnd.docker.distribution.manifest.list.v2+json"
DOCKER_CONFIG: Final = "application/vnd.docker.container.image.v1+json"
DOCKER_LAYER: Final = "application/vnd.docker.image.rootfs.diff.tar.gzip"

Descriptor = dict[str, Any]


def digest_of(content: bytes, algorithm: str = "sha256") -> str:
    return f"{algorithm}:{hashlib.new(algorithm, content).hexdigest()}"


def unknown_digest(algorithm: str = "sha256") -> str:
    """The digest of something that nobody has pushed."""
    return digest_of(os.urandom(32), algorithm)


def random_blob(size: int = 512) -> bytes:
    return os.urandom(size)


def descriptor(content: bytes, media_type: str, algorithm: str = "sha256", **more: Any) -> Descriptor:
    return {"mediaType": media_type, "digest": digest_of(content, algorithm), "size": len(content), **more}


@dataclass(frozen=True, slots=True)
class Manifest:
    """The bytes of a manifest, and the blobs that have to be there before it."""

    body: bytes
    media_type: str
    blobs: tuple[bytes, ...] = ()

    @property
    def digest(self) -> str:
        return digest_of(self.body)

    def descriptor(self, **more: Any) -> Descriptor:
        return descriptor(self.body, self.media_type, **more)


def manifest(media_type: str, *blobs: bytes, **fields: Any) -> Manifest:
    document = {"schemaVersion": 2, "mediaType": media_type, **fields}
    return Manifest(json.dumps(document).encode(), media_type, blobs)


def config() -> bytes:
    return json.dumps({"architecture": "amd64", "os": "linux", "created by": os.urandom(8).hex()}).encode()


def image(*layers: bytes, algorithm: str = "sha256", **fields: Any) -> Manifest:
    """An OCI image of these layers, or of a random one; ``fields`` add to the manifest or replace what it has."""
    layers = layers or (random_blob(),)
    own_config = config()
    described = {
        "config": descriptor(own_config, OCI_CONFIG, algorithm),
        "layers": [descriptor(layer, OCI_LAYER, algorithm) for layer in layers],
    }
    return manifest(OCI_IMAGE, own_config, *layers, **{**described, **fields})


def index(*children: Manifest, **fields: Any) -> Manifest:
    """An OCI index; its children have to be pushed before it."""
    return manifest(OCI_INDEX, **{"manifests": [child.descriptor() for child in children], **fields})


def artifact(**fields: Any) -> Manifest:
    """An OCI artifact without content of its own, as a signature or an attestation may be."""
    empty = b"{}"
    described = {
        "artifactType": "application/vnd.example.test",
        "config": descriptor(empty, OCI_EMPTY),
        "layers": [descriptor(empty, OCI_EMPTY)],
        "annotations": {"org.example.unique": os.urandom(8).hex()},
    }
    return manifest(OCI_IMAGE, empty, **{**described, **fields})
