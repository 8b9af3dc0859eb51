"""Names of users, robots and groups, and subjects of rules, as an operator writes them; and whether they are known.

What is wrong raises ParameterInvalid, which says what would be right.
"""

from __future__ import annotations

import re
from typing import TYPE_CHECKING

from registry.oci.errors import ParameterInvalid
from registry.service.principals import (
    ANONYMOUS,
    AUTHENTICATED,
    GROUP_PREFIX,
    OPERATOR,
    RESERVED,
    ROBOT_PREFIX,
    is_name,
)
from registry.store import accounts

if TYPE_CHECKING:
    from registry.service.registry import Registry

_USER = re.compile(r"[A-Za-z0-9][A-Za-z0-9._@-]{0,127}")
_ROBOT = re.compile(r"[a-z0-9][a-z0-9._-]{0,127}")
_GROUP = re.compile(r"[A-Za-z0-9][A-Za-z0-9._-]{0,63}")
_ISSUER = re.compile(r"[a-z][a-z0-9-]{0,31}")

_NO_USERS = RESERVED | {"group", "robot"}
_NO_ISSUERS = {"group", "robot", "user"}


def parse_user(text: str) -> str:
    if text in _NO_USERS:
        raise ParameterInvalid(f"{text} means something else here, and is no user's name; choose another one")
    _require(_USER, text, text, "no user's name: expected 1 to 128 letters, digits, '.', '_', '@' and '-'")
    return text


def parse_robot(text: str) -> str:
    """The name of its principal, ``robot:NAME``, which is understood too."""
    name = text.removeprefix(ROBOT_PREFIX)
    _require(_ROBOT, name, text, "no robot's name: expected 1 to 128 lower-case letters, digits, '.', '_' and '-'")
    return ROBOT_PREFIX + name


def parse_group(text: str) -> str:
    """The name without ``group:``, which is understood too."""
    name = text.removeprefix(GROUP_PREFIX)
    _require(_GROUP, name, text, "no group's name: expected 1 to 64 letters, digits, '.', '_' and '-'")
    return name


def parse_member(text: str) -> str:
    """A user, ``robot:NAME`` or ``ISSUER:SUBJECT``."""
    if text.startswith(GROUP_PREFIX):
        raise ParameterInvalid("a group can't be a member of a group: its members have to be named")
    if text in {ANONYMOUS.name, AUTHENTICATED}:
        raise ParameterInvalid(
            f"{text} can't be a member of a group; rules can name it: cargohold grant add {text} ..."
        )
    return parse_subject(text)


def parse_subject(text: str) -> str:
    """Of a rule: a user (one of an htpasswd file may have any name), ``robot:NAME``, ``group:NAME``, ``anonymous``,
    ``authenticated`` or ``ISSUER:SUBJECT``.
    """
    if text == OPERATOR.name:
        raise ParameterInvalid("the operator may do everything, and needs no rules")
    if text in {ANONYMOUS.name, AUTHENTICATED}:
        return text
    kind, found, name = text.partition(":")
    if found and kind == "robot":
        return parse_robot(text)
    if found and kind == "group":
        return GROUP_PREFIX + parse_group(text)
    if found and not (_ISSUER.fullmatch(kind) and kind not in _NO_ISSUERS and is_name(name)):
        raise _no_subject(text)
    if not found and not is_name(text):
        raise _no_subject(text)
    return text


async def is_known(registry: Registry, subject: str) -> bool:
    """Whether there is somebody now for whom the subject stands, as far as it can be known here."""
    if not subject.startswith(GROUP_PREFIX):
        return subject in RESERVED or registry.authentication.knows(subject)
    group = subject.removeprefix(GROUP_PREFIX)
    rules = [rule for issuer in registry.policy.access.issuers for rule in issuer.rules]
    if any(group in rule.groups for rule in rules):
        return True
    return group in await registry.database.read(accounts.members_by_group)


def require_known_if_unusual(registry: Registry, subject: str) -> None:
    """A name such as a user of the database can't have is one of the htpasswd file, or a mistake."""
    if ":" not in subject and not _USER.fullmatch(subject) and not registry.authentication.knows(subject):
        raise _no_subject(subject)


def _require(form: re.Pattern[str], name: str, text: str, expected: str) -> None:
    if not form.fullmatch(name):
        raise ParameterInvalid(f"{_shown(text)} is {expected}, a letter or digit first")


def _no_subject(text: str) -> ParameterInvalid:
    return ParameterInvalid(
        f"{_shown(text)} is nobody who could have rights: expected a user's name, robot:NAME, group:NAME, anonymous, "
        "authenticated, or ISSUER:SUBJECT"
    )


def _shown(text: str) -> str:
    return repr(text if len(text) <= 80 else f"{text[:80]}...")
