"""Rows of repositories."""

from __future__ import annotations

from itertools import islice
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Callable

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


def name_of(tx: ReadTx, repository: int) -> str:
    (name,) = tx.execute("SELECT name FROM repository WHERE id = ?", repository).fetchone()
    return str(name)


def list_names(tx: ReadTx, *, last: str, limit: int, is_readable: Callable[[str], bool]) -> list[str]:
    """At most ``limit`` names after ``last`` of those that are readable, ordered by their bytes."""
    rows = tx.execute("SELECT name FROM repository WHERE name > ? ORDER BY name", last)
    return list(islice((name for (name,) in rows if is_readable(name)), limit))
