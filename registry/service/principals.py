"""On whose behalf a request is made."""

from __future__ import annotations

from dataclasses import dataclass, replace
from enum import StrEnum
from functools import lru_cache
from typing import TYPE_CHECKING

from registry.store.audit import Author

if TYPE_CHECKING:
    from registry.oci.scopes import Scope


class Kind(StrEnum):
    ANONYMOUS = "anonymous"
    USER = "user"
    ROBOT = "robot"
    EXTERNAL = "external"
    OPERATOR = "operator"


@dataclass(frozen=True, slots=True)
class Principal:
    """A name is that of one principal of any kind: robots are ``robot:NAME``, those of an issuer ``ISSUER:SUBJECT``.

    ``groups`` are those that the issuer vouches for; ``key`` says with what it authenticated, ``address`` where it came
    from. ``scopes`` are what its token is limited to, None where nothing limits it. ``credential`` is SHA-256 of the
    stored hash that it matched: with another password or secret it is this principal no more.
    """

    name: str
    kind: Kind = Kind.USER
    groups: frozenset[str] = frozenset()
    key: str = ""
    address: str = ""
    scopes: tuple[Scope, ...] | None = None
    credential: str = ""

    @property
    def author(self) -> Author:
        return Author(self.name, self.key, self.address)


ANONYMOUS = Principal("anonymous", Kind.ANONYMOUS)
OPERATOR = Principal("operator", Kind.OPERATOR)
"""Whoever may use the admin socket: the owner of the data folder."""

UNIX = "unix"
"""The address of a client on the other end of a unix socket."""


@lru_cache(maxsize=1024)
def anonymous_at(address: str) -> Principal:
    """Somebody without credentials: those who ask without any ask often."""
    return replace(ANONYMOUS, address=address)


AUTHENTICATED = "authenticated"
"""The subject of rules for users and for principals of issuers; robots have what their own rules say."""

ROBOT_PREFIX = "robot:"
GROUP_PREFIX = "group:"

RESERVED = frozenset({ANONYMOUS.name, OPERATOR.name, AUTHENTICATED})
"""No user's name."""

_NAME_LIMIT = 1024
"""Characters; a Kubernetes service account takes up to 338."""


def is_name(text: str) -> bool:
    """Whether it can stand in a name: one line of visible characters."""
    return 0 < len(text) <= _NAME_LIMIT and text.isprintable() and text == text.strip()
