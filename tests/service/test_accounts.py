"""What the operator does with users, groups and robots."""

from __future__ import annotations

import json
import re
from typing import TYPE_CHECKING

import pytest

from registry.oci.errors import ParameterInvalid, Unauthorized
from registry.oci.rights import Right
from registry.oci.scopes import Scope
from registry.service import accounts, audit, robots, rules
from registry.service.credentials import Bearer
from registry.service.policy import AccessPolicy, Policy
from registry.service.principals import Kind
from registry.store import accounts as store_accounts
from registry.store.audit import Author

if TYPE_CHECKING:
    from registry.service.registry import Registry
    from registry.store.audit import Entry

OPERATOR = Author("operator", "", "unix uid 7")
PASSWORD, OTHER = "correct horse", "battery staple"
SCOPES = {"team/**": Right.PULL | Right.PUSH}


@pytest.fixture
def policy() -> Policy:
    return Policy(access=AccessPolicy(mode="token"))


async def entries(registry: Registry) -> list[Entry]:
    return (await audit.read(registry, since_ms=0, after_id=0)).entries


async def changes(registry: Registry) -> list[tuple[str, str | None, str | None, str | None, str | None]]:
    found = await entries(registry)
    return [(each.action, each.repository, each.subject, each.before, each.after) for each in found]


async def is_let_in(registry: Registry, name: str, password: str) -> bool:
    try:
        await registry.authentication.log_in(name, password, "")
    except Unauthorized:
        return False
    return True


async def test_a_user_logs_in_by_the_password_of_this_moment(registry: Registry) -> None:
    await accounts.add_user(registry, OPERATOR, "alice", PASSWORD, ["dev", "ops", "dev"])
    assert await is_let_in(registry, "alice", PASSWORD)
    token = await registry.tokens.issue(await registry.authentication.log_in("alice", PASSWORD, ""), [])
    await accounts.set_password(registry, OPERATOR, "alice", OTHER)
    assert not await is_let_in(registry, "alice", PASSWORD)
    assert await is_let_in(registry, "alice", OTHER)
    with pytest.raises(Unauthorized):
        await registry.authentication.authenticate(Bearer(token.token), "")
    [listed] = await accounts.list_accounts(registry, Kind.USER)
    assert (listed.name, listed.groups, listed.rules, listed.expires_ms) == ("alice", ["dev", "ops"], [], None)
    assert listed.used_ms is not None
    await accounts.remove(registry, OPERATOR, "alice", Kind.USER)
    assert not await is_let_in(registry, "alice", OTHER)
    assert await accounts.list_groups(registry) == {}


async def test_each_change_is_in_the_audit_and_no_secret_is(registry: Registry) -> None:
    await accounts.add_user(registry, OPERATOR, "alice", PASSWORD, ["dev"])
    await accounts.set_password(registry, OPERATOR, "alice", OTHER)
    await accounts.join(registry, OPERATOR, "ops", ["alice", "bob"])
    await accounts.leave(registry, OPERATOR, "ops", ["bob", "carol"])
    await accounts.remove(registry, OPERATOR, "alice", Kind.USER)
    secret = await robots.add(registry, OPERATOR, "robot:ci", SCOPES, None)
    another = await robots.rotate(registry, OPERATOR, "robot:ci", None)
    assert await changes(registry) == [
        ("user added", None, "alice", None, None),
        ("group joined", None, "alice", None, "dev"),
        ("password changed", None, "alice", None, None),
        ("group joined", None, "alice", None, "ops"),
        ("group joined", None, "bob", None, "ops"),
        ("group left", None, "bob", "ops", None),
        ("user removed", None, "alice", "groups dev ops", None),
        ("robot added", None, "robot:ci", None, None),
        ("rule added", "team/**", "robot:ci", None, "pull push"),
        ("secret changed", None, "robot:ci", None, None),
    ]
    found = await entries(registry)
    assert {(each.principal, each.address) for each in found} == {("operator", "unix uid 7")}
    text = json.dumps([str(each) for each in found])
    for hidden in (PASSWORD, OTHER, secret, another, "argon2", "rt_"):
        assert hidden not in text


async def test_what_is_refused_leaves_nothing(registry: Registry) -> None:
    await accounts.add_user(registry, OPERATOR, "alice", PASSWORD, [])
    await robots.add(registry, OPERATOR, "robot:ci", SCOPES, None)
    before = await changes(registry)
    with pytest.raises(ParameterInvalid, match="there is a user alice already"):
        await accounts.add_user(registry, OPERATOR, "alice", OTHER, ["dev"])
    with pytest.raises(ParameterInvalid, match="there is robot:ci already"):
        await robots.add(registry, OPERATOR, "robot:ci", {"**": Right.ALL}, None)
    for name, kind in (("bob", Kind.USER), ("robot:bob", Kind.ROBOT), ("robot:ci", Kind.USER), ("alice", Kind.ROBOT)):
        with pytest.raises(ParameterInvalid, match="there is no"):
            await accounts.remove(registry, OPERATOR, name, kind)
    with pytest.raises(ParameterInvalid, match="there is no user bob"):
        await accounts.set_password(registry, OPERATOR, "bob", OTHER)
    with pytest.raises(ParameterInvalid, match="there is no robot:bob"):
        await robots.rotate(registry, OPERATOR, "robot:bob", None)
    assert await changes(registry) == before
    assert await is_let_in(registry, "alice", PASSWORD)
    assert [rule.pattern for rule in await rules.list_rules(registry, None)] == ["team/**"]


