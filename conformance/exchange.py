"""What goes over the wire, and what is kept of it."""

from __future__ import annotations

import json
from dataclasses import dataclass
from typing import Any
from urllib.parse import parse_qsl, urlencode, urljoin, urlsplit

from conformance.case import Failed


@dataclass(frozen=True, slots=True)
class Reply:
    """Header names are in lower case; ``url`` is the one that answered."""

    method: str
    url: str
    status: int
    headers: tuple[tuple[str, str], ...]
    body: bytes

    def values(self, name: str) -> list[str]:
        return [value for key, value in self.headers if key == name.lower()]

    def header(self, name: str) -> str | None:
        values = self.values(name)
        return ", ".join(values) if values else None

    def location(self) -> str:
        """The absolute form of the header Location. Raises Failed."""
        value = self.header("location")
        if not value:
            raise Failed("a Location header", f"none, with status {self.status}")
        return urljoin(self.url, value)

    def json(self) -> Any:
        """Raises Failed."""
        try:
            return json.loads(self.body)
        except ValueError:
            raise Failed("a JSON body", repr(self.body[:100])) from None


@dataclass(frozen=True, slots=True)
class Message:
    """One direction of an exchange, with the beginning of its body; a request has the status 0."""

    head: str
    status: int
    headers: tuple[tuple[str, str], ...]
    body: bytes
    size: int


@dataclass(frozen=True, slots=True)
class Exchange:
    """``error`` tells why there is no answer, where there is none."""

    request: Message
    answer: Message | None
    error: str
    seconds: float


def with_query(url: str, **parameters: str | list[str]) -> str:
    """The URL with more query parameters: a registry may have put some of its own there."""
    parts = urlsplit(url)
    query = [*parse_qsl(parts.query, keep_blank_values=True)]
    for name, value in parameters.items():
        query += [(name.replace("_", "-"), each) for each in ([value] if isinstance(value, str) else value)]
    return parts._replace(query=urlencode(query)).geturl()
