"""Who may do what where: the one place where a request can be turned away.

Default closed: what no rule allows is refused, before anything is looked up. So what is forbidden and what does not
exist look the same.
"""

from __future__ import annotations

from dataclasses import dataclass
from enum import StrEnum
from typing import TYPE_CHECKING

from registry.oci.errors import Denied, NameInvalid, Unauthorized, Unsupported
from registry.oci.names import RepositoryName
from registry.oci.rights import Pattern, Right, parse_rights
from registry.oci.scopes import CATALOG, REPOSITORY_ACTIONS, Scope
from registry.service.principals import ANONYMOUS, AUTHENTICATED, GROUP_PREFIX, Kind
from registry.store import accounts, rules

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator, Mapping

    from registry.service.principals import Principal
    from registry.service.registry import Registry
    from registry.store.transactions import ReadTx


class Action(StrEnum):
    """What a request does to a repository or to the registry. Every end point has one."""

    PROBE = "probe"
    LOG_IN = "log-in"
    DISCOVER = "discover"
    CATALOG = "catalog"
    MONITOR = "monitor"
    PULL = "pull"
    PUSH = "push"
    DELETE = "delete"
    OPERATE = "operate"


FOR_EVERYBODY = frozenset({Action.PROBE, Action.LOG_IN})
"""What needs no credentials, and looks at none."""

_RIGHTS = {Action.PULL: Right.PULL, Action.PUSH: Right.PUSH, Action.DELETE: Right.DELETE}
"""Any of these rights is enough; which tags a push may move is asked in its transaction."""

_CHALLENGED = {Action.PULL: ("pull",), Action.PUSH: ("pull", "push"), Action.DELETE: ("delete",)}
"""What a token has to be for: a push looks for what is there already."""


@dataclass(frozen=True, slots=True)
class _Rules:
    """The rules and groups of one version, ready to be asked."""

    version: int
    by_subject: Mapping[str, list[tuple[Pattern, Right]]]
    groups: Mapping[str, list[str]]

    @classmethod
    def load(cls, tx: ReadTx) -> _Rules:
        by_subject: dict[str, list[tuple[Pattern, Right]]] = {}
        for subject, pattern, words in rules.list_rules(tx):
            rule = Pattern.parse(pattern), parse_rights(words.split())
            by_subject.setdefault(subject, []).append(rule)
        return cls(rules.version(tx), by_subject, accounts.groups_by_member(tx))

    def rights(self, principal: Principal, name: str) -> Right:
        allowed = Right.NONE
        for pattern, rights in self._rules_of(principal):
            if rights not in allowed and pattern.matches(name):
                allowed |= rights
        return allowed

    def readable(self, principal: Principal) -> Callable[[str], bool]:
        """Tells from which repositories the principal may pull; for many names, so the rules are looked up once."""
        patterns = [pattern for pattern, rights in self._rules_of(principal) if Right.PULL in rights]
        if any(pattern.text == "**" for pattern in patterns):
            return lambda _: True
        return lambda name: any(pattern.matches(name) for pattern in patterns)

    def can_pull_any(self, principal: Principal) -> bool:
        return any(Right.PULL in rights for _, rights in self._rules_of(principal))

    def can_pull_all(self, principal: Principal) -> bool:
        return any(Right.PULL in rights and pattern.text == "**" for pattern, rights in self._rules_of(principal))

    def rules_for(self, principal: Principal, name: str) -> Iterator[tuple[str, str, Right]]:
        """Subject, pattern and rights of each rule that counts."""
        for subject in dict.fromkeys(self._subjects_of(principal)):
            for pattern, rights in self.by_subject.get(subject, ()):
                if pattern.matches(name):
                    yield subject, pattern.text, rights

    def _rules_of(self, principal: Principal) -> Iterator[tuple[Pattern, Right]]:
        for subject in self._subjects_of(principal):
            yield from self.by_subject.get(subject, ())

    def _subjects_of(self, principal: Principal) -> Iterator[str]:
        yield ANONYMOUS.name
        if principal.kind is Kind.ANONYMOUS:
            return
        yield principal.name
        if principal.kind in {Kind.USER, Kind.EXTERNAL}:
            yield AUTHENTICATED
        for group in {*principal.groups, *self.groups.get(principal.name, ())}:
            yield GROUP_PREFIX + group


