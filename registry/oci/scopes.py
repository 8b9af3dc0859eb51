"""The scopes of a token: what it is limited to.

Source: distribution, "Token Scope Documentation": ``repository:NAME:pull,push,delete``, ``registry:catalog:*``.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Iterable

    from registry.oci.names import RepositoryName

REPOSITORY_ACTIONS = ("pull", "push", "delete")


@dataclass(frozen=True, slots=True)
class Scope:
    """``kind`` is ``repository`` or ``registry``; any other one is granted nothing."""

    kind: str
    name: str
    actions: tuple[str, ...]

    @classmethod
    def parse(cls, text: str) -> Scope | None:
        """None for what is no scope: nothing is granted for it. A class, as in ``repository(plugin)``, is left out."""
        kind, _, rest = text.partition(":")
        name, found, actions = rest.rpartition(":")
        if not found or not name:
            return None
        return cls(kind.partition("(")[0], name, tuple(dict.fromkeys(filter(None, actions.split(",")))))

    @classmethod
    def of_repository(cls, name: RepositoryName, *actions: str) -> Scope:
        return cls("repository", name.value, actions)

    def __str__(self) -> str:
        return f"{self.kind}:{self.name}:{','.join(self.actions)}"


CATALOG = Scope("registry", "catalog", ("*",))


def parse_scopes(texts: Iterable[str]) -> list[Scope]:
    """The scopes that make sense; each text may hold several, separated by spaces."""
    scopes = (Scope.parse(part) for text in texts for part in text.split(" "))
    return [scope for scope in scopes if scope is not None]
