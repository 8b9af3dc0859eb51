"""The head of a request, where nothing about it is out of the ordinary.

Source: RFC 9112, sections 3, 5 and 6. This reads a part of what is allowed, and reads that as everybody does.
"""

from __future__ import annotations

import re
from functools import lru_cache
from typing import TYPE_CHECKING, NamedTuple

from registry.http.proxies import is_host

if TYPE_CHECKING:
    from collections.abc import Mapping

_REQUEST_LINE = re.compile(r"(GET|HEAD|POST|PUT|PATCH) (/[A-Za-z0-9._/:-]*)(?:\?([A-Za-z0-9._~=&:/%+-]*))? HTTP/1\.1")
_FIELD_NAME = re.compile(r"[A-Za-z0-9_-]+")
_LENGTH = re.compile(r"[0-9]{1,18}")

_KEPT_LENGTH = 4096
"""Of fields that are remembered: an idle connection costs little."""

_KEPT_FIELDS = 2
"""Those of a request with a body, and those of the request before it, which has none."""

_KEPT_LINE_LENGTH = 512
_KEPT_LINES = 1024
"""Of all connections: what is asked for most is asked for in the same words."""

_FRAMING = frozenset({"content-length", "transfer-encoding", "expect"})
"""With one of these a message may be more than its head."""

_READS = frozenset({"GET", "HEAD"})

_ODD = frozenset({"upgrade", "te", "trailer", "http2-settings"})


class Head(NamedTuple):
    """``path`` has no escapes; ``headers`` have lower-case names, each stands once. A GET or HEAD has no body."""

    method: str
    path: str
    query: bytes
    headers: Mapping[str, str]

    @property
    def body_bytes(self) -> int | None:
        """The length of the body; None where it is chunked."""
        return None if "transfer-encoding" in self.headers else int(self.headers.get("content-length", 0))

    @property
    def is_alone(self) -> bool:
        """Whether nothing but the head belongs to the request."""
        return self.method in _READS or _FRAMING.isdisjoint(self.headers)

    @property
    def expects_continue(self) -> bool:
        """Whether the client waits to be told that its body is wanted (RFC 9110, section 10.1.1)."""
        return "expect" in self.headers


class Fields:
    """The fields of a connection's heads: a client mostly sends the same ones again."""

    __slots__ = ("_known",)

    def __init__(self) -> None:
        self._known: dict[str, Mapping[str, str] | None] = {}

    def read(self, text: str) -> Mapping[str, str] | None:
        """Each with the end of its line, and the empty line; None where any of it is not plain."""
        if text in self._known:
            headers = self._known[text] = self._known.pop(text)  # the other one goes first: lengths differ
            return headers
        headers = _read_fields(text)
        if headers is not None and not _is_plain(headers):
            headers = None
        if len(text) <= _KEPT_LENGTH:
            if len(self._known) == _KEPT_FIELDS:
                del self._known[next(iter(self._known))]
            self._known[text] = headers
        return headers


def read_head(data: bytes, fields: Fields) -> Head | None:
    """All of a head, its empty line too; None where any of it is not plain. ``fields`` are those of the connection."""
    try:
        line, _, rest = str(data, "ascii").partition("\r\n")
    except UnicodeDecodeError:
        return None
    request = _recall_line(line) if len(line) <= _KEPT_LINE_LENGTH else _read_line(line)
    if request is None:
        return None
    headers = fields.read(rest)
    if headers is None or not _has_plain_body(request[0], headers):
        return None
    return Head(*request, headers)


def _read_line(line: str) -> tuple[str, str, bytes] | None:
    """Method, path and query."""
    request = _REQUEST_LINE.fullmatch(line)
    if request is None:
        return None
    method, path, query = request.groups("")
    return method, path, query.encode()


_recall_line = lru_cache(maxsize=_KEPT_LINES)(_read_line)


def _read_fields(text: str) -> dict[str, str] | None:
    lines = text.split("\r\n")
    if not "".join(lines).isprintable():  # neither a tab nor a lone CR or LF
        return None
    headers: dict[str, str] = {}
    for line in lines[:-2]:
        name, colon, value = line.partition(":")
        key = name.lower()
        if not colon or key in headers or _FIELD_NAME.fullmatch(name) is None:
            return None
        headers[key] = value.strip(" ")
    return headers


def _is_plain(headers: Mapping[str, str]) -> bool:
    """Whether the connection stays, and who is asked is said as it should be."""
    is_kept = headers.get("connection", "keep-alive").lower() == "keep-alive"
    return is_kept and _ODD.isdisjoint(headers) and is_host(headers.get("host", ""))


def _has_plain_body(method: str, headers: Mapping[str, str]) -> bool:
    """Whether there is one way to read where the message ends (RFC 9112, section 6.3)."""
    if _FRAMING.isdisjoint(headers):
        return True
    if method in _READS or headers.get("expect", "100-continue").lower() != "100-continue":
        return False
    length, coding = headers.get("content-length"), headers.get("transfer-encoding")
    if length is not None:
        return coding is None and _LENGTH.fullmatch(length) is not None
    return coding is not None and coding.lower() == "chunked"
