"""The end points that a read worker answers: what is asked for most, as far as it only reads."""

from __future__ import annotations

from typing import TYPE_CHECKING, Final

from registry.http import blobs, listings, manifests
from registry.http.answers import Answer, FileSlice
from registry.http.route import Method, Route
from registry.service.access import Action
from registry.service.here import NotHere

if TYPE_CHECKING:
    from registry.http.answers import Request
    from registry.oci.names import RepositoryName
    from registry.service.registry import Registry


async def _get_blob(registry: Registry, request: Request, repository: RepositoryName, digest: str) -> Answer:
    """Who reads a file that was not verified lately writes down what was found: raises NotHere."""
    answer = await blobs.get(registry, request, repository, digest)
    if isinstance(answer.body, FileSlice) and answer.body.file.content_hash is not None:
        answer.body.close()
        raise NotHere
    return answer


READ_ROUTES: Final = {
    route.name: route
    for route in (
        Route("version", "/v2/", {"GET": Method(listings.version_check, Action.DISCOVER)}),
        Route("tags", "/v2/<path:name>/tags/list", {"GET": Method(listings.tags, Action.PULL)}),
        Route(
            "manifest",
            "/v2/<path:name>/manifests/<reference>",
            {"GET": Method(manifests.get, Action.PULL), "HEAD": Method(manifests.head, Action.PULL)},
        ),
        Route(
            "blob",
            "/v2/<path:name>/blobs/<digest>",
            {"GET": Method(_get_blob, Action.PULL), "HEAD": Method(blobs.head, Action.PULL)},
        ),
    )
}
"""By name."""
