"""Rows of rules: who may do what where."""

from __future__ import annotations

from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from registry.store.transactions import ReadTx, WriteTx


def version(tx: ReadTx) -> int:
    """Grows with every change of rules and groups."""
    (current,) = tx.execute("SELECT rules_version FROM access_state").fetchone()
    return int(current)


def list_rules(tx: ReadTx, subject: str | None = None) -> list[tuple[str, str, str]]:
    """Subject, pattern and rights of each rule; of one subject, or of all."""
    of_subject, values = ("", ()) if subject is None else (" WHERE subject = ?", (subject,))
    rows = tx.execute(f"SELECT subject, pattern, rights FROM rule{of_subject} ORDER BY subject, pattern", *values)
    return rows.fetchall()


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
