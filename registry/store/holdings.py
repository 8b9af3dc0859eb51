"""What there is, and what holds it: for the operator's questions."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

from registry.store import reachability

if TYPE_CHECKING:
    from registry.oci.digests import Digest
    from registry.store.transactions import ReadTx

_NAMED = 20


@dataclass(frozen=True, slots=True)
class Inventory:
    """Counts, and sizes in bytes. ``oldest_condemned_ms`` is on the daemon's clock."""

    repositories: int
    blobs: int
    blob_bytes: int
    condemned_blobs: int
    condemned_bytes: int
    oldest_condemned_ms: int | None
    unreferenced_links: int
    leased_links: int
    manifests: int
    tags: int
    uploads: int
    orphans: int
    damaged_blobs: int
    damaged_manifests: int


@dataclass(frozen=True, slots=True)
class Link:
    """A repository that links a blob; the times are on the daemon's clock."""

    repository: str
    unreferenced_ms: int | None
    kept_until_ms: int
    manifests: list[str]


@dataclass(frozen=True, slots=True)
class HeldBlob:
    size: int
    damage: str | None
    condemned_ms: int | None
    links: list[Link]


@dataclass(frozen=True, slots=True)
class HeldManifest:
    """A manifest in one repository, and what leads to it."""

    repository: str
    tags: list[str]
    indexes: list[str]
    subject: str | None
    is_reachable: bool
    unreachable_ms: int | None
    kept_until_ms: int


def take_inventory(tx: ReadTx) -> Inventory:
    """What there can be much of is counted by triggers; only what is on its way out is counted here."""
    repositories, blobs, blob_bytes, manifests, tags = tx.execute(
        "SELECT repositories, blobs, blob_bytes, manifests, tags FROM daemon"
    ).fetchone()
    condemned, condemned_bytes, oldest_ms = tx.execute(
        "SELECT COUNT(*), COALESCE(SUM(size), 0), MIN(condemned_clock_ms) FROM blob"
        " WHERE condemned_clock_ms IS NOT NULL"
    ).fetchone()
    unreferenced, leased = tx.execute(
        "SELECT COUNT(*), COALESCE(SUM(kept_until_clock_ms > ?), 0) FROM repository_blob"
        " WHERE unreferenced_clock_ms IS NOT NULL",
        tx.clock_ms,
    ).fetchone()
    counted = tx.execute(
        "SELECT (SELECT COUNT(*) FROM upload), (SELECT COUNT(*) FROM orphan),"
        " (SELECT COUNT(*) FROM blob WHERE damage IS NOT NULL AND condemned_clock_ms IS NULL),"
        " (SELECT COUNT(*) FROM manifest WHERE damaged)"
    ).fetchone()
    return Inventory(
        repositories,
        blobs,
        blob_bytes,
        condemned,
        condemned_bytes,
        oldest_ms,
        unreferenced,
        leased,
        manifests,
        tags,
        *counted,
    )


def find_blob(tx: ReadTx, digest: Digest) -> HeldBlob | None:
    row = tx.execute("SELECT id, size, damage, condemned_clock_ms FROM blob WHERE digest = ?", str(digest)).fetchone()
    if row is None:
        return None
    links = tx.execute(
        "SELECT repository.id, name, unreferenced_clock_ms, kept_until_clock_ms FROM repository_blob"
        " JOIN repository ON repository.id = repository_id WHERE blob_id = ? ORDER BY name LIMIT ?",
        row[0],
        _NAMED,
    ).fetchall()
    blob, size, damage, condemned_ms = row
    found = [
        Link(name, unreferenced_ms, kept_until_ms, _referring(tx, repository, blob))
        for repository, name, unreferenced_ms, kept_until_ms in links
    ]
    return HeldBlob(size, damage, condemned_ms, found)


def _referring(tx: ReadTx, repository: int, blob: int) -> list[str]:
    """The manifests that hold a link: each by its tags where it has some, else by its digest."""
    rows = tx.execute(
        "SELECT DISTINCT COALESCE((SELECT group_concat(name, ', ') FROM tag WHERE tag.manifest_id = manifest.id),"
        " manifest.digest) FROM edge JOIN manifest ON manifest.id = edge.manifest_id"
        " WHERE edge.repository_id = ? AND edge.blob_id = ? LIMIT ?",
        repository,
        blob,
        _NAMED,
    )
    return [name for (name,) in rows]


def find_manifests(tx: ReadTx, digest: Digest) -> list[HeldManifest]:
    rows = tx.execute(
        "SELECT manifest.id, repository.id, name, subject, unreachable_clock_ms, kept_until_clock_ms FROM repository"
        " JOIN manifest ON manifest.repository_id = repository.id WHERE digest = ? ORDER BY name LIMIT ?",
        str(digest),
        _NAMED,
    ).fetchall()
    return [
        HeldManifest(
            repository=name,
            tags=_column(tx, "SELECT name FROM tag WHERE manifest_id = ? ORDER BY name LIMIT ?", manifest, _NAMED),
            indexes=_column(
                tx,
                "SELECT manifest.digest FROM edge JOIN manifest ON manifest.id = edge.manifest_id"
                " WHERE edge.repository_id = ? AND edge.digest = ? AND edge.kind = 'child' LIMIT ?",
                repository,
                str(digest),
                _NAMED,
            ),
            subject=subject,
            is_reachable=reachability.is_reachable(tx, manifest),
            unreachable_ms=unreachable_ms,
            kept_until_ms=kept_until_ms,
        )
        for manifest, repository, name, subject, unreachable_ms, kept_until_ms in rows
    ]


def _column(tx: ReadTx, sql: str, *parameters: object) -> list[str]:
    return [value for (value,) in tx.execute(sql, *parameters)]
