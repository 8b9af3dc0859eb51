"""Rules as the operator gives and takes them, and what they come to."""

from __future__ import annotations

from dataclasses import replace
from typing import TYPE_CHECKING

import bcrypt
import pytest

from registry.oci.errors import ParameterInvalid
from registry.oci.names import RepositoryName
from registry.oci.rights import Pattern, Right
from registry.service import accounts, audit, robots, rules
from registry.service.claims import ClaimRule
from registry.service.issuers import IssuerPolicy
from registry.service.policy import AccessPolicy, Policy
from registry.service.principals import Principal
from registry.service.registry import open_registry
from registry.service.rules import Rule
from registry.store.audit import Author

if TYPE_CHECKING:
    from pathlib import Path

    from registry.service.registry import Registry

OPERATOR = Author("operator", "", "")
APP = RepositoryName.parse("team/app")
TEAM = Pattern.parse("team/*")
ISSUER = IssuerPolicy(
    "gh", "https://x", ("a",), "/keys", ("ES256",), (ClaimRule({"sub": "**"}, frozenset({"vouched"})),)
)


@pytest.fixture
def policy() -> Policy:
    return Policy(access=AccessPolicy(mode="basic", issuers=(ISSUER,)))


async def grant(registry: Registry, subject: str, rights: Right, pattern: Pattern = TEAM) -> list[str]:
    return (await rules.grant(registry, OPERATOR, subject, pattern, rights)).notes


async def test_rights_are_added_and_taken_away(registry: Registry) -> None:
    first = await rules.grant(registry, OPERATOR, "alice", TEAM, Right.PULL)
    assert (first.before, first.after) == ([], ["pull"])
    second = await rules.grant(registry, OPERATOR, "alice", TEAM, Right.CREATE)
    assert (second.before, second.after) == (["pull"], ["pull", "create"])
    assert registry.access.rights(Principal("alice"), APP) == Right.PULL | Right.CREATE
    again = await rules.grant(registry, OPERATOR, "alice", TEAM, Right.PULL)
    assert again.before == again.after
    less = await rules.revoke(registry, OPERATOR, "alice", "team/*", Right.PULL)
    assert less.after == ["create"]
    gone = await rules.revoke(registry, OPERATOR, "alice", "team/*", Right.ALL)
    assert gone.after == []
    assert not registry.access.rights(Principal("alice"), APP)
    assert await rules.list_rules(registry, None) == []
    with pytest.raises(ParameterInvalid, match="there is no rule for alice on team"):
        await rules.revoke(registry, OPERATOR, "alice", "team/*", Right.ALL)
    found = (await audit.read(registry, since_ms=0, after_id=0)).entries
    assert [(each.action, each.repository, each.subject, each.before, each.after) for each in found] == [
        ("rule added", "team/*", "alice", None, "pull"),
        ("rule changed", "team/*", "alice", "pull", "pull create"),
        ("rule changed", "team/*", "alice", "pull create", "create"),
        ("rule removed", "team/*", "alice", "create", None),
    ]


async def test_who_has_less_than_everything_is_no_admin(registry: Registry) -> None:
    await grant(registry, "alice", Right.ALL)
    change = await rules.revoke(registry, OPERATOR, "alice", "team/*", Right.PULL)
    assert (change.before, change.after) == (["admin"], ["push", "delete"])
    assert registry.access.rights(Principal("alice"), APP) == Right.PUSH | Right.DELETE


async def test_push_without_pull_is_done_and_warned_about(registry: Registry) -> None:
    await accounts.add_user(registry, OPERATOR, "alice", "correct horse", [])
    [note] = await grant(registry, "alice", Right.CREATE)
    assert "before they push" in note
    assert await grant(registry, "alice", Right.PULL) == []
    assert await grant(registry, "alice", Right.DELETE, Pattern.parse("x")) == []


async def test_subjects_that_nobody_knows_are_told(registry: Registry) -> None:
    await accounts.add_user(registry, OPERATOR, "alice", "correct horse", ["dev"])
    await robots.add(registry, OPERATOR, "robot:ci", {}, None)
    for known in ("alice", "robot:ci", "group:dev", "group:vouched", "gh:repo", "anonymous", "authenticated"):
        assert await grant(registry, known, Right.PULL) == [], known
    for unknown in ("bob", "robot:bob", "group:alice", "gl:repo"):
        assert await grant(registry, unknown, Right.PULL) == [f"{unknown} is not known yet"]
        assert await rules.list_rules(registry, unknown) == [Rule(unknown, "team/*", ["pull"])]


async def test_an_open_registry_says_that_rules_dont_count(tmp_path: Path) -> None:
    async with open_registry(tmp_path / "data", Policy()) as registry:
        [note] = await grant(registry, "anonymous", Right.PULL)
        assert "access.mode is open" in note


async def test_users_of_an_htpasswd_file_may_have_any_name(tmp_path: Path, policy: Policy) -> None:
    file = tmp_path / "htpasswd"
    file.write_text(f"Bob Smith:{bcrypt.hashpw(b'secret', bcrypt.gensalt(4)).decode()}\n")
    policy = replace(policy, access=replace(policy.access, htpasswd=file))
    async with open_registry(tmp_path / "data", policy) as registry:
        assert await grant(registry, "Bob Smith", Right.PULL) == []
        assert await accounts.join(registry, OPERATOR, "dev", ["Bob Smith"]) == ["Bob Smith"]
        with pytest.raises(ParameterInvalid, match=r"'team/\*' is nobody"):
            await grant(registry, "team/*", Right.PULL)
        with pytest.raises(ParameterInvalid, match="'Bob Jones' is nobody"):
            await accounts.join(registry, OPERATOR, "dev", ["alice", "Bob Jones"])
        assert await accounts.list_groups(registry) == {"dev": ["Bob Smith"]}


async def test_check_says_what_somebody_may_do_and_why(registry: Registry) -> None:
    await accounts.add_user(registry, OPERATOR, "alice", "correct horse", ["dev"])
    await grant(registry, "anonymous", Right.PULL)
    await grant(registry, "authenticated", Right.CREATE, Pattern.parse("**"))
    await grant(registry, "group:dev", Right.DELETE)
    await grant(registry, "alice", Right.ALL, Pattern.parse("other/*"))
    verdict = await rules.check(registry, "alice", APP)
    assert verdict.rights == ["pull", "create", "delete"]
    assert verdict.rules == [
        Rule("anonymous", "team/*", ["pull"]),
        Rule("authenticated", "**", ["create"]),
        Rule("group:dev", "team/*", ["delete"]),
    ]
    assert verdict.notes == []
    for subject, rights in (
        ("anonymous", ["pull"]),
        ("authenticated", ["pull", "create"]),
        ("group:dev", ["pull", "delete"]),
        ("robot:ci", ["pull"]),
        ("gh:repo", ["pull", "create"]),
    ):
        assert (await rules.check(registry, subject, APP)).rights == rights, subject
    assert "vouch for groups" in (await rules.check(registry, "gh:repo", APP)).notes[0]
    assert (await rules.check(registry, "robot:ci", APP)).notes == ["robot:ci is not known yet"]


async def test_check_says_what_is_switched_off(tmp_path: Path, policy: Policy) -> None:
    async with open_registry(tmp_path / "data", replace(policy, read_only=True)) as registry:
        await grant(registry, "anonymous", Right.ALL)
        verdict = await rules.check(registry, "anonymous", APP)
        assert (verdict.rights, verdict.notes) == (["admin"], ["this registry is read-only (access.read_only)"])
