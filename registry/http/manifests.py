"""Answers about manifests (end-3, end-7, end-9)."""

from __future__ import annotations

from typing import TYPE_CHECKING

from registry.http import parameters
from registry.http.answers import Answer, content_headers, is_not_modified
from registry.oci.digests import Digest
from registry.oci.errors import ManifestTooLarge, ParameterInvalid
from registry.oci.manifest import LIMIT_BYTES
from registry.service import bodies, manifests
from registry.service.manifests import Content

if TYPE_CHECKING:
    from registry.http.answers import Request
    from registry.oci.names import RepositoryName
    from registry.service.registry import Registry


async def get(registry: Registry, request: Request, repository: RepositoryName, reference: str) -> Answer:
    """The bytes as pushed, whatever Accept says: one reference, one manifest."""
    wanted = parameters.known_reference(reference)
    content = await manifests.read(registry, repository, wanted)
    manifest = content.manifest
    headers = content_headers(manifest.digest, manifest.media_type, by_digest=isinstance(wanted, Digest))
    if is_not_modified(request, manifest.digest):
        return Answer(304, headers, is_settled=manifest.is_settled)
    return Answer(200, headers, content.body, is_settled=manifest.is_settled)


async def head(registry: Registry, request: Request, repository: RepositoryName, reference: str) -> Answer:
    wanted = parameters.known_reference(reference)
    manifest = await manifests.find(registry, repository, wanted)
    headers = content_headers(manifest.digest, manifest.media_type, by_digest=isinstance(wanted, Digest))
    if is_not_modified(request, manifest.digest):
        return Answer(304, headers, is_settled=manifest.is_settled)
    return Answer(200, headers, length=manifest.size, is_settled=manifest.is_settled)


async def put(registry: Registry, request: Request, repository: RepositoryName, reference: str) -> Answer:
    """Push by tag, or by digest with any number of ``tag`` parameters."""
    target = parameters.reference(reference)
    more_tags = parameters.tags(request.query)
    if more_tags and not isinstance(target, Digest):
        raise ParameterInvalid("the parameter tag needs a digest in the path, not a tag")
    body = await _read_body(request)
    content = Content(body, request.headers.get("content-type"))
    pushed = await manifests.push(
        registry, repository, target, more_tags, content, request.condition, request.principal
    )
    headers = [
        ("Location", f"/v2/{repository}/manifests/{pushed.digest}"),
        ("Docker-Content-Digest", str(pushed.digest)),
    ]
    if more_tags:
        headers.append(("OCI-Tag", ", ".join(map(str, more_tags))))
    if pushed.subject is not None:
        headers.append(("OCI-Subject", str(pushed.subject)))
    return Answer(201, tuple(headers))


async def delete(registry: Registry, request: Request, repository: RepositoryName, reference: str) -> Answer:
    wanted = parameters.known_reference(reference)
    await manifests.delete(registry, repository, wanted, request.condition, request.principal)
    return Answer(202)


async def _read_body(request: Request) -> bytes:
    """The whole body. Raises ManifestTooLarge before more than the limit is held."""
    if (request.content_length or 0) > LIMIT_BYTES:
        raise ManifestTooLarge(LIMIT_BYTES)
    try:
        return await bodies.read(request.body, LIMIT_BYTES)
    except bodies.BodyTooLong:
        raise ManifestTooLarge(LIMIT_BYTES) from None
