"""Rows of tags and of their history: every change is written beside what it changes."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

from registry.store import audit, repositories

if TYPE_CHECKING:
    from registry.oci.digests import Digest
    from registry.oci.names import RepositoryName, Tag
    from registry.store.audit import Author
    from registry.store.transactions import ReadTx, WriteTx


@dataclass(frozen=True, slots=True)
class Change:
    """``before`` and ``after`` are digests, None for nothing."""

    id: int
    at_ms: int
    tag: str
    principal: str
    before: str | None
    after: str | None


_CHANGE = "SELECT id, changed_ms, tag, principal, old_digest, new_digest FROM tag_history WHERE repository_id = ?"


def list_history(tx: ReadTx, repository: int, tag: Tag | None, *, after_id: int, limit: int) -> list[Change]:
    """The first changes whose id is larger, in the order in which they were made; of one tag, or of all."""
    of_tag, values = ("", ()) if tag is None else (" AND tag = ?", (tag.value,))
    rows = tx.execute(f"{_CHANGE}{of_tag} AND id > ? ORDER BY id LIMIT ?", repository, *values, after_id, limit)
    return [Change(*row) for row in rows]


def last_change(tx: ReadTx, repository: int, tag: Tag) -> Change | None:
    row = tx.execute(f"{_CHANGE} AND tag = ? ORDER BY id DESC LIMIT 1", repository, tag.value).fetchone()
    return None if row is None else Change(*row)


def digest_at(tx: ReadTx, repository: int, tag: Tag, at_ms: int) -> str | None:
    """What the tag named just before that moment, None for nothing; before all changes that are known, what it left."""
    of_tag = f"{_CHANGE} AND tag = ? AND changed_ms"
    row = tx.execute(f"{of_tag} < ? ORDER BY id DESC LIMIT 1", repository, tag.value, at_ms).fetchone()
    if row is not None:
        return Change(*row).after
    row = tx.execute(f"{of_tag} >= ? ORDER BY id LIMIT 1", repository, tag.value, at_ms).fetchone()
    return None if row is None else Change(*row).before


def list_names(tx: ReadTx, name: RepositoryName, *, last: str, limit: int) -> list[str] | None:
    """At most ``limit`` tags after ``last``, ordered by their bytes; None for an unknown repository."""
    repository = repositories.find(tx, name)
    if repository is None:
        return None
    rows = tx.execute(
        "SELECT name FROM tag WHERE repository_id = ? AND name > ? ORDER BY name LIMIT ?", repository, last, limit
    )
    return [tag for (tag,) in rows]


def point(tx: WriteTx, repository: int, tag: Tag, manifest: int, digest: Digest, author: Author) -> None:
    """Let the tag name the manifest."""
    old = _current_digest(tx, repository, tag.value)
    if old == str(digest):
        return
    tx.execute(
        "INSERT INTO tag (repository_id, name, manifest_id) VALUES (?, ?, ?)"
        " ON CONFLICT (repository_id, name) DO UPDATE SET manifest_id = excluded.manifest_id, orphaned_clock_ms = NULL",
        repository,
        tag.value,
        manifest,
    )
    _record(tx, repository, tag.value, author, old, str(digest))


def remove(tx: WriteTx, repository: int, tag: Tag, author: Author) -> bool:
    """Remove the tag; False where there is none."""
    return remove_by_name(tx, repository, tag.value, author)


def remove_by_name(tx: WriteTx, repository: int, name: str, author: Author) -> bool:
    """Likewise, for a name as the database has it."""
    old = _current_digest(tx, repository, name)
    if old is None:
        return False
    tx.execute("DELETE FROM tag WHERE repository_id = ? AND name = ?", repository, name)
    _record(tx, repository, name, author, old, None)
    return True


def remove_of_manifest(tx: WriteTx, repository: int, manifest: int, digest: Digest, author: Author) -> None:
    """Remove every tag that names the manifest."""
    removed = tx.execute("DELETE FROM tag WHERE manifest_id = ? RETURNING name", manifest).fetchall()
    for (tag,) in removed:
        _record(tx, repository, tag, author, str(digest), None)


def _current_digest(tx: ReadTx, repository: int, name: str) -> str | None:
    row = tx.execute(
        "SELECT manifest.digest FROM tag JOIN manifest ON manifest.id = tag.manifest_id"
        " WHERE tag.repository_id = ? AND tag.name = ?",
        repository,
        name,
    ).fetchone()
    return None if row is None else str(row[0])


def _record(tx: WriteTx, repository: int, tag: str, author: Author, old: str | None, new: str | None) -> None:
    tx.execute(
        "INSERT INTO tag_history (repository_id, tag, changed_ms, changed_clock_ms, principal, old_digest,"
        " new_digest) VALUES (?, ?, ?, ?, ?, ?, ?)",
        repository,
        tag,
        tx.now_ms,
        tx.clock_ms,
        author.principal,
        old,
        new,
    )
    action = "tag created" if old is None else "tag deleted" if new is None else "tag moved"
    name = repositories.name_of(tx, repository)
    audit.record(tx, author, action, repository=name, subject=tag, before=old, after=new)


def has_old_history(tx: ReadTx, *, age_ms: int) -> bool:
    """Whether the oldest change is older than this."""
    row = tx.execute("SELECT changed_clock_ms FROM tag_history ORDER BY id LIMIT 1").fetchone()
    return row is not None and row[0] < tx.clock_ms - age_ms


def prune_history(tx: WriteTx, *, age_ms: int) -> int:
    """Forget the oldest changes that are older than this, at most 1,000; how many."""
    return tx.execute(
        "DELETE FROM tag_history WHERE id IN (SELECT id FROM tag_history ORDER BY id LIMIT 1000)"
        " AND changed_clock_ms < ?",
        tx.clock_ms - age_ms,
    ).rowcount
