"""Repository names and tags.

Source: distribution-spec, section "Pulling manifests".
"""

from __future__ import annotations

import re
from dataclasses import dataclass
from functools import lru_cache

from registry.oci.errors import ManifestInvalid, NameInvalid

_COMPONENT = r"[a-z0-9]+(?:(?:\.|_|__|-+)[a-z0-9]+)*"
_NAME = re.compile(rf"{_COMPONENT}(?:/{_COMPONENT})*")
_TAG = re.compile(r"[a-zA-Z0-9_][a-zA-Z0-9._-]{0,127}")

NAME_LIMIT = 255
"""Longest repository name, in characters: what clients allow for host and name together."""


@dataclass(frozen=True, slots=True, order=True)
class RepositoryName:
    value: str

    @staticmethod
    @lru_cache(maxsize=1024)
    def parse(text: str) -> RepositoryName:
        """Raises NameInvalid."""
        if len(text) > NAME_LIMIT or not _NAME.fullmatch(text):
            raise NameInvalid(
                f"a repository name has at most {NAME_LIMIT} characters: lower-case letters and digits, "
                "separated by '.', '_', '__' or dashes, in components separated by '/'",
                {"name": text[: NAME_LIMIT + 1]},
            )
        return RepositoryName(text)

    def __str__(self) -> str:
        return self.value


@dataclass(frozen=True, slots=True, order=True)
class Tag:
    value: str

    @staticmethod
    @lru_cache(maxsize=1024)
    def parse(text: str) -> Tag:
        """Raises ManifestInvalid: the spec has no code of its own for a bad tag."""
        if not _TAG.fullmatch(text):
            raise ManifestInvalid(
                "a tag has at most 128 characters: letters, digits, '_', '.' and '-', not beginning with '.' or '-'",
                {"tag": text[:129]},
            )
        return Tag(text)

    def __str__(self) -> str:
        return self.value
