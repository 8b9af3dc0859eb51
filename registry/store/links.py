"""Rows of links: which repository may read which blob, and what keeps the link.

A link is marked as unreferenced by the very transaction that makes it so: garbage collection looks at marked ones only.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Iterable

    from registry.oci.digests import Digest
    from registry.oci.names import RepositoryName
    from registry.store.transactions import ReadTx, WriteTx

_IS_REFERENCED = (
    "EXISTS (SELECT 1 FROM edge WHERE edge.repository_id = repository_blob.repository_id"
    " AND edge.blob_id = repository_blob.blob_id)"
)


def add(tx: WriteTx, repository: int, blob: int, digest: Digest, *, lease_ms: int) -> None:
    """Link the blob, or lease the link that is there; the manifests that waited for it are bound to it."""
    kept_until = tx.clock_ms + lease_ms
    inserted = tx.execute(
        "INSERT INTO repository_blob (repository_id, blob_id, linked_ms, unreferenced_clock_ms, kept_until_clock_ms)"
        " VALUES (?, ?, ?, ?, ?) ON CONFLICT DO NOTHING",
        repository,
        blob,
        tx.now_ms,
        tx.clock_ms,
        kept_until,
    ).rowcount
    if not inserted:
        _lease(tx, repository, blob, kept_until)
        return
    bound = tx.execute(
        "UPDATE edge SET blob_id = ? WHERE repository_id = ? AND digest = ? AND blob_id IS NULL",
        blob,
        repository,
        str(digest),
    ).rowcount
    if bound:
        mark_referenced(tx, repository, [blob])


def lease(tx: WriteTx, name: RepositoryName, digest: Digest, *, lease_ms: int) -> bool:
    """Keep the link for so long from now on; False where it is gone."""
    row = tx.execute(
        "SELECT repository_id, blob_id FROM repository_blob JOIN blob ON blob.id = blob_id"
        " WHERE repository_id = (SELECT id FROM repository WHERE name = ?) AND digest = ? AND damage IS NULL",
        name.value,
        str(digest),
    ).fetchone()
    if row is not None:
        _lease(tx, row[0], row[1], tx.clock_ms + lease_ms)
    return row is not None


def mark_referenced(tx: WriteTx, repository: int, blobs: Iterable[int]) -> None:
    """A manifest of the repository refers to these blobs from now on."""
    for blob in blobs:
        tx.execute(
            "UPDATE repository_blob SET unreferenced_clock_ms = NULL"
            " WHERE repository_id = ? AND blob_id = ? AND unreferenced_clock_ms IS NOT NULL",
            repository,
            blob,
        )


def mark_unreferenced(tx: WriteTx, repository: int, blobs: Iterable[int]) -> None:
    """A manifest of the repository no longer refers to these blobs; another one may."""
    for blob in blobs:
        tx.execute(
            "UPDATE repository_blob SET unreferenced_clock_ms = ?"
            f" WHERE repository_id = ? AND blob_id = ? AND NOT {_IS_REFERENCED}",
            tx.clock_ms,
            repository,
            blob,
        )


def is_due(tx: ReadTx, repository: int, blob: int, *, grace_ms: int) -> bool:
    """Whether nothing keeps the link: no manifest, no lease, no grace."""
    row = tx.execute(
        "SELECT 1 FROM repository_blob WHERE repository_id = ? AND blob_id = ?"
        " AND unreferenced_clock_ms <= ? AND kept_until_clock_ms <= ?"
        f" AND NOT {_IS_REFERENCED}",
        repository,
        blob,
        tx.clock_ms - grace_ms,
        tx.clock_ms,
    ).fetchone()
    return row is not None


def remove(tx: WriteTx, repository: int, blob: int) -> bool:
    """Remove the link; whether it was the blob's last one, which is then condemned."""
    tx.execute("DELETE FROM repository_blob WHERE repository_id = ? AND blob_id = ?", repository, blob)
    condemned = tx.execute(
        "UPDATE blob SET condemned_clock_ms = ? WHERE id = ? AND condemned_clock_ms IS NULL"
        " AND NOT EXISTS (SELECT 1 FROM repository_blob WHERE blob_id = blob.id)",
        tx.clock_ms,
        blob,
    ).rowcount
    return condemned > 0


def _lease(tx: WriteTx, repository: int, blob: int, kept_until_ms: int) -> None:
    """The grace of a link that nothing refers to begins anew, too."""
    tx.execute(
        "UPDATE repository_blob SET kept_until_clock_ms = max(kept_until_clock_ms, ?), unreferenced_clock_ms ="
        " CASE WHEN unreferenced_clock_ms IS NULL THEN NULL ELSE ? END WHERE repository_id = ? AND blob_id = ?",
        kept_until_ms,
        tx.clock_ms,
        repository,
        blob,
    )
