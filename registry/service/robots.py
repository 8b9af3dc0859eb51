"""Robots: accounts of programs, each with a secret that is told once.

``rt_<account id>_<43 characters>``: the prefix is for scanners that look for secrets where none should be, the id finds
the account. Stored is a hash of all of it.
"""

from __future__ import annotations

import secrets
from datetime import UTC, datetime
from typing import TYPE_CHECKING

from registry.oci.errors import ParameterInvalid
from registry.service import rules
from registry.service.accounts import unknown
from registry.service.principals import Kind
from registry.service.standing import ROBOT_SECRET_PREFIX
from registry.service.tokens import hash_of
from registry.store import accounts, audit

if TYPE_CHECKING:
    from collections.abc import Mapping

    from registry.oci.rights import Right
    from registry.service.registry import Registry
    from registry.store.audit import Author
    from registry.store.transactions import ReadTx, WriteTx

_SECRET_BYTES = 32


async def add(
    registry: Registry, author: Author, name: str, scopes: Mapping[str, Right], expires_seconds: int | None
) -> str:
    """The secret; the scopes, rights by pattern, are rules like any others. Raises ParameterInvalid."""
    chance = secrets.token_urlsafe(_SECRET_BYTES)
    return await registry.database.write(_add, author, name, scopes, expires_seconds, chance)


async def rotate(registry: Registry, author: Author, name: str, expires_seconds: int | None) -> str:
    """Another secret; the old one ends with this, and the tokens that it got. Raises ParameterInvalid.

    Without ``expires_seconds`` the account ends when it did before.
    """
    chance = secrets.token_urlsafe(_SECRET_BYTES)
    return await registry.database.write(_rotate, author, name, expires_seconds, chance)


def _add(
    tx: WriteTx, author: Author, name: str, scopes: Mapping[str, Right], expires_seconds: int | None, chance: str
) -> str:
    expires_ms = _expiry(tx, expires_seconds)
    account = accounts.add(tx, name, Kind.ROBOT, "", expires_ms)  # its id is a part of the secret
    if account is None:
        raise ParameterInvalid(f"there is {name} already; cargohold robot rotate makes another secret")
    audit.record(tx, author, "robot added", subject=name, after=_lifetime(expires_ms))
    for pattern, rights in scopes.items():
        rules.add_rights(tx, author, name, pattern, rights)
    return _set_secret(tx, account, name, chance)


def _rotate(tx: WriteTx, author: Author, name: str, expires_seconds: int | None, chance: str) -> str:
    account = accounts.find(tx, name)
    if account is None:
        raise unknown(name)
    expires_ms = account.expires_ms if expires_seconds is None else _expiry(tx, expires_seconds)
    accounts.set_expiry(tx, account.id, expires_ms)
    before, after = _lifetime(account.expires_ms), _lifetime(expires_ms)
    audit.record(tx, author, "secret changed", subject=name, before=before if before != after else None, after=after)
    return _set_secret(tx, account.id, name, chance)


def _set_secret(tx: WriteTx, account: int, name: str, chance: str) -> str:
    secret = f"{ROBOT_SECRET_PREFIX}{account}_{chance}"
    accounts.set_secret(tx, name, Kind.ROBOT, hash_of(secret))
    return secret


def _expiry(tx: ReadTx, seconds: int | None) -> int | None:
    return None if seconds is None else tx.now_ms + seconds * 1000


def _lifetime(expires_ms: int | None) -> str | None:
    if expires_ms is None:
        return None
    return f"expires {datetime.fromtimestamp(expires_ms / 1000, UTC).isoformat(timespec='seconds')}"
