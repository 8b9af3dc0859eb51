"""How much the blobs of each repository take, counted from the rows of this moment."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from registry.store.transactions import ReadTx


@dataclass(frozen=True, slots=True)
class Usage:
    """Of one repository. All bytes are those of blobs.

    ``logical_bytes``: what each manifest refers to, added up as if nothing were shared. ``unique_bytes``: each blob of
    the repository once. ``exclusive_bytes``: of these the blobs that no other repository has, which a delete frees.
    """

    repository: str
    tags: int
    manifests: int
    blobs: int
    logical_bytes: int
    unique_bytes: int
    exclusive_blobs: int
    exclusive_bytes: int


@dataclass(frozen=True, slots=True)
class Total:
    """Of the whole registry: each blob once, and those that are condemned apart."""

    blobs: int
    bytes: int
    condemned_blobs: int
    condemned_bytes: int


_USAGE = """
    SELECT name,
        (SELECT COUNT(*) FROM tag WHERE tag.repository_id = repository.id),
        (SELECT COUNT(*) FROM manifest WHERE manifest.repository_id = repository.id),
        COUNT(blob.id),
        (SELECT COALESCE(SUM(size), 0) FROM edge JOIN blob ON blob.id = edge.blob_id
            WHERE edge.repository_id = repository.id AND edge.blob_id IS NOT NULL),
        COALESCE(SUM(blob.size), 0),
        COUNT(CASE WHEN link.is_only THEN 1 END),
        COALESCE(SUM(CASE WHEN link.is_only THEN blob.size END), 0)
    FROM repository LEFT JOIN (
        SELECT repository_id, blob_id, NOT EXISTS (SELECT 1 FROM repository_blob AS other
            WHERE other.blob_id = mine.blob_id AND other.repository_id <> mine.repository_id) AS is_only
        FROM repository_blob AS mine
    ) AS link ON link.repository_id = repository.id LEFT JOIN blob ON blob.id = link.blob_id
"""


def of_all(tx: ReadTx) -> list[Usage]:
    """Ordered by the bytes of their names."""
    return [Usage(*row) for row in tx.execute(f"{_USAGE} GROUP BY repository.id ORDER BY name")]


def of_one(tx: ReadTx, name: str) -> Usage | None:
    row = tx.execute(f"{_USAGE} WHERE name = ? GROUP BY repository.id", name).fetchone()
    return None if row is None else Usage(*row)


def total(tx: ReadTx) -> Total:
    row = tx.execute(
        "SELECT COUNT(*) - COUNT(condemned_clock_ms),"
        " COALESCE(SUM(CASE WHEN condemned_clock_ms IS NULL THEN size END), 0), COUNT(condemned_clock_ms),"
        " COALESCE(SUM(CASE WHEN condemned_clock_ms IS NOT NULL THEN size END), 0) FROM blob"
    ).fetchone()
    return Total(*row)
