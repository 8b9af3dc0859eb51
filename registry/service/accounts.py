"""Users and groups of the database, as the operator keeps them.

Each change is one transaction, with its lines of the audit. No password and no hash stands in any of them.
"""

from __future__ import annotations

import re
from dataclasses import dataclass
from typing import TYPE_CHECKING

from registry.oci.errors import ParameterInvalid
from registry.service.issuers import looks_like_jwt
from registry.service.passwords import PASSWORD_LIMIT_BYTES
from registry.service.principals import ROBOT_PREFIX, Kind
from registry.service.standing import ROBOT_SECRET_PREFIX
from registry.service.subjects import require_known_if_unusual
from registry.store import accounts, audit, rules

if TYPE_CHECKING:
    from collections.abc import Iterable, Sequence

    from registry.service.registry import Registry
    from registry.store.audit import Author
    from registry.store.transactions import ReadTx, WriteTx

PASSWORD_LEAST = 8
"""Characters. Source: NIST SP 800-63B, section 5.1.1."""

_CONTROL = re.compile(r"[\x00-\x1f\x7f-\x9f]")


@dataclass(frozen=True, slots=True)
class Listed:
    """An account as it is shown: ``rules`` have the form of scopes, times are wall time.

    ``used_ms`` is exact to the hour.
    """

    name: str
    groups: list[str]
    rules: list[str]
    created_ms: int
    expires_ms: int | None
    used_ms: int | None


async def list_accounts(registry: Registry, kind: Kind) -> list[Listed]:
    return await registry.database.read(_list, kind)


async def add_user(registry: Registry, author: Author, name: str, password: str, groups: Iterable[str]) -> None:
    """Raises ParameterInvalid for a name that is taken, and for what can't be a password."""
    secret_hash = await _hash(registry, password)
    await registry.database.write(_add_user, author, name, secret_hash, sorted(set(groups)))


async def set_password(registry: Registry, author: Author, name: str, password: str) -> None:
    """Whoever logged in by the old one is out. Raises ParameterInvalid."""
    secret_hash = await _hash(registry, password)
    await registry.database.write(_set_password, author, name, secret_hash)


async def remove(registry: Registry, author: Author, name: str, kind: Kind) -> None:
    """With its rules, memberships and tokens. Raises ParameterInvalid."""
    await registry.database.write(_remove, author, name, kind)


async def list_groups(registry: Registry) -> dict[str, list[str]]:
    """The members of each group."""
    return await registry.database.read(accounts.members_by_group)


async def join(registry: Registry, author: Author, group: str, members: Iterable[str]) -> list[str]:
    """Those that were no members before. Raises ParameterInvalid."""
    wanted = list(dict.fromkeys(members))
    for member in wanted:
        require_known_if_unusual(registry, member)
    return await registry.database.write(_join, author, group, wanted)


async def leave(registry: Registry, author: Author, group: str, members: Iterable[str]) -> list[str]:
    """Those that were members."""
    return await registry.database.write(_leave, author, group, list(members))


async def _hash(registry: Registry, password: str) -> str:
    check_password(password)
    return await registry.authentication.hash(password)


def check_password(password: str) -> None:
    """Raises ParameterInvalid."""
    size = len(password.encode("utf-8", "surrogatepass"))
    if len(password) < PASSWORD_LEAST or size > PASSWORD_LIMIT_BYTES:
        raise ParameterInvalid(
            f"a password has at least {PASSWORD_LEAST} characters and at most {PASSWORD_LIMIT_BYTES} bytes"
        )
    if _CONTROL.search(password):
        raise ParameterInvalid("a password is one line without control characters (RFC 7617)")
    if password.startswith(ROBOT_SECRET_PREFIX) or looks_like_jwt(password):
        raise ParameterInvalid(
            f"a password does not begin with {ROBOT_SECRET_PREFIX}, and is no JSON Web Token: it would be taken for a "
            "robot's secret, or for the token of an issuer"
        )


def unknown(name: str) -> ParameterInvalid:
    """What to raise where there is no such account."""
    if name.startswith(ROBOT_PREFIX):
        return ParameterInvalid(f"there is no {name}; cargohold robot list says which robots there are")
    return ParameterInvalid(f"there is no user {name} in the database; cargohold user list says which there are")


def _list(tx: ReadTx, kind: Kind) -> list[Listed]:
    groups = accounts.groups_by_member(tx)
    return [
        Listed(
            each.name,
            groups.get(each.name, []),
            _scopes(tx, each.name),
            each.created_ms,
            each.expires_ms,
            each.used_ms,
        )
        for each in accounts.list_accounts(tx, kind)
    ]


def _scopes(tx: ReadTx, name: str) -> list[str]:
    return [f"{pattern}:{words.replace(' ', ',')}" for _, pattern, words in rules.list_rules(tx, name)]


def _add_user(tx: WriteTx, author: Author, name: str, secret_hash: str, groups: list[str]) -> None:
    if accounts.add(tx, name, Kind.USER, secret_hash) is None:
        raise ParameterInvalid(f"there is a user {name} already; cargohold user password sets another password")
    audit.record(tx, author, "user added", subject=name)
    for group in groups:
        _join(tx, author, group, [name])


def _set_password(tx: WriteTx, author: Author, name: str, secret_hash: str) -> None:
    if accounts.set_secret(tx, name, Kind.USER, secret_hash) is None:
        raise unknown(name)
    audit.record(tx, author, "password changed", subject=name)


def _remove(tx: WriteTx, author: Author, name: str, kind: Kind) -> None:
    groups, scopes = accounts.groups_by_member(tx).get(name, []), _scopes(tx, name)
    if not accounts.remove(tx, name, kind):
        raise unknown(name)
    parts = [f"{word} {' '.join(found)}" for word, found in (("groups", groups), ("rules", scopes)) if found]
    audit.record(tx, author, f"{kind} removed", subject=name, before="; ".join(parts) or None)


def _join(tx: WriteTx, author: Author, group: str, members: Sequence[str]) -> list[str]:
    added = [member for member in members if accounts.join(tx, group, member)]
    for member in added:
        audit.record(tx, author, "group joined", subject=member, after=group)
    return added


def _leave(tx: WriteTx, author: Author, group: str, members: Sequence[str]) -> list[str]:
    removed = [member for member in members if accounts.leave(tx, group, member)]
    for member in removed:
        audit.record(tx, author, "group left", subject=member, before=group)
    return removed
