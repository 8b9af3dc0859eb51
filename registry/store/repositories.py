"""Rows of repositories."""

from __future__ import annotations

from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from registry.oci.names import RepositoryName
    from registry.store.transactions import ReadTx, WriteTx


def find(tx: ReadTx, name: RepositoryName) -> int | None:
    """The repository's id."""
    row = tx.execute("SELECT id FROM repository WHERE name = ?", name.value).fetchone()
    return None if row is None else int(row[0])


def find_or_create(tx: WriteTx, name: RepositoryName) -> int:
    existing = find(tx, name)
    if existing is not None:
        return existing
    (created,) = tx.execute(
        "INSERT INTO repository (name, created_ms) VALUES (?, ?) RETURNING id", name.value, tx.now_ms
    ).fetchone()
    return int(created)


def list_names(tx: ReadTx, *, last: str, limit: int) -> list[str]:
    """At most ``limit`` names after ``last``, ordered by their bytes."""
    rows = tx.execute("SELECT name FROM repository WHERE name > ? ORDER BY name LIMIT ?", last, limit)
    return [name for (name,) in rows]
