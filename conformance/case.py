"""What a case is, and how it says that a registry is not as it should be."""

from __future__ import annotations

from dataclasses import dataclass
from enum import Enum
from typing import TYPE_CHECKING, Final

if TYPE_CHECKING:
    from collections.abc import Callable

    from conformance.target import Target

SPEC: Final = "https://github.com/opencontainers/distribution-spec/blob/main/spec.md"


class Level(Enum):
    MUST = "MUST"
    SHOULD = "SHOULD"
    MAY = "MAY"


MUST, SHOULD, MAY = Level.MUST, Level.SHOULD, Level.MAY


class Failed(Exception):
    """The registry answered something else than it has to: what was expected, and what came."""

    def __init__(self, expected: str, got: str) -> None:
        super().__init__(f"expected {expected}; got {got}")


class Skipped(Exception):
    """The spec leaves the feature to the registry, and its answer says that it does not have it."""


@dataclass(frozen=True, slots=True)
class Case:
    """``section`` is a heading of the spec; ``endpoint`` is one of its end-1 to end-14, or empty.

    ``reads`` says that the case only reads the sample, so that it can run against a registry that takes no push.
    """

    id: str
    group: str
    section: str
    endpoint: str
    level: Level
    title: str
    run: Callable[[Target], None]
    reads: bool = False
    needs_daemon: bool = False

    @property
    def link(self) -> str:
        """Where the spec says it; empty for what it leaves to other documents."""
        if self.section.startswith(("RFC", "image-spec")):
            return ""
        return f"{SPEC}#{self.section.lower().replace(' ', '-')}"


def in_group(group: str) -> Callable[..., Callable[[Callable[[Target], None]], Case]]:
    """A decorator that makes functions the cases of a group; the name is the id, the docstring the title."""

    def describe(
        section: str, endpoint: str, level: Level, *, reads: bool = False, needs_daemon: bool = False
    ) -> Callable[[Callable[[Target], None]], Case]:
        def make(function: Callable[[Target], None]) -> Case:
            case_id = function.__name__.replace("_", "-")
            title = (function.__doc__ or "").strip().partition("\n")[0]
            return Case(case_id, group, section, endpoint, level, title, function, reads, needs_daemon)

        return make

    return describe
