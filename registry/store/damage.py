"""Rows of blobs whose files are damaged, and what that breaks."""

from __future__ import annotations

import json
from dataclasses import dataclass
from typing import TYPE_CHECKING

from registry.oci.digests import Digest

if TYPE_CHECKING:
    from collections.abc import Iterable

    from registry.store.transactions import ReadTx, WriteTx

_PAGE = 1000


@dataclass(frozen=True, slots=True)
class BrokenTag:
    """A tag that leads to a damaged blob or manifest."""

    repository: str
    tag: str
    digest: str


def list_blobs(tx: ReadTx, *, after: str) -> list[tuple[Digest, int, str | None]]:
    """A page of blobs that are not condemned, by digest: their sizes, and what is known of their damage."""
    rows = tx.execute(
        "SELECT digest, size, damage FROM blob WHERE digest > ? AND condemned_clock_ms IS NULL ORDER BY digest LIMIT ?",
        after,
        _PAGE,
    )
    return [(Digest.parse(digest), size, damage) for digest, size, damage in rows]


def find_size(tx: ReadTx, digest: Digest) -> int | None:
    """The size of a blob that is not known to be damaged, in whatever repository it is."""
    row = tx.execute("SELECT size FROM blob WHERE digest = ? AND damage IS NULL", str(digest)).fetchone()
    return None if row is None else int(row[0])


def find_unverified(tx: ReadTx, *, before_ms: int, passed: Iterable[str] = ()) -> tuple[Digest, int] | None:
    """The blob that was verified longest ago, before this moment on the daemon's clock, and its size.

    ``passed`` are digests that are left out.
    """
    row = tx.execute(
        "SELECT digest, size FROM blob WHERE verified_clock_ms < ? AND condemned_clock_ms IS NULL"
        " AND digest NOT IN (SELECT value FROM json_each(?)) ORDER BY verified_clock_ms LIMIT 1",
        before_ms,
        json.dumps(list(passed)),
    ).fetchone()
    return None if row is None else (Digest.parse(row[0]), int(row[1]))


def unverified(tx: ReadTx, *, before_ms: int) -> tuple[int, int]:
    """How many blobs were last verified before this moment, and their bytes."""
    count, size = tx.execute(
        "SELECT COUNT(*), COALESCE(SUM(size), 0) FROM blob WHERE verified_clock_ms < ? AND condemned_clock_ms IS NULL",
        before_ms,
    ).fetchone()
    return int(count), int(size)


def set_verified(tx: WriteTx, digest: Digest) -> None:
    """The file was read just now and is what its name says; if it was damaged, it has come back."""
    tx.execute("UPDATE blob SET verified_clock_ms = ?, damage = NULL WHERE digest = ?", tx.clock_ms, str(digest))


def set_present(tx: WriteTx, digest: Digest) -> None:
    """A file that was missing is there again; who reads it next verifies it."""
    tx.execute(
        "UPDATE blob SET damage = NULL, verified_clock_ms = 0 WHERE digest = ? AND damage = 'missing'", str(digest)
    )


def set_damage(tx: WriteTx, digest: Digest, kind: str) -> bool:
    """The file was found ``corrupt`` or ``missing``; whether that is news."""
    changed = tx.execute(
        "UPDATE blob SET damage = ? WHERE digest = ? AND damage IS NOT ?", kind, str(digest), kind
    ).rowcount
    tx.execute("UPDATE blob SET verified_clock_ms = ? WHERE digest = ?", tx.clock_ms, str(digest))
    return changed > 0


def list_damaged(tx: ReadTx) -> list[tuple[str, str]]:
    """Digest and damage (``missing`` or ``corrupt``) of blobs and manifests; condemned blobs are nobody's loss."""
    blobs = tx.execute(
        "SELECT digest, damage FROM blob WHERE damage IS NOT NULL AND condemned_clock_ms IS NULL ORDER BY digest"
    ).fetchall()
    manifests = tx.execute("SELECT DISTINCT digest FROM manifest WHERE damaged ORDER BY digest").fetchall()
    return [*blobs, *((digest, "corrupt") for (digest,) in manifests)]


BROKEN = """
broken (id) AS (
    SELECT edge.manifest_id FROM blob CROSS JOIN repository_blob ON repository_blob.blob_id = blob.id
    CROSS JOIN edge ON edge.repository_id = repository_blob.repository_id AND edge.blob_id = blob.id
    WHERE blob.damage IS NOT NULL
    UNION
    SELECT id FROM manifest WHERE damaged
    UNION
    SELECT edge.manifest_id FROM broken JOIN manifest AS child ON child.id = broken.id
    JOIN edge ON edge.repository_id = child.repository_id AND edge.digest = child.digest AND edge.kind = 'child'
)
"""
"""A common table expression: the manifests that need something damaged, by way of indexes too.

CROSS JOIN keeps the order (https://sqlite.org/optoverview.html, "Manual Control"); else SQLite begins with all edges.
"""


def list_broken_tags(tx: ReadTx) -> list[BrokenTag]:
    """The tags from which something damaged is reached."""
    rows = tx.execute(
        f"WITH RECURSIVE {BROKEN}"
        " SELECT repository.name, tag.name, manifest.digest FROM broken JOIN tag ON tag.manifest_id = broken.id"
        " JOIN manifest ON manifest.id = broken.id JOIN repository ON repository.id = tag.repository_id"
        " ORDER BY repository.name, tag.name"
    )
    return [BrokenTag(*row) for row in rows]
