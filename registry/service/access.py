"""Who asks, for what, and whether it is allowed: the one place where a request can be turned away."""

from __future__ import annotations

from dataclasses import dataclass
from enum import StrEnum
from typing import TYPE_CHECKING

from registry.oci.errors import Unsupported

if TYPE_CHECKING:
    from registry.service.policy import Policy


class Action(StrEnum):
    """What a request does to a repository or to the registry. Every end point has one."""

    PROBE = "probe"
    DISCOVER = "discover"
    PULL = "pull"
    PUSH = "push"
    DELETE = "delete"
    OPERATE = "operate"


@dataclass(frozen=True, slots=True)
class Principal:
    """The one on whose behalf a request is made."""

    name: str


ANONYMOUS = Principal("anonymous")
OPERATOR = Principal("operator")
"""Whoever may use the admin socket: the owner of the data folder."""


def authorize(policy: Policy, principal: Principal, action: Action) -> None:
    """Raises Unsupported for what the operator switched off."""
    reason = refusal(policy, principal, action)
    if reason is not None:
        raise Unsupported(reason)


def refusal(policy: Policy, principal: Principal, action: Action) -> str | None:
    """Why the action is not allowed; None where it is."""
    if action is Action.OPERATE and principal != OPERATOR:
        return "this is for the operator, on the admin socket"
    if policy.read_only and action in {Action.PUSH, Action.DELETE} and principal != OPERATOR:
        return "this registry is read-only (access.read_only)"
    if action is Action.DELETE and not policy.delete_enabled:
        return "deleting is switched off in this registry (delete.enabled)"
    return None
