"""Tokens that are handed out: what they last, whom they are for, and how they go."""

from __future__ import annotations

import time
from dataclasses import replace
from typing import TYPE_CHECKING

import pytest

from registry.oci.scopes import CATALOG, Scope
from registry.service.policy import AccessPolicy, Policy
from registry.service.principals import ANONYMOUS, OPERATOR, Kind, Principal
from registry.service.tokens import Login, hash_of, principal_of
from registry.store import rules, tokens

if TYPE_CHECKING:
    from registry.service.registry import Registry
    from registry.store.tokens import Token
    from registry.store.transactions import ReadTx

EXTERNAL = Principal("gitlab:app", Kind.EXTERNAL, groups=frozenset({"ci", "devs"}))


@pytest.fixture
def policy() -> Policy:
    return Policy(access=AccessPolicy(mode="token", token_seconds=300))


def now_ms() -> int:
    return time.time_ns() // 1_000_000


def stored(tx: ReadTx) -> list[tuple[str, ...]]:
    return tx.execute("SELECT hash, kind, principal FROM token").fetchall()


def found(registry: Registry, text: str) -> Token:
    token = registry.tokens.find(text)
    assert token is not None
    return token


async def test_only_its_hash_is_stored(registry: Registry) -> None:
    issued = await registry.tokens.issue(Login(Principal("alice", credential="x")), [], offline=True)
    assert issued.refresh_token is not None
    rows = await registry.database.read(stored)
    assert set(rows) == {
        (hash_of(issued.token), "access", "alice"),
        (hash_of(issued.refresh_token), "refresh", "alice"),
    }
    assert issued.token not in repr(rows)
    assert registry.tokens.find(issued.refresh_token) is None
    assert registry.tokens.find(issued.token, "refresh") is None
    assert registry.tokens.find(hash_of(issued.token)) is None


async def test_what_a_token_says_of_its_principal(registry: Registry) -> None:
    await registry.database.write(rules.put, "group:ci", "team/**", "pull push")
    wanted = [Scope("repository", "team/app", ("*",)), CATALOG, Scope("repository", "other/app", ("pull",))]
    issued = await registry.tokens.issue(Login(EXTERNAL), wanted)
    token = found(registry, issued.token)
    principal = principal_of(token, Kind.EXTERNAL)
    granted = (Scope("repository", "team/app", ("pull", "push")), CATALOG)
    assert principal == replace(EXTERNAL, key=f"token {token.hash[:8]}", scopes=granted)
    assert issued.scopes == granted


async def test_without_a_scope_a_token_only_says_who_asks(registry: Registry) -> None:
    await registry.database.write(rules.put, "alice", "**", "admin")
    issued = await registry.tokens.issue(Login(Principal("alice", credential="x")), [])
    assert principal_of(found(registry, issued.token), Kind.USER).scopes == ()


async def test_a_token_ends_with_the_proof_that_it_stands_for(registry: Registry) -> None:
    for expires_ms, longest in ((now_ms() + 60_000, 60), (now_ms() + 10**9, 300), (None, 300)):
        issued = await registry.tokens.issue(Login(EXTERNAL, expires_ms), [])
        assert longest - 60 < issued.expires_seconds <= longest
    gone = await registry.tokens.issue(Login(EXTERNAL, now_ms() - 1), [])
    assert registry.tokens.find(gone.token) is None


@pytest.mark.parametrize("principal", [EXTERNAL, Principal("robot:ci", Kind.ROBOT), ANONYMOUS])
async def test_only_users_get_a_refresh_token(registry: Registry, principal: Principal) -> None:
    issued = await registry.tokens.issue(Login(principal), [], offline=True)
    assert issued.refresh_token is None
    assert {kind for _, kind, _ in await registry.database.read(stored)} == {"access"}


async def test_what_has_expired_is_removed(registry: Registry) -> None:
    kept = await registry.tokens.issue(Login(EXTERNAL), [])
    row = found(registry, kept.token)
    for number in range(1001):
        await registry.database.write(tokens.add, replace(row, hash=str(number), expires_ms=now_ms() - 1))
    await registry.tokens.prune()
    assert [each for each, _, _ in await registry.database.read(stored)] == [row.hash]


async def test_scopes_are_granted_by_the_rights_of_their_actions(registry: Registry) -> None:
    for name, rights in (("create", "create"), ("update", "update"), ("all", "admin")):
        await registry.database.write(rules.put, "alice", name, rights)
    for name, granted in (("create", ("push",)), ("update", ("push",)), ("all", ("pull", "push", "delete"))):
        scope = Scope("repository", name, ("delete", "push", "pull", "admin"))
        assert registry.access.granted(Principal("alice"), scope) == Scope("repository", name, granted)
    assert registry.access.granted(ANONYMOUS, CATALOG) is None
    assert registry.access.granted(OPERATOR, CATALOG) == CATALOG
