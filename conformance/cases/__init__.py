"""Every case, in the order in which a run takes them."""

from __future__ import annotations

from typing import TYPE_CHECKING, Final

from conformance.case import Case
from conformance.cases import (
    ambiguity,
    chunks,
    concurrency,
    digests,
    errors,
    formats,
    management,
    manifests,
    mount,
    pull,
    push,
    ranges,
    read_only,
    referrers,
    robustness,
    tags,
)

if TYPE_CHECKING:
    from types import ModuleType

_MODULES: Final[tuple[ModuleType, ...]] = (
    pull,
    ranges,
    push,
    manifests,
    chunks,
    mount,
    digests,
    formats,
    tags,
    referrers,
    management,
    ambiguity,
    concurrency,
    robustness,
    read_only,
    errors,  # last, for two of them look at all answers before
)

ALL: Final = tuple(value for module in _MODULES for value in vars(module).values() if isinstance(value, Case))
GROUPS: Final = tuple(dict.fromkeys(case.group for case in ALL))
QUICK: Final = frozenset({"pull", "push"})
