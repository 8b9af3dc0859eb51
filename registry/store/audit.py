"""Rows of the audit: who changed what. Each is written in the transaction of its change."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from registry.store.transactions import ReadTx, WriteTx


@dataclass(frozen=True, slots=True)
class Author:
    """On whose behalf: the principal's name, what it authenticated with, and where it came from."""

    principal: str
    key: str = ""
    address: str = ""


@dataclass(frozen=True, slots=True)
class Entry:
    """``subject`` is what was changed: a tag, an account, a rule; ``before`` and ``after`` are None for nothing."""

    id: int
    at_ms: int
    principal: str
    key: str
    address: str
    action: str
    repository: str | None
    subject: str | None
    before: str | None
    after: str | None


def record(
    tx: WriteTx,
    author: Author,
    action: str,
    *,
    repository: str | None = None,
    subject: str | None = None,
    before: str | None = None,
    after: str | None = None,
) -> None:
    tx.execute(
        "INSERT INTO audit (at_ms, clock_ms, principal, key, address, action, repository, subject, before, after)"
        " VALUES (?, ?, ?, ?, ?, ?, ?, ?, ?, ?)",
        tx.now_ms,
        tx.clock_ms,
        author.principal,
        author.key,
        author.address,
        action,
        repository,
        subject,
        before,
        after,
    )


def list_entries(tx: ReadTx, *, since_ms: int, after_id: int, limit: int) -> list[Entry]:
    """The first entries of that time or later whose id is larger, in the order of their ids."""
    rows = tx.execute(
        "SELECT id, at_ms, principal, key, address, action, repository, subject, before, after FROM audit"
        " WHERE at_ms >= ? AND id > ? ORDER BY id LIMIT ?",
        since_ms,
        after_id,
        limit,
    )
    return [Entry(*row) for row in rows]


def last_id(tx: ReadTx) -> int:
    """That of the newest entry, 0 where there is none."""
    (newest,) = tx.execute("SELECT coalesce(max(id), 0) FROM audit").fetchone()
    return int(newest)


def has_old(tx: ReadTx, *, age_ms: int) -> bool:
    """Whether the oldest entry is older than this."""
    row = tx.execute("SELECT clock_ms FROM audit ORDER BY id LIMIT 1").fetchone()
    return row is not None and row[0] < tx.clock_ms - age_ms


def prune(tx: WriteTx, *, age_ms: int) -> int:
    """Forget the oldest entries that are older than this, at most 1,000; how many."""
    return tx.execute(
        "DELETE FROM audit WHERE id IN (SELECT id FROM audit ORDER BY id LIMIT 1000) AND clock_ms < ?",
        tx.clock_ms - age_ms,
    ).rowcount
