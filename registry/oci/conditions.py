"""Conditional requests (RFC 9110, section 13): the entity tag of content is its digest, in quotes."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from registry.oci.digests import Digest

_ANY = "*"


def entity_tag(digest: Digest) -> str:
    return f'"{digest}"'


@dataclass(frozen=True, slots=True)
class Condition:
    """``if_match`` and ``if_none_match`` hold the tags of these headers, None where the header is absent."""

    if_match: frozenset[str] | None
    if_none_match: frozenset[str] | None

    @classmethod
    def parse(cls, if_match: str | None, if_none_match: str | None) -> Condition:
        """Read the values of the two headers; a weak tag matches only in If-None-Match."""
        if if_match is None and if_none_match is None:
            return NO_CONDITION
        return cls(_tags(if_match, weak=False), _tags(if_none_match, weak=True))

    @property
    def is_absent(self) -> bool:
        return self.if_match is None and self.if_none_match is None

    def is_met(self, current: Digest | None) -> bool:
        """Whether a request may change what is now ``current`` (None: nothing is there)."""
        return self.is_expected(current) and not self.is_known(current)

    def is_expected(self, current: Digest | None) -> bool:
        """Whether If-Match, if it is there, names what is there."""
        return self.if_match is None or _names(self.if_match, current)

    def is_known(self, current: Digest | None) -> bool:
        """Whether If-None-Match names what is there: to a GET the answer is then 304."""
        return self.if_none_match is not None and _names(self.if_none_match, current)


NO_CONDITION = Condition(None, None)


def _tags(header: str | None, *, weak: bool) -> frozenset[str] | None:
    if header is None:
        return None
    tags = (tag.strip() for tag in header.split(","))
    return frozenset(tag.removeprefix("W/") if weak else tag for tag in tags)


def _names(tags: frozenset[str], current: Digest | None) -> bool:
    return current is not None and (_ANY in tags or entity_tag(current) in tags)
