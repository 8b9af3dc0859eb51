"""Tokens that this daemon hands out: opaque, stored by their hash, and worth what their principal may do at each use.

Source: distribution, "Token Authentication Specification" and "OAuth 2.0 Token Authentication".
"""

from __future__ import annotations

import hashlib
import json
import re
import secrets
import sqlite3
from collections import OrderedDict
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING

import structlog
import trio

from registry.oci.scopes import Scope
from registry.service import audit
from registry.service.principals import ANONYMOUS, Kind, Principal
from registry.store import tokens
from registry.store.clock import wall_ms
from registry.store.space import StorageFull
from registry.store.tokens import Token

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator

    from registry.service.registry import Registry
    from registry.store.transactions import WriteTx

_BYTES = 32

TOKEN = re.compile(r"[A-Za-z0-9_-]{43}")
"""How so many bytes look."""

_PRUNE_SECONDS = 60
_UNSTORED_LIMIT = 10_000
_LOGINS = 1000
"""Refresh tokens that one principal has at most."""

log = structlog.get_logger()


@dataclass(frozen=True, slots=True)
class Issued:
    """``issued_ms`` is wall time."""

    token: str
    issued_ms: int
    expires_seconds: int
    scopes: tuple[Scope, ...]
    refresh_token: str | None = None


@dataclass(frozen=True, slots=True)
class Login:
    """A principal that proved who it is; ``expires_ms`` is when the proof ends by itself, None for never."""

    principal: Principal
    expires_ms: int | None = None


class Tokens:
    def __init__(self, registry: Registry) -> None:
        self._registry = registry
        self._anonymous: Issued | None = None
        self._unstored: OrderedDict[str, Token] = OrderedDict()

    async def issue(self, login: Login, wanted: Iterable[Scope], *, offline: bool = False) -> Issued:
        """A token for as much of the scopes as the principal has rights for.

        What is granted can be nothing: the token then says who asks, no more. ``offline`` asks for a refresh token
        too, which only users get.
        """
        principal = login.principal
        granted = [self._registry.access.granted(principal, scope) for scope in wanted]
        scopes = tuple(dict.fromkeys(scope for scope in granted if scope is not None))
        if principal.kind is Kind.ANONYMOUS:
            return await self._issue_anonymous(scopes)
        policy, now_ms = self._registry.policy.access, wall_ms()
        token, row = _make(login, "access", now_ms, policy.token_seconds, scopes)
        await self._keep(row)
        issued = Issued(token, now_ms, (row.expires_ms - now_ms) // 1000, scopes)
        if not offline or principal.kind is not Kind.USER:
            return issued
        refresh, refresh_row = _make(login, "refresh", now_ms, policy.login_seconds, None)
        try:
            await self._registry.database.write(_add_refresh, refresh_row)
        except (sqlite3.Error, StorageFull):  # one that is lost with the process is worth nothing
            return issued
        return replace(issued, refresh_token=refresh)

    async def _issue_anonymous(self, scopes: tuple[Scope, ...]) -> Issued:
        """Everybody without credentials shares one token, a new one after half its life: it says nothing of anybody."""
        known, now_ms = self._anonymous, wall_ms()
        life_ms = int(self._registry.policy.access.token_seconds * 1000)
        if known is None or not known.issued_ms <= now_ms < known.issued_ms + life_ms // 2:
            token, row = _make(Login(ANONYMOUS), "access", now_ms, life_ms / 1000, None)
            await self._keep(row)
            known = self._anonymous = Issued(token, now_ms, life_ms // 1000, ())
        expires_seconds = (known.issued_ms + life_ms - now_ms) // 1000
        return Issued(known.token, known.issued_ms, expires_seconds, scopes)

    def find(self, text: str, kind: str = "access") -> Token | None:
        """The row of a token while it is valid by itself."""
        token_hash = hash_of(text)
        unstored = self._unstored.get(token_hash)
        if unstored is not None and unstored.kind == kind and unstored.created_ms <= wall_ms() < unstored.expires_ms:
            return unstored
        return self._registry.database.ask_now(tokens.find, token_hash, kind)

    async def _keep(self, row: Token) -> None:
        """Store a token; a disk that is full keeps nobody from pulling, and the token then ends with the process."""
        try:
            await self._registry.database.write(tokens.add, row)
        except (sqlite3.Error, StorageFull):
            self._unstored[row.hash] = row
            if len(self._unstored) > _UNSTORED_LIMIT:
                self._unstored.popitem(last=False)

    async def watch(self) -> None:
        """Remove what has expired, and audit entries that are too old; a disk that fails is no reason to end."""
        while True:
            try:
                await self.prune()
                await audit.prune(self._registry)
            except (OSError, sqlite3.Error, StorageFull) as error:
                log.warning("expired tokens stay until the next try", error=str(error), seconds=_PRUNE_SECONDS)
            await trio.sleep(_PRUNE_SECONDS)

    async def prune(self) -> None:
        database = self._registry.database
        while database.read_now(tokens.has_expired):
            await database.write(tokens.remove_expired)


def hash_of(secret: str) -> str:
    """How a secret of 256 random bits is stored: nobody can guess it, so a fast hash is enough."""
    return hashlib.sha256(secret.encode()).hexdigest()


def principal_of(token: Token, kind: Kind) -> Principal:
    return Principal(
        token.principal,
        kind,
        groups=frozenset(json.loads(token.groups)),
        key=f"token {token.hash[:8]}",
        scopes=None if token.scopes is None else tuple(_scopes(token.scopes)),
        credential=token.credential,
    )


def _scopes(document: str) -> Iterator[Scope]:
    for kind, name, actions in json.loads(document):
        yield Scope(kind, name, tuple(actions))


def _add_refresh(tx: WriteTx, row: Token) -> None:
    """The newest are kept: a client that logs in again and again must not grow the database without end."""
    tokens.add(tx, row)
    tokens.keep_newest(tx, row.principal, row.kind, _LOGINS)


def _make(login: Login, kind: str, now_ms: int, seconds: float, scopes: tuple[Scope, ...] | None) -> tuple[str, Token]:
    """A new token and its row; it ends with the proof that it stands for."""
    text = secrets.token_urlsafe(_BYTES)
    expires_ms = now_ms + int(seconds * 1000)
    if login.expires_ms is not None:
        expires_ms = min(expires_ms, login.expires_ms)
    row = Token(
        hash=hash_of(text),
        kind=kind,
        principal=login.principal.name,
        credential=login.principal.credential,
        groups=json.dumps(sorted(login.principal.groups)),
        scopes=None if scopes is None else json.dumps([[each.kind, each.name, each.actions] for each in scopes]),
        created_ms=now_ms,
        expires_ms=expires_ms,
    )
    return text, row
