"""Rows of repositories."""

from __future__ import annotations

from dataclasses import dataclass
from itertools import islice
from typing import TYPE_CHECKING

from registry.store import links, manifests

if TYPE_CHECKING:
    from collections.abc import Callable

    from registry.oci.names import RepositoryName
    from registry.store.transactions import ReadTx, WriteTx


@dataclass(frozen=True, slots=True)
class Deleted:
    """What went with a repository; the files of condemned blobs stay for the horizon."""

    tags: int = 0
    manifests: int = 0
    links: int = 0
    uploads: int = 0
    condemned_blobs: int = 0
    condemned_bytes: int = 0


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


def delete_some(tx: WriteTx, name: RepositoryName, *, limit: int) -> Deleted | None:
    """Delete at most so much of the repository, and at last its row; None once it is not there.

    The blobs that no other repository links are condemned.
    """
    repository = find(tx, name)
    if repository is None:
        return None
    tags = _delete_rows(tx, "tag", "name", repository, limit)
    if tags:
        return Deleted(tags=tags)
    of_repository = "WHERE repository_id = ? LIMIT ?"
    stored = tx.execute(f"SELECT id FROM manifest {of_repository}", repository, limit).fetchall()
    for (manifest,) in stored:
        manifests.remove(tx, manifest)
    if stored:
        return Deleted(manifests=len(stored))
    linked = tx.execute(
        f"SELECT blob_id, size FROM repository_blob JOIN blob ON blob.id = blob_id {of_repository}", repository, limit
    ).fetchall()
    condemned = [size for blob, size in linked if links.remove(tx, repository, blob)]
    if linked:
        return Deleted(links=len(linked), condemned_blobs=len(condemned), condemned_bytes=sum(condemned))
    if not _delete_rows(tx, "tag_history", "id", repository, limit):
        tx.execute("DELETE FROM repository WHERE id = ?", repository)
    return Deleted()


def _delete_rows(tx: WriteTx, table: str, key: str, repository: int, limit: int) -> int:
    return tx.execute(
        f"DELETE FROM {table} WHERE repository_id = ? AND {key} IN"
        f" (SELECT {key} FROM {table} WHERE repository_id = ? LIMIT ?)",
        repository,
        repository,
        limit,
    ).rowcount
