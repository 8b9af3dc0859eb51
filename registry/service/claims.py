"""Which claims of a token are asked for, and what groups they are worth."""

from __future__ import annotations

import re
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator, Mapping

_WILDCARD = re.compile(r"(\*+)")


@dataclass(frozen=True, slots=True)
class ClaimRule:
    """A token whose claims match all of ``claims`` is in ``groups``.

    ``claims`` has the shape of the token's claims, key by key: a key that holds a dot is one key. Its leaves are
    patterns, lists of patterns (one of which has to match), numbers and truths. A claim that is a list matches nothing.
    """

    claims: Mapping[str, Any]
    groups: frozenset[str]

    def find_mismatch(self, claims: Mapping[str, Any]) -> str | None:
        """The path of the first claim that is missing or does not match, None where all match."""
        return next(_mismatches(self.claims, claims, ""), None)


def _mismatches(wanted: Mapping[str, Any], claims: Any, path: str) -> Iterator[str]:
    for name, expected in wanted.items():
        found = claims.get(name) if isinstance(claims, dict) else None
        if isinstance(expected, dict):
            yield from _mismatches(expected, found, f"{path}{name}.")
        elif not _is_match(expected, found):
            yield f"{path}{name}"


def _is_match(expected: Any, found: Any) -> bool:
    if isinstance(expected, str):
        return isinstance(found, str) and matches(expected, found)
    if isinstance(expected, list):
        return any(_is_match(each, found) for each in expected)
    is_same_kind = isinstance(expected, bool) is isinstance(found, bool)  # in Python, True is 1
    return is_same_kind and isinstance(found, int | float) and found == expected


def matches(pattern: str, text: str) -> bool:
    """Whether the pattern is all of the text, letter by letter; ``*`` is anything without a "/", ``**`` anything.

    It takes time in proportion to both, whatever the text: a regular expression could be made to try for ever.
    """
    ends = [0]
    for part in filter(None, _WILDCARD.split(pattern)):
        ends = list(_ends(part, text, ends))
    return len(text) in ends


def _ends(part: str, text: str, starts: Iterable[int]) -> Iterator[int]:
    """Where the part of a pattern can end that begins at one of the places, in rising order, each once."""
    reached = 0
    for start in starts:
        if part[0] != "*":
            if text.startswith(part, start):
                yield start + len(part)
        else:
            slash = -1 if part != "*" else text.find("/", max(start, reached - 1))
            end = len(text) if slash < 0 else slash
            yield from range(max(start, reached), end + 1)
            reached = max(reached, end + 1)
