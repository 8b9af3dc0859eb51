"""Rows of blobs, and of the links that let a repository read them."""

from __future__ import annotations

from typing import TYPE_CHECKING

from registry.oci.digests import Digest
from registry.store import repositories

if TYPE_CHECKING:
    from registry.oci.names import RepositoryName
    from registry.store.transactions import ReadTx, WriteTx


def find(tx: ReadTx, name: RepositoryName, digest: Digest) -> int | None:
    """The size in bytes of a blob that the repository links."""
    row = tx.execute(
        "SELECT blob.size FROM repository"
        " JOIN repository_blob ON repository_blob.repository_id = repository.id"
        " JOIN blob ON blob.id = repository_blob.blob_id"
        " WHERE repository.name = ? AND blob.digest = ?",
        name.value,
        str(digest),
    ).fetchone()
    return None if row is None else int(row[0])


def add(tx: WriteTx, name: RepositoryName, digest: Digest, size: int) -> None:
    """Record a blob whose file is durable under its digest, link it, and bind the edges that waited for it."""
    row = tx.execute(
        "INSERT INTO blob (digest, size, created_ms) VALUES (?, ?, ?) ON CONFLICT (digest) DO NOTHING RETURNING id",
        str(digest),
        size,
        tx.now_ms,
    ).fetchone()
    if row is not None:
        tx.execute("UPDATE edge SET blob_id = ? WHERE digest = ?", row[0], str(digest))
    _link(tx, name, digest)


def mount(tx: WriteTx, name: RepositoryName, digest: Digest, source: RepositoryName | None) -> bool:
    """Link a blob that ``source`` links; without a source, one that any repository links. False where none does."""
    if source is not None:
        known = find(tx, source, digest) is not None
    else:
        known = (
            tx.execute(
                "SELECT 1 FROM blob JOIN repository_blob ON repository_blob.blob_id = blob.id"
                " WHERE blob.digest = ? LIMIT 1",
                str(digest),
            ).fetchone()
            is not None
        )
    if known:
        _link(tx, name, digest)
    return known


def referring_manifests(tx: ReadTx, name: RepositoryName, digest: Digest, *, limit: int) -> list[Digest]:
    """Manifests of the repository that refer to the digest, at most ``limit`` of them.

    CROSS JOIN keeps SQLite from beginning at the repository's manifests, which are more than those that refer.
    """
    rows = tx.execute(
        "SELECT DISTINCT manifest.digest FROM edge CROSS JOIN manifest ON manifest.id = edge.manifest_id"
        " WHERE edge.digest = ? AND manifest.repository_id = (SELECT id FROM repository WHERE name = ?) LIMIT ?",
        str(digest),
        name.value,
        limit,
    )
    return [Digest.parse(text) for (text,) in rows]


def unlink(tx: WriteTx, name: RepositoryName, digest: Digest) -> None:
    """Take the blob out of the repository. The blob itself stays."""
    tx.execute(
        "DELETE FROM repository_blob WHERE repository_id = (SELECT id FROM repository WHERE name = ?)"
        " AND blob_id = (SELECT id FROM blob WHERE digest = ?)",
        name.value,
        str(digest),
    )


def _link(tx: WriteTx, name: RepositoryName, digest: Digest) -> None:
    tx.execute(
        "INSERT INTO repository_blob (repository_id, blob_id, linked_ms)"
        " SELECT ?, id, ? FROM blob WHERE digest = ? ON CONFLICT DO NOTHING",
        repositories.find_or_create(tx, name),
        tx.now_ms,
        str(digest),
    )
