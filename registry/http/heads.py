"""The head of a request, where nothing about it is out of the ordinary.

Source: RFC 9112, sections 3 and 5. This reads a part of what is allowed, and reads that as everybody does.
"""

from __future__ import annotations

import re
from dataclasses import dataclass
from typing import TYPE_CHECKING

from registry.http.proxies import is_host

if TYPE_CHECKING:
    from collections.abc import Mapping

_REQUEST_LINE = re.compile(r"(GET|HEAD) (/[A-Za-z0-9._/:-]*)(?:\?([A-Za-z0-9._~=&-]*))? HTTP/1\.1")
_FIELD_NAME = re.compile(r"[A-Za-z0-9_-]+")

_FRAMING = frozenset({"content-length", "transfer-encoding", "expect", "upgrade", "te", "trailer", "http2-settings"})
"""With one of these a message may be more than its head."""


@dataclass(frozen=True, slots=True)
class Head:
    """A GET or HEAD without a body. ``path`` has no escapes; ``headers`` have lower-case names, each stands once."""

    method: str
    path: str
    query: bytes
    headers: Mapping[str, str]


def read_head(data: bytes) -> Head | None:
    """All of a head, its empty line too; None where any of it is not plain."""
    try:
        lines = str(data, "ascii").split("\r\n")
    except UnicodeDecodeError:
        return None
    request = _REQUEST_LINE.fullmatch(lines[0])
    if request is None or not "".join(lines).isprintable():  # neither a tab nor a lone CR or LF
        return None
    headers = _read_fields(lines[1:-2])
    if headers is None or not _is_plain(headers):
        return None
    return Head(request[1], request[2], (request[3] or "").encode(), headers)


def _read_fields(lines: list[str]) -> dict[str, str] | None:
    headers: dict[str, str] = {}
    for line in lines:
        name, colon, value = line.partition(":")
        key = name.lower()
        if not colon or key in headers or _FIELD_NAME.fullmatch(name) is None:
            return None
        headers[key] = value.strip(" ")
    return headers


def _is_plain(headers: Mapping[str, str]) -> bool:
    """Whether the head is the whole request, the connection stays, and who is asked is said as it should be."""
    is_kept = headers.get("connection", "keep-alive").lower() == "keep-alive"
    return is_kept and _FRAMING.isdisjoint(headers) and is_host(headers.get("host", ""))
