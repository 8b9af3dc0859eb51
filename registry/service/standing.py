"""Who is still whom they proved to be: by the rows of this moment, which are asked at each use."""

from __future__ import annotations

import hmac
import re
from abc import ABC, abstractmethod
from dataclasses import replace
from typing import TYPE_CHECKING

from registry.service.principals import ANONYMOUS, RESERVED, ROBOT_PREFIX, Kind, Principal
from registry.service.tokens import hash_of, principal_of
from registry.store import accounts
from registry.store.clock import wall_ms

if TYPE_CHECKING:
    from registry.service.registry import Registry
    from registry.store.accounts import Account

ROBOT_SECRET_PREFIX = "rt_"  # noqa: S105
_ROBOT_SECRET = re.compile(rf"{ROBOT_SECRET_PREFIX}([0-9]{{1,18}})_[A-Za-z0-9_-]{{43}}", re.ASCII)

_USED_MS = 3600 * 1000
"""How exactly the last use of an account is known."""


class Standing(ABC):
    def __init__(self, registry: Registry) -> None:
        self._registry = registry

    @abstractmethod
    def _stored(self, name: str) -> str | None:
        """The hash of the password that stands for the name now; None where it is no user's."""

    @abstractmethod
    def _is_issuer(self, name: str) -> bool:
        """Whether there is an issuer of that name now."""

    def by_token(self, text: str, kind: str, address: str) -> Principal | None:
        """Whose token it is; None for one that is unknown, has expired, or is of no use any more."""
        token = self._registry.tokens.find(text, kind)
        if token is None:
            return None
        principal = replace(principal_of(token, kind_of(token.principal)), address=address)
        return principal if self.is_current(principal) else None

    def is_current(self, principal: Principal) -> bool:
        """Whether it is still there, with the password or secret that it proved itself by."""
        match principal.kind:
            case Kind.ANONYMOUS | Kind.OPERATOR:
                return True
            case Kind.ROBOT:
                account = self._account(principal.name)
                if account is None or not is_alive(account):
                    return False
                return hash_of(account.secret_hash) == principal.credential
            case Kind.EXTERNAL:
                return self._is_issuer(principal.name.partition(":")[0])
            case _:
                stored = self._stored(principal.name)
                return stored is not None and hash_of(stored) == principal.credential

    def robot(self, number: int, secret: str) -> Account | None:
        """The robot of that number, if this is its secret."""
        account = self._registry.database.ask_now(accounts.find_by_id, number)
        if account is None or account.kind != Kind.ROBOT:
            return None
        return account if hmac.compare_digest(hash_of(secret), account.secret_hash) else None

    def _account(self, name: str) -> Account | None:
        return self._registry.database.ask_now(accounts.find, name)


def kind_of(name: str) -> Kind:
    """What a principal's name says of it."""
    if name == ANONYMOUS.name:
        return Kind.ANONYMOUS
    if name.startswith(ROBOT_PREFIX):
        return Kind.ROBOT
    return Kind.EXTERNAL if ":" in name else Kind.USER


def stored_hash(account: Account | None, name: str) -> str | None:
    """The hash of the password of the account with this name; None where it is no user's."""
    if account is None or account.kind != Kind.USER or ":" in name or name in RESERVED:
        return None
    return account.secret_hash


def secret_in(name: str, password: str) -> str:
    """What may be a robot's secret: its name has a colon, where Basic credentials are split (RFC 7617, section 2)."""
    return password.rpartition(":")[2] if f"{name}:" == ROBOT_PREFIX else password


def robot_number(secret: str) -> int | None:
    """That of the robot whose secret this may be; None for what is no such secret."""
    found = _ROBOT_SECRET.fullmatch(secret)
    return None if found is None else int(found[1])


def robot_principal(account: Account, address: str) -> Principal:
    """Of a robot that has shown its secret."""
    return Principal(account.name, Kind.ROBOT, key="secret", address=address, credential=hash_of(account.secret_hash))


def user_principal(name: str, stored: str, address: str) -> Principal:
    """Of a user whose password has matched what is stored."""
    return Principal(name, key="password", address=address, credential=hash_of(stored))


def is_alive(account: Account) -> bool:
    return account.expires_ms is None or account.expires_ms > wall_ms()


def is_use_news(account: Account) -> bool:
    """Whether it was last used so long ago that it has to be noted."""
    return (account.used_ms or 0) <= wall_ms() - _USED_MS
