"""What somebody may do in which repositories: rights, and patterns of repository names."""

from __future__ import annotations

import re
from dataclasses import dataclass, field
from enum import Flag
from functools import lru_cache
from itertools import pairwise
from typing import TYPE_CHECKING, Final

from registry.oci.errors import ParameterInvalid

if TYPE_CHECKING:
    from collections.abc import Iterable, Mapping, Sequence


class Right(Flag):
    """``CREATE`` pushes what is new, ``UPDATE`` moves tags that stand; ``PUSH`` is both."""

    NONE = 0
    PULL = 1
    CREATE = 2
    UPDATE = 4
    PUSH = 6
    DELETE = 8
    ADMIN = 16
    ALL = 31


_WORDS: Final[Mapping[str, Right]] = {
    "pull": Right.PULL,
    "push": Right.PUSH,
    "create": Right.CREATE,
    "update": Right.UPDATE,
    "delete": Right.DELETE,
    "admin": Right.ALL,
}

_COMPONENT = re.compile(r"[a-z0-9._*-]+")


def parse_rights(words: Iterable[str]) -> Right:
    """Raises ParameterInvalid."""
    rights = Right.NONE
    for word in words:
        if word not in _WORDS:
            raise ParameterInvalid(f"{word!r} is no right; there are {', '.join(_WORDS)}")
        rights |= _WORDS[word]
    if not rights:
        raise ParameterInvalid(f"at least one right is needed: {', '.join(_WORDS)}")
    return rights


def words_of(rights: Right) -> list[str]:
    """The shortest list of words for the rights."""
    if Right.ADMIN in rights:
        return ["admin"]
    words = [word for word, right in _WORDS.items() if word != "admin" and right in rights]
    return [word for word in words if not ("push" in words and word in {"create", "update"})]


@dataclass(frozen=True, slots=True)
class Pattern:
    """``*`` stands for any characters within a component, a component ``**`` for one or more components."""

    text: str
    _expression: re.Pattern[str] = field(compare=False, repr=False)

    @classmethod
    def parse(cls, text: str) -> Pattern:
        """Raises ParameterInvalid."""
        components = text.split("/")
        for component in components:
            if not _COMPONENT.fullmatch(component) or ("**" in component and component != "**"):
                raise ParameterInvalid(
                    f"{text!r} is no pattern of repository names: expected components separated by '/', in which '*' "
                    "stands for any characters, and '**' as a whole component for one or more components"
                )
        return cls(text, _compile(text))

    def matches(self, name: str) -> bool:
        return self._expression.fullmatch(name) is not None


@lru_cache(maxsize=100_000)
def _compile(text: str) -> re.Pattern[str]:
    """Remembered, for every change of a rule makes the others anew."""
    return re.compile(_translate(text.split("/")))


def _translate(components: Sequence[str]) -> str:
    """An expression that takes little time whatever the name is, for clients choose names.

    What stands between two wildcards is looked for once, at its first place (atomic groups): if the rest does not match
    after that one, it does not after any later one.
    """
    ends = [place for place, component in enumerate(components) if component == "**"]
    if not ends:
        return "/".join(map(_translate_component, components))
    runs = [components[start + 1 : end] for start, end in pairwise([-1, *ends, len(components)])]
    first, *middle, last = ["/".join(map(_translate_component, run)) for run in runs]
    before = f"{first}/" if first else ""
    between = "".join(f"(?>.+?/{run}/)" if run else "(?>.+?/)" for run in middle)
    return f"{before}{between}.+/{last}" if last else f"{before}{between}.+"


def _translate_component(component: str) -> str:
    first, *rest = map(re.escape, component.split("*"))
    if not rest:
        return first
    return first + "".join(f"(?>[^/]*?{part})" for part in rest[:-1]) + "[^/]*" + rest[-1]
