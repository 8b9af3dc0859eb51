"""Rows of blobs, and of the links that let a repository read them."""

from __future__ import annotations

from typing import TYPE_CHECKING, NamedTuple

from registry.oci.digests import Digest
from registry.oci.names import RepositoryName
from registry.store import links, repositories

if TYPE_CHECKING:
    from collections.abc import Callable

    from registry.store.transactions import ReadTx, WriteTx


class StoredBlob(NamedTuple):
    """A blob as one repository sees it; the times are on the daemon's clock.

    ``unreferenced_ms`` tells since when no manifest of the repository refers to it, None while one does.
    """

    size: int
    verified_ms: int
    unreferenced_ms: int | None
    kept_until_ms: int


def find(tx: ReadTx, name: RepositoryName, digest: Digest, *, damaged: bool = False) -> StoredBlob | None:
    """The blob, if the repository links it and its file is not known to be damaged, unless ``damaged`` will do."""
    row = tx.execute(
        "SELECT blob.size, verified_clock_ms, unreferenced_clock_ms, kept_until_clock_ms FROM repository"
        " JOIN repository_blob ON repository_blob.repository_id = repository.id"
        " JOIN blob ON blob.id = repository_blob.blob_id"
        " WHERE repository.name = ? AND blob.digest = ? AND (damage IS NULL OR ?)",
        name.value,
        str(digest),
        damaged,
    ).fetchone()
    return None if row is None else StoredBlob(*row)


def add(tx: WriteTx, name: RepositoryName, digest: Digest, size: int, *, lease_ms: int) -> None:
    """Record a blob whose verified file is durable under its digest, and link it.

    A condemned one lives again, a damaged one is healed.
    """
    (blob,) = tx.execute(
        "INSERT INTO blob (digest, size, created_ms, verified_clock_ms) VALUES (?, ?, ?, ?)"
        " ON CONFLICT (digest) DO UPDATE SET size = excluded.size, verified_clock_ms = excluded.verified_clock_ms,"
        " condemned_clock_ms = NULL, damage = NULL RETURNING id",
        str(digest),
        size,
        tx.now_ms,
        tx.clock_ms,
    ).fetchone()
    tx.execute("DELETE FROM orphan WHERE path = ?", f"blobs/{digest.algorithm}/{digest.hex}")
    links.add(tx, repositories.find_or_create(tx, name), blob, digest, lease_ms=lease_ms)


def mount(tx: WriteTx, name: RepositoryName, digest: Digest, source: RepositoryName, *, lease_ms: int) -> bool:
    """Link a blob that ``source`` links; False where it does not."""
    row = tx.execute(
        "SELECT blob.id FROM blob JOIN repository_blob ON repository_blob.blob_id = blob.id"
        " WHERE blob.digest = ? AND damage IS NULL AND repository_blob.repository_id ="
        " (SELECT id FROM repository WHERE name = ?)",
        str(digest),
        source.value,
    ).fetchone()
    if row is None:
        return False
    links.add(tx, repositories.find_or_create(tx, name), row[0], digest, lease_ms=lease_ms)
    return True


def find_source(tx: ReadTx, digest: Digest, is_allowed: Callable[[str], bool]) -> RepositoryName | None:
    """A repository that links the blob and is allowed by its name."""
    names = tx.execute(
        "SELECT repository.name FROM blob JOIN repository_blob ON repository_blob.blob_id = blob.id"
        " JOIN repository ON repository.id = repository_blob.repository_id WHERE blob.digest = ? AND damage IS NULL",
        str(digest),
    )
    found = next((name for (name,) in names if is_allowed(name)), None)
    return None if found is None else RepositoryName(found)


def is_known(tx: ReadTx, digest: Digest) -> bool:
    """Whether a row stands for a file of that name."""
    return tx.execute("SELECT 1 FROM blob WHERE digest = ?", str(digest)).fetchone() is not None


def referring_manifests(tx: ReadTx, name: RepositoryName, digest: Digest, *, limit: int) -> list[Digest]:
    """Manifests of the repository that refer to the digest, at most ``limit`` of them."""
    rows = tx.execute(
        "SELECT DISTINCT manifest.digest FROM edge CROSS JOIN manifest ON manifest.id = edge.manifest_id"
        " WHERE edge.repository_id = (SELECT id FROM repository WHERE name = ?) AND edge.digest = ? LIMIT ?",
        name.value,
        str(digest),
        limit,
    )
    return [Digest.parse(text) for (text,) in rows]


def unlink(tx: WriteTx, name: RepositoryName, digest: Digest) -> None:
    """Take the blob out of the repository, to which no manifest there may refer; the last link gone condemns it."""
    row = tx.execute(
        "SELECT repository.id, blob.id FROM repository JOIN blob WHERE repository.name = ? AND blob.digest = ?",
        name.value,
        str(digest),
    ).fetchone()
    if row is not None:
        links.remove(tx, *row)
