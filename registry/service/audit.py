"""The audit as the operator reads it, and for how long it is kept."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

from registry.store import audit

if TYPE_CHECKING:
    from registry.service.registry import Registry
    from registry.store.audit import Entry
    from registry.store.transactions import ReadTx

PAGE_LIMIT = 1000


@dataclass(frozen=True, slots=True)
class Page:
    """``next_after_id`` is where the next page begins: every entry until there was looked at."""

    entries: list[Entry]
    next_after_id: int
    has_more: bool


async def read(registry: Registry, *, since_ms: int, after_id: int) -> Page:
    """The entries of that time or later, in the order in which they were written."""
    return await registry.database.read(_read, since_ms, after_id)


async def prune(registry: Registry) -> None:
    """Forget the entries that are older than access.audit allows, some at a time."""
    age_ms = int(registry.policy.access.audit_seconds * 1000)
    while registry.database.read_now(audit.has_old, age_ms=age_ms):
        await registry.database.write(audit.prune, age_ms=age_ms)


def _read(tx: ReadTx, since_ms: int, after_id: int) -> Page:
    entries = audit.list_entries(tx, since_ms=since_ms, after_id=after_id, limit=PAGE_LIMIT)
    has_more = len(entries) == PAGE_LIMIT
    return Page(entries, entries[-1].id if has_more else audit.last_id(tx), has_more)
