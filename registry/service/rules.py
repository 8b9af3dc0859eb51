"""Rules: what the operator lets whom do where, and why somebody may do something."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

from registry.oci.errors import ParameterInvalid
from registry.oci.rights import Right, parse_rights, words_of
from registry.service.access import Action
from registry.service.principals import ANONYMOUS, AUTHENTICATED, GROUP_PREFIX, Kind, Principal
from registry.service.standing import kind_of
from registry.service.subjects import is_known, require_known_if_unusual
from registry.store import accounts, audit, rules

if TYPE_CHECKING:
    from registry.oci.names import RepositoryName
    from registry.oci.rights import Pattern
    from registry.service.registry import Registry
    from registry.store.audit import Author
    from registry.store.transactions import ReadTx, WriteTx


@dataclass(frozen=True, slots=True)
class Rule:
    subject: str
    pattern: str
    rights: list[str]


@dataclass(frozen=True, slots=True)
class Change:
    """The rights of a rule, empty where it is not there; ``notes`` are sentences for the operator."""

    subject: str
    pattern: str
    before: list[str]
    after: list[str]
    notes: list[str]


@dataclass(frozen=True, slots=True)
class Verdict:
    """What the rules give, and which of them do."""

    rights: list[str]
    rules: list[Rule]
    notes: list[str]


async def list_rules(registry: Registry, subject: str | None) -> list[Rule]:
    """Those of a subject, or all."""
    rows = await registry.database.read(rules.list_rules, subject)
    return [Rule(name, pattern, words.split()) for name, pattern, words in rows]


async def grant(registry: Registry, author: Author, subject: str, pattern: Pattern, rights: Right) -> Change:
    """Let the rule give these rights too. Raises ParameterInvalid."""
    require_known_if_unusual(registry, subject)
    before, after = await registry.database.write(add_rights, author, subject, pattern.text, rights)
    notes = await describe(registry, subject)
    if after & Right.PUSH and Right.PULL not in after:
        notes.append("clients look for what is there before they push, and fail where no rule lets them pull")
    return Change(subject, pattern.text, words_of(before), words_of(after), notes)


async def revoke(registry: Registry, author: Author, subject: str, pattern: str, rights: Right) -> Change:
    """Let the rule give these rights no more; one that gives nothing goes. Raises ParameterInvalid."""
    before, after = await registry.database.write(_take_rights, author, subject, pattern, rights)
    return Change(subject, pattern, words_of(before), words_of(after), [])


async def check(registry: Registry, subject: str, name: RepositoryName) -> Verdict:
    """What the rules let the subject do there."""
    principal = _principal_of(subject)
    found = registry.access.rules_for(principal, name)
    rights = Right.NONE
    for _, _, given in found:
        rights |= given
    notes = await describe(registry, subject)
    if principal.kind is Kind.EXTERNAL:
        notes.append("the issuer may vouch for groups, whose rules come on top")
    for action, right in ((Action.PUSH, Right.PUSH), (Action.DELETE, Right.DELETE)):
        reason = registry.access.refusal(principal, action) if rights & right else None
        notes += [reason] if reason is not None and reason not in notes else []
    return Verdict(words_of(rights), [Rule(who, where, words_of(what)) for who, where, what in found], notes)


async def describe(registry: Registry, subject: str) -> list[str]:
    """What an operator who gives rights to the subject may want to know."""
    notes = []
    if not await is_known(registry, subject):
        notes.append(f"{subject} is not known yet")
    if await registry.database.read(accounts.has_expired, subject):
        notes.append(f"{subject} has expired")
    if registry.policy.access.mode == "open":
        notes.append("rules don't count while access.mode is open: whoever reaches the registry may do everything")
    return notes


def add_rights(tx: WriteTx, author: Author, subject: str, pattern: str, rights: Right) -> tuple[Right, Right]:
    """What the rule gave before, and what it gives now."""
    before = _rights(tx, subject, pattern)
    after = before | rights
    _put(tx, author, subject, pattern, before, after)
    return before, after


def _take_rights(tx: WriteTx, author: Author, subject: str, pattern: str, rights: Right) -> tuple[Right, Right]:
    before = _rights(tx, subject, pattern)
    if not before:
        raise ParameterInvalid(
            f"there is no rule for {subject} on {pattern}; cargohold grant list says which there are"
        )
    after = before & ~rights
    if after != before:
        after &= ~Right.ADMIN  # who is to have less than everything is no admin
    _put(tx, author, subject, pattern, before, after)
    return before, after


def _put(tx: WriteTx, author: Author, subject: str, pattern: str, before: Right, after: Right) -> None:
    if after == before:
        return
    if after:
        rules.put(tx, subject, pattern, _text(after))
    else:
        rules.remove(tx, subject, pattern)
    action = "rule added" if not before else "rule changed" if after else "rule removed"
    old, new = _text(before) or None, _text(after) or None
    audit.record(tx, author, action, repository=pattern, subject=subject, before=old, after=new)


def _rights(tx: ReadTx, subject: str, pattern: str) -> Right:
    words = rules.find(tx, subject, pattern)
    return Right.NONE if words is None else parse_rights(words.split())


def _text(rights: Right) -> str:
    return " ".join(words_of(rights))


def _principal_of(subject: str) -> Principal:
    """Somebody for whom the subject stands: of a group, who is in no other and has no rules of their own."""
    if subject == ANONYMOUS.name:
        return ANONYMOUS
    if subject == AUTHENTICATED:
        return Principal(subject)
    if subject.startswith(GROUP_PREFIX):
        return Principal(subject, Kind.ROBOT)  # what is for everybody who is authenticated may not be for its members
    return Principal(subject, kind_of(subject))
