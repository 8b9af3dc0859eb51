"""Requests and answers, free of any framework; and what every answer with content has in common."""

from __future__ import annotations

import json
import os
from functools import lru_cache
from typing import TYPE_CHECKING, Any, NamedTuple

from registry.oci.conditions import NO_CONDITION, Condition, entity_tag
from registry.oci.errors import PreconditionFailed

if TYPE_CHECKING:
    from collections.abc import Mapping

    from registry.http.monitor import Monitor
    from registry.http.parameters import Query
    from registry.oci.digests import Digest
    from registry.service.blobs import OpenBlob
    from registry.service.bodies import Body
    from registry.service.principals import Principal

_JSON = json.JSONEncoder(ensure_ascii=False, separators=(",", ":"))

IMMUTABLE = "max-age=31536000, immutable"
"""Cache-Control of what is asked for by its digest (RFC 8246)."""


class Request(NamedTuple):
    """A request whose head has been read. ``headers`` have lower-case names; a repeated one is joined by ", "."""

    method: str
    query: Query
    headers: Mapping[str, str]
    body: Body
    principal: Principal
    monitor: Monitor

    @property
    def content_length(self) -> int | None:
        """None where only the end of the body tells; the server has checked the syntax."""
        value = self.headers.get("content-length")
        return None if value is None else int(value)

    @property
    def condition(self) -> Condition:
        return Condition.parse(self.headers.get("if-match"), self.headers.get("if-none-match"))


class FileSlice(NamedTuple):
    """Bytes of an open blob. Whoever sends the answer closes its descriptor, sent or not."""

    file: OpenBlob
    start: int
    length: int

    def close(self) -> None:
        os.close(self.file.descriptor)


class Answer(NamedTuple):
    """``length`` is announced where it is not that of the body: the answer to HEAD has the headers of GET.

    ``is_settled``: it follows from rows and settings alone, and nothing has to be written for the next one who asks.
    """

    status: int
    headers: tuple[tuple[str, str], ...] = ()
    body: bytes | FileSlice = b""
    length: int | None = None
    is_settled: bool = False

    @property
    def content_length(self) -> int | None:
        """What Content-Length says; None for a status that has none (RFC 9110, section 8.6)."""
        if self.status in {204, 304}:
            return None
        if self.length is not None:
            return self.length
        return self.body.length if isinstance(self.body, FileSlice) else len(self.body)


def json_answer(status: int, document: Any, *headers: tuple[str, str]) -> Answer:
    body = _JSON.encode(document).encode("utf-8", "backslashreplace")
    if not any(name == "Content-Type" for name, _ in headers):
        headers = (("Content-Type", "application/json"), *headers)
    return Answer(status, headers, body)


API_VERSION = ("Docker-Distribution-Api-Version", "registry/2.0")


def common_headers(request_id: str) -> tuple[tuple[str, str], ...]:
    """Those of every answer."""
    return API_VERSION, ("X-Request-Id", request_id)


@lru_cache(maxsize=1024)
def content_headers(digest: Digest, content_type: str, *, by_digest: bool) -> tuple[tuple[str, str], ...]:
    """The headers of a blob or manifest: they are the same in 200, 206 and 304."""
    return (
        ("Content-Type", content_type),
        ("Docker-Content-Digest", str(digest)),
        ("ETag", entity_tag(digest)),
        ("Cache-Control", IMMUTABLE if by_digest else "no-cache"),
    )


def is_not_modified(request: Request, digest: Digest) -> bool:
    """Whether the client has the content already (304). Raises PreconditionFailed where it wants another one."""
    condition = request.condition
    if condition is NO_CONDITION:
        return False
    if not condition.is_expected(digest):
        raise PreconditionFailed(digest)
    return condition.is_known(digest)
