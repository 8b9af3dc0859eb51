"""Those who send the requests of the table of access: their accounts and rules, and credentials that fit or don't."""

from __future__ import annotations

import base64
import time
from dataclasses import dataclass
from typing import TYPE_CHECKING

from argon2 import PasswordHasher

from registry.oci.scopes import Scope
from registry.service.principals import ANONYMOUS, OPERATOR, Kind, Principal
from registry.service.tokens import Login, hash_of
from registry.store import accounts, rules, tokens
from registry.store.tokens import Token

if TYPE_CHECKING:
    from registry.service.registry import Registry
    from registry.store.transactions import WriteTx

PASSWORD = "correct horse"
RIGHTS = {
    "user": None, "pull": "pull", "push": "pull push", "crea": "create", "upda": "update", "dele": "delete",
}  # fmt: skip
USERS = ("user", "pull", "push", "crea", "upda", "dele", "all")


def weak(password: str) -> str:
    """By argon2 with parameters that take no time."""
    return PasswordHasher(memory_cost=8, time_cost=1, parallelism=1).hash(password)


def basic(name: str, password: str) -> dict[str, str]:
    return {"Authorization": "Basic " + base64.b64encode(f"{name}:{password}".encode()).decode()}


def bearer(token: str) -> dict[str, str]:
    return {"Authorization": f"Bearer {token}"}


@dataclass(frozen=True)
class Columns:
    """Robots' secrets by the robot's column."""

    registry: Registry
    secrets: dict[str, str]

    @classmethod
    async def make(cls, registry: Registry) -> Columns:
        return cls(registry, await registry.database.write(_add))

    async def headers(self, column: str, name: str) -> dict[str, str]:
        """The credentials of a column for a request about this repository."""
        if column in USERS:
            return basic(column, PASSWORD)
        if column in self.secrets:
            return basic(column, self.secrets[column])
        if column == "bad":
            return basic("all", "another password")
        token = await self._token_of(column, name)
        return {} if token is None else bearer(token)

    async def _token_of(self, column: str, name: str) -> str | None:
        match column:
            case "anon":
                return (await self.registry.tokens.issue(Login(ANONYMOUS), [])).token
            case "othe":
                return await self.token("all", Scope("repository", "team/another", ("pull", "push", "delete")))
            case "limi":
                return await self.token("all", Scope("repository", name, ("pull",)))
            case "old" | "gone":
                return column
        assert column in {"none", "open", "oper"}
        return None

    async def token(self, user: str, *scopes: Scope) -> str:
        stored = self.registry.database.read_now(accounts.find, user)
        assert stored is not None
        login = Login(Principal(user, credential=hash_of(stored.secret_hash)))
        return (await self.registry.tokens.issue(login, scopes)).token

    def form(self, column: str, headers: dict[str, str]) -> bytes:
        """The credentials in a form for the token service."""
        password = PASSWORD if column in USERS else self.secrets.get(column, headers.get("Authorization", "")[7:])
        return f"grant_type=password&username={column}&password={password}".encode() if headers else b""


def principal_of(column: str) -> Principal:
    """Whom a session has to belong to, for the column to find it."""
    if column in {"robo", "late"}:
        return Principal(f"robot:{column}", Kind.ROBOT)
    if column == "oper":
        return OPERATOR
    if column in {"none", "anon", "open"}:
        return ANONYMOUS
    return Principal(column if column in USERS else "all")


def _add(tx: WriteTx) -> dict[str, str]:
    secrets = {}
    for user in USERS:
        accounts.add(tx, user, "user", weak(PASSWORD))
        rights = RIGHTS.get(user)
        if rights is not None:
            rules.put(tx, user, "team/**", rights)
    rules.put(tx, "all", "**", "admin")
    for robot, expires_ms in (("robo", None), ("late", tx.now_ms - 1)):
        number = accounts.add(tx, f"robot:{robot}", "robot", "", expires_ms)
        secrets[robot] = f"rt_{number}_{(robot * 11)[:43]}"
        accounts.set_secret(tx, f"robot:{robot}", "robot", hash_of(secrets[robot]))
        rules.put(tx, f"robot:{robot}", "team/**", "pull push")
    known = accounts.find(tx, "all")
    assert known is not None
    credential = hash_of(known.secret_hash)
    now_ms = time.time_ns() // 1_000_000
    tokens.add(tx, Token(hash_of("old"), "access", "all", credential, "[]", None, now_ms - 2, now_ms - 1))
    tokens.add(tx, Token(hash_of("gone"), "access", "gone", credential, "[]", None, now_ms, now_ms + 10**6))
    rules.put(tx, "gone", "**", "admin")
    return secrets
