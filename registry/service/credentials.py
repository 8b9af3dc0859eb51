"""What somebody shows to be let in."""

from __future__ import annotations

from dataclasses import dataclass


@dataclass(frozen=True, slots=True)
class Basic:
    """RFC 7617."""

    name: str
    password: str


@dataclass(frozen=True, slots=True)
class Bearer:
    """RFC 6750."""

    token: str


Credentials = Basic | Bearer | None
