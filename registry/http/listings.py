"""Answers that list: tags (end-8), repositories, referrers (end-12), extensions; and the version check (end-1)."""

from __future__ import annotations

from typing import TYPE_CHECKING
from urllib.parse import urlencode

from registry.http import parameters
from registry.http.answers import Answer, json_answer
from registry.oci.media_types import OCI_INDEX
from registry.service import manifests

if TYPE_CHECKING:
    from registry.http.answers import Request
    from registry.oci.names import RepositoryName
    from registry.service.registry import Registry

_SPEC = "https://github.com/opencontainers/distribution-spec/blob/main"


async def version_check(_registry: Registry, _request: Request) -> Answer:
    return json_answer(200, {})


async def tags(registry: Registry, request: Request, repository: RepositoryName) -> Answer:
    size = parameters.page_size(request.query)
    names = await manifests.list_tags(registry, repository, request.query.one("last") or "", size + 1)
    page, headers = _page(f"/v2/{repository}/tags/list", names, size)
    answer = json_answer(200, {"name": str(repository), "tags": page}, *headers)
    return answer._replace(is_settled=True)


async def catalog(registry: Registry, request: Request) -> Answer:
    size = parameters.page_size(request.query)
    last = request.query.one("last") or ""
    names = await manifests.list_repositories(registry, request.principal, last, size + 1)
    page, headers = _page("/v2/_catalog", names, size)
    return json_answer(200, {"repositories": page}, *headers)


async def referrers(registry: Registry, request: Request, repository: RepositoryName, digest: str) -> Answer:
    """An index of the manifests whose subject is the digest; empty where nobody knows of it."""
    subject = parameters.digest(digest)
    # A media type holds no space: it is a plus sign that the client did not encode.
    artifact_type = (request.query.one("artifactType") or "").replace(" ", "+") or None
    size = parameters.page_size(request.query) or parameters.PAGE_LIMIT
    page, more = await manifests.list_referrers(
        registry, repository, subject, artifact_type, request.query.one("last") or "", size
    )
    headers = [("Content-Type", OCI_INDEX)]
    if artifact_type is not None:
        headers.append(("OCI-Filters-Applied", "artifactType"))
    if more:
        query = {"n": str(size), "last": str(page[-1].digest)}
        if artifact_type is not None:
            query["artifactType"] = artifact_type
        headers.append(_next_link(f"/v2/{repository}/referrers/{subject}", query))
    index = {"schemaVersion": 2, "mediaType": OCI_INDEX, "manifests": [each.descriptor() for each in page]}
    return json_answer(200, index, *headers)


async def extensions(_registry: Registry, _request: Request) -> Answer:
    """Source: distribution-spec, extensions/_oci.md."""
    known = [
        {
            "name": "_oci",
            "description": "lists the extensions of this registry",
            "url": f"{_SPEC}/extensions/_oci.md",
            "endpoints": ["/v2/_oci/ext/discover"],
        },
        {
            "name": "_catalog",
            "description": "lists the repositories of this registry",
            "url": f"{_SPEC}/extensions/README.md",
            "endpoints": ["/v2/_catalog"],
        },
    ]
    return json_answer(200, {"extensions": known})


def _page(path: str, names: list[str], size: int) -> tuple[list[str], list[tuple[str, str]]]:
    """Cut a listing that was asked for one entry more than it shows; with a Link where that one is there."""
    if size == 0 or len(names) <= size:
        return names[:size], []
    return names[:size], [_next_link(path, {"n": str(size), "last": names[size - 1]})]


def _next_link(path: str, query: dict[str, str]) -> tuple[str, str]:
    """RFC 8288 (which replaces RFC 5988)."""
    return "Link", f'<{path}?{urlencode(query)}>; rel="next"'
