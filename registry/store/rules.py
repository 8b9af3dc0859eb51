"""Rows of rules: who may do what where."""

from __future__ import annotations

from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from registry.store.transactions import ReadTx, WriteTx


def version(tx: ReadTx) -> int:
    """Grows with every change of rules and groups."""
    (current,) = tx.execute("SELECT rules_version FROM access_state").fetchone()
    return int(current)


def list_rules(tx: ReadTx) -> list[tuple[str, str, str]]:
    """Subject, pattern and rights of each rule."""
    rows = tx.execute("SELECT subject, pattern, rights FROM rule ORDER BY subject, pattern")
    return [(subject, pattern, rights) for subject, pattern, rights in rows]


def list_rules_of(tx: ReadTx, subject: str) -> list[tuple[str, str, str]]:
    """Likewise, those of one subject."""
    rows = tx.execute("SELECT subject, pattern, rights FROM rule WHERE subject = ? ORDER BY pattern", subject)
    return [(name, pattern, rights) for name, pattern, rights in rows]


def find(tx: ReadTx, subject: str, pattern: str) -> str | None:
    """The rights that a rule gives; None where there is no such rule."""
    row = tx.execute("SELECT rights FROM rule WHERE subject = ? AND pattern = ?", subject, pattern).fetchone()
    return None if row is None else str(row[0])


def put(tx: WriteTx, subject: str, pattern: str, rights: str) -> str | None:
    """Let the rule say this and nothing else; the rights that it gave before."""
    before = find(tx, subject, pattern)
    tx.execute(
        "INSERT INTO rule VALUES (?, ?, ?) ON CONFLICT (subject, pattern) DO UPDATE SET rights = excluded.rights",
        subject,
        pattern,
        rights,
    )
    return before


def remove(tx: WriteTx, subject: str, pattern: str) -> str | None:
    """The rights that it gave; None where there was no such rule."""
    before = find(tx, subject, pattern)
    tx.execute("DELETE FROM rule WHERE subject = ? AND pattern = ?", subject, pattern)
    return before
