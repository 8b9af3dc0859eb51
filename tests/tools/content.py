"""Content to push: manifests made of what is passed in, and the few requests that most tests begin with."""

from __future__ import annotations

import hashlib
import json
from typing import TYPE_CHECKING, Any

from registry.oci.media_types import OCI_IMAGE, OCI_INDEX

if TYPE_CHECKING:
    from tests.tools.asgi import Client, Reply

CONFIG = b"{}"
CONFIG_TYPE = "application/vnd.oci.image.config.v1+json"
LAYER_TYPE = "application/vnd.oci.image.layer.v1.tar"


def digest_of(content: bytes, algorithm: str = "sha256") -> str:
    return f"{algorithm}:{hashlib.new(algorithm, content).hexdigest()}"


def descriptor(content: bytes, media_type: str, **more: Any) -> dict[str, Any]:
    return {"mediaType": media_type, "digest": digest_of(content), "size": len(content), **more}


def image(*layers: bytes, config: bytes = CONFIG, **more: Any) -> bytes:
    """An OCI image manifest."""
    return to_json(
        {
            "schemaVersion": 2,
            "mediaType": OCI_IMAGE,
            "config": descriptor(config, CONFIG_TYPE),
            "layers": [descriptor(layer, LAYER_TYPE) for layer in layers],
            **more,
        }
    )


def index(*children: bytes, **more: Any) -> bytes:
    """An OCI image index."""
    return to_json(
        {
            "schemaVersion": 2,
            "mediaType": OCI_INDEX,
            "manifests": [descriptor(child, json.loads(child)["mediaType"]) for child in children],
            **more,
        }
    )


def to_json(document: Any) -> bytes:
    return json.dumps(document).encode()


async def push_blob(client: Client, name: str, content: bytes, algorithm: str = "sha256") -> str:
    """Push in one request; the digest."""
    digest = digest_of(content, algorithm)
    reply = await client("POST", f"/v2/{name}/blobs/uploads/?digest={digest}", content)
    assert reply.status == 201, reply
    return digest


async def push_manifest(client: Client, name: str, reference: str, manifest: bytes) -> Reply:
    media_type = json.loads(manifest)["mediaType"]
    return await client("PUT", f"/v2/{name}/manifests/{reference}", manifest, {"Content-Type": media_type})


async def push_image(client: Client, name: str, reference: str, *layers: bytes, **more: Any) -> bytes:
    """Push config, layers and manifest; the manifest's bytes."""
    for content in (CONFIG, *layers):
        await push_blob(client, name, content)
    manifest = image(*layers, **more)
    reply = await push_manifest(client, name, reference, manifest)
    assert reply.status == 201, reply
    return manifest


async def begin_upload(client: Client, name: str, query: str = "") -> str:
    """Open a session; its location."""
    reply = await client("POST", f"/v2/{name}/blobs/uploads/{query}")
    assert reply.status == 202, reply
    return reply.headers["location"]
