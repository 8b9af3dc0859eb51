"""Answers about blobs (end-2, end-10)."""

from __future__ import annotations

from typing import TYPE_CHECKING

from registry.http import parameters
from registry.http.answers import Answer, FileSlice, content_headers, is_not_modified
from registry.oci.conditions import entity_tag
from registry.oci.ranges import ByteRange, parse_range
from registry.service import blobs

if TYPE_CHECKING:
    from registry.http.answers import Request
    from registry.oci.names import RepositoryName
    from registry.service.blobs import Blob
    from registry.service.registry import Registry

_CONTENT_TYPE = "application/octet-stream"


async def get(registry: Registry, request: Request, repository: RepositoryName, digest: str) -> Answer:
    """The whole blob, or one range of it (RFC 9110, section 14)."""
    blob = await blobs.find(registry, repository, parameters.digest(digest), is_pull=True)
    headers = _headers(blob)
    if is_not_modified(request, blob.digest):
        return Answer(304, headers, is_settled=blob.is_settled)
    part = _part(request, blob)
    status, span = 200, ByteRange(0, blob.size)
    if part is not None:
        status, span = 206, part
        headers += (("Content-Range", f"bytes {part.start}-{part.stop - 1}/{blob.size}"),)
    content = await blobs.read_small(registry, blob)
    if content is not None:
        return Answer(
            status, headers, content if part is None else content[part.start : part.stop], is_settled=blob.is_settled
        )
    file = await blobs.open_file(registry, blob, whole=part is None)
    return Answer(status, headers, FileSlice(file, span.start, span.length), is_settled=blob.is_settled)


async def head(registry: Registry, request: Request, repository: RepositoryName, digest: str) -> Answer:
    blob = await blobs.find(registry, repository, parameters.digest(digest))
    if is_not_modified(request, blob.digest):
        return Answer(304, _headers(blob), is_settled=blob.is_settled)
    return Answer(200, _headers(blob), length=blob.size, is_settled=blob.is_settled)


async def delete(registry: Registry, request: Request, repository: RepositoryName, digest: str) -> Answer:
    await blobs.delete(registry, repository, parameters.digest(digest), request.principal)
    return Answer(202)


def _headers(blob: Blob) -> tuple[tuple[str, str], ...]:
    return (*content_headers(blob.digest, _CONTENT_TYPE, by_digest=True), ("Accept-Ranges", "bytes"))


def _part(request: Request, blob: Blob) -> ByteRange | None:
    """The range that is asked for; None for the whole. Raises RangeNotSatisfiable."""
    header = request.headers.get("range")
    if header is None or request.headers.get("if-range", entity_tag(blob.digest)) != entity_tag(blob.digest):
        return None
    return parse_range(header, blob.size)