@pytest.mark.parametrize(
    "password",
    [
        "",
        "1234567",
        "x" * 1025,
        "é" * 513,
        "two\nlines of it",
        "a tab\tin it",
        "a\x7fdelete",
        "rt_looks like a robot's",
        "eyJhbGciOiJub25lIn0.e30.sig",
    ],
)
async def test_what_is_no_password(registry: Registry, password: str) -> None:
    with pytest.raises(ParameterInvalid, match="password"):
        await accounts.add_user(registry, OPERATOR, "alice", password, [])
    assert await accounts.list_accounts(registry, Kind.USER) == []


@pytest.mark.parametrize("password", ["12345678", "x" * 1024, "é" * 512, "with spaces and: colons", "pass wörd\u3000"])
async def test_what_is_a_password(registry: Registry, password: str) -> None:
    await accounts.add_user(registry, OPERATOR, "alice", password, [])
    assert await is_let_in(registry, "alice", password)


async def test_a_robots_secret_ends_with_the_next_and_so_do_its_tokens(registry: Registry) -> None:
    first = await robots.add(registry, OPERATOR, "robot:ci", SCOPES, None)
    await robots.add(registry, OPERATOR, "robot:other", {}, None)
    ids = {each.name: each.id for each in registry.database.read_now(store_accounts.list_accounts, Kind.ROBOT)}
    assert re.fullmatch(rf"rt_{ids['robot:ci']}_[A-Za-z0-9_-]{{43}}", first)
    login = await registry.authentication.log_in("anybody", first, "")
    assert (login.principal.name, login.principal.kind) == ("robot:ci", Kind.ROBOT)
    token = await registry.tokens.issue(login, [Scope("repository", "team/app", ("pull", "push", "delete"))])
    assert token.scopes == (Scope("repository", "team/app", ("pull", "push")),)
    assert (await registry.authentication.authenticate(Bearer(token.token), "")).name == "robot:ci"
    second = await robots.rotate(registry, OPERATOR, "robot:ci", None)
    assert not await is_let_in(registry, "ci", first)
    with pytest.raises(Unauthorized):
        await registry.authentication.authenticate(Bearer(token.token), "")
    assert await is_let_in(registry, "ci", second)
    await accounts.remove(registry, OPERATOR, "robot:ci", Kind.ROBOT)
    assert not await is_let_in(registry, "ci", second)
    assert await rules.list_rules(registry, None) == []
    assert (await changes(registry))[-2][3] == "rules team/**:pull,push"  # before the login that failed


async def test_a_robot_that_has_expired_lives_again_by_another_lifetime(registry: Registry) -> None:
    secret = await robots.add(registry, OPERATOR, "robot:ci", {}, 3600)
    [listed] = await accounts.list_accounts(registry, Kind.ROBOT)
    assert listed.expires_ms == listed.created_ms + 3_600_000
    assert await is_let_in(registry, "ci", secret)
    [account] = registry.database.read_now(store_accounts.list_accounts, Kind.ROBOT)
    await registry.database.write(store_accounts.set_expiry, account.id, account.created_ms)
    assert not await is_let_in(registry, "ci", secret)
    unchanged = await robots.rotate(registry, OPERATOR, "robot:ci", None)
    assert not await is_let_in(registry, "ci", unchanged)
    assert await rules.describe(registry, "robot:ci") == ["robot:ci has expired"]
    renewed = await robots.rotate(registry, OPERATOR, "robot:ci", 3600)
    assert await is_let_in(registry, "ci", renewed)
    assert await rules.describe(registry, "robot:ci") == []
    *_, last = await changes(registry)
    assert str(last[3]).startswith("expires ")
    assert str(last[4]).startswith("expires ")


async def test_of_two_who_add_the_same_robot_one_does(registry: Registry) -> None:
    import trio

    told: list[str] = []

    async def add() -> None:
        try:
            told.append(await robots.add(registry, OPERATOR, "robot:ci", SCOPES, None))
        except ParameterInvalid:
            told.append("")

    async with trio.open_nursery() as nursery:
        for _ in range(2):
            nursery.start_soon(add)
    assert sorted(map(bool, told)) == [False, True]
    assert await is_let_in(registry, "ci", max(told))