class Access:
    def __init__(self, registry: Registry) -> None:
        self._registry = registry
        self._rules = _Rules(-1, {}, {})

    def authorize(self, principal: Principal, action: Action, name: RepositoryName | None = None) -> None:
        """Raises Unauthorized, Denied, and Unsupported for what the operator switched off."""
        is_unlimited = principal.scopes is None and self._is_unlimited(principal)  # mostly, and then at less cost
        if not (is_unlimited or self._is_granted(principal, action, name)):
            if principal.kind is Kind.ANONYMOUS or self._is_allowed(principal, action, name):
                is_token_narrow = principal.scopes is not None
                message = "authentication is required, or more than this token is for"
                raise Unauthorized(message, is_token_narrow=is_token_narrow)
            raise Denied("this is not allowed to you")
        reason = self.refusal(principal, action)
        if reason is not None:
            raise Unsupported(reason)

    def is_shut(self) -> bool:
        """Whether nobody but the operator may do anything: there are no rules yet."""
        is_open = self._registry.policy.access.mode == "open"
        return not is_open and not self._current().by_subject

    def refusal(self, principal: Principal, action: Action) -> str | None:
        """Why nobody may do this here; None where it is not switched off."""
        if action is Action.OPERATE and principal.kind is not Kind.OPERATOR:
            return "this is for the operator, on the admin socket"
        if (action is Action.PUSH or action is Action.DELETE) and principal.kind is not Kind.OPERATOR:
            complaint = self._registry.mode.complaint
            if complaint is not None:
                return complaint
        if action is Action.DELETE and not self._registry.policy.delete_enabled:
            return "deleting is switched off in this registry (delete.enabled)"
        return None

    def rights(self, principal: Principal, name: RepositoryName) -> Right:
        """What the principal may do there now; a token may be limited to less."""
        if self._is_unlimited(principal):
            return Right.ALL
        return self._current().rights(principal, name.value)

    def rights_in(self, tx: ReadTx, principal: Principal, name: RepositoryName) -> Right:
        """What the principal may push there at the moment of the transaction, and by its token, or anybody may."""
        if self._is_unlimited(principal):
            return Right.ALL
        known = self._rules
        current = known if known.version == rules.version(tx) else _Rules.load(tx)
        return current.rights(principal if _is_for(principal, Action.PUSH, name.value) else ANONYMOUS, name.value)

    def rules_for(self, principal: Principal, name: RepositoryName) -> list[tuple[str, str, Right]]:
        """Subject, pattern and rights of each rule that lets the principal do something there."""
        current = self._current()
        return sorted(current.rules_for(principal, name.value), key=lambda rule: rule[:2])

    def readable(self, principal: Principal) -> Callable[[str], bool]:
        """Tells of which repositories the principal may know, by the rules of this moment."""
        if self._is_unlimited(principal):
            return lambda _: True
        return self._current().readable(principal)

    def pullable(self, principal: Principal) -> Callable[[str], bool]:
        """Likewise from which it may pull, by its token too, or anybody may."""
        readable, by_anybody = self.readable(principal), self.readable(ANONYMOUS)
        return lambda name: by_anybody(name) or (_is_for(principal, Action.PULL, name) and readable(name))

    def granted(self, principal: Principal, scope: Scope) -> Scope | None:
        """As much of a scope as the principal has rights for; None for nothing."""
        if (scope.kind, scope.name) == (CATALOG.kind, CATALOG.name):
            return CATALOG if self._is_allowed(principal, Action.CATALOG, None) else None
        if scope.kind != "repository":
            return None
        try:
            name = RepositoryName.parse(scope.name)
        except NameInvalid:
            return None
        wanted = REPOSITORY_ACTIONS if "*" in scope.actions else scope.actions
        granted = [action for action in REPOSITORY_ACTIONS if action in wanted]
        granted = [action for action in granted if self._is_allowed(principal, Action(action), name)]
        return Scope.of_repository(name, *granted) if granted else None

    def _is_unlimited(self, principal: Principal) -> bool:
        return self._registry.policy.access.mode == "open" or principal.kind is Kind.OPERATOR

    def _is_allowed(self, principal: Principal, action: Action, name: RepositoryName | None) -> bool:
        """Whether the principal has the right, whatever its token is limited to."""
        if self._is_unlimited(principal) or action is Action.OPERATE or action in FOR_EVERYBODY:
            return True
        if name is not None:
            return bool(self.rights(principal, name) & _RIGHTS[action])
        current = self._current()
        if action is Action.MONITOR:
            return current.can_pull_all(principal)
        if principal.kind is not Kind.ANONYMOUS:
            return True
        return bool(principal.key) if action is Action.DISCOVER else current.can_pull_any(principal)

    def _is_granted(self, principal: Principal, action: Action, name: RepositoryName | None) -> bool:
        """Whether the principal has the right, and its token is for it; or anybody has it."""
        if _is_for(principal, action, None if name is None else name.value):
            return self._is_allowed(principal, action, name)
        # Who is known gets a list of what he may see, not of what anybody may: the challenge leads to the token for it.
        return action is not Action.CATALOG and self._is_allowed(ANONYMOUS, action, name)

    def _current(self) -> _Rules:
        database = self._registry.database
        if self._rules.version != database.recall_now(rules.version):
            self._rules = database.read_now(_Rules.load)
        return self._rules


def _is_for(principal: Principal, action: Action, name: str | None) -> bool:
    """Whether the token, if it is limited, is for this."""
    if principal.scopes is None:
        return True
    if name is None:
        return action is Action.DISCOVER or (action is Action.CATALOG and CATALOG in principal.scopes)
    return any(
        (scope.kind, scope.name) == ("repository", name) and action in scope.actions for scope in principal.scopes
    )


def scope_for(action: Action, name: str | None) -> str | None:
    """What a token has to be for; one scope, for some clients can't read two. None where any token will do."""
    if action is Action.CATALOG:
        return str(CATALOG)
    try:
        return None if name is None else str(Scope.of_repository(RepositoryName.parse(name), *_CHALLENGED[action]))
    except NameInvalid:
        return None
