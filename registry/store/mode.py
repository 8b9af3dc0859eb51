"""The row that says whether the registry is read-only, and why."""

from __future__ import annotations

from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from registry.store.transactions import ReadTx, WriteTx


def reason(tx: ReadTx) -> str | None:
    """Why it is read-only; None where it is not."""
    (found,) = tx.execute("SELECT read_only FROM daemon").fetchone()
    return None if found is None else str(found)


def set_reason(tx: WriteTx, why: str | None) -> None:
    tx.execute("UPDATE daemon SET read_only = ?", why)
