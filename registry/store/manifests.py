"""Rows of manifests: their bytes, what they refer to, what refers to them."""

from __future__ import annotations

import json
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, NamedTuple

from registry.oci.digests import Digest
from registry.oci.manifest import EdgeKind
from registry.store import bodies, links, reachability

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator

    from registry.oci.manifest import Edge, Manifest
    from registry.oci.names import RepositoryName, Tag
    from registry.store.transactions import ReadTx, WriteTx


class StoredManifest(NamedTuple):
    """``unreachable_ms`` (on the daemon's clock) tells since when nothing that stays leads here, as far as is known.

    ``is_damaged``: its bytes were found to be other than its digest says.
    """

    id: int
    digest: Digest
    media_type: str
    size: int
    unreachable_ms: int | None
    kept_until_ms: int
    is_damaged: bool

    @property
    def is_settled(self) -> bool:
        """Whether who is told of it needs no lease."""
        return self.unreachable_ms is None


@dataclass(frozen=True, slots=True)
class Referrer:
    """A manifest in a referrers list, as its descriptor shows it."""

    digest: Digest
    media_type: str
    size: int
    artifact_type: str | None
    annotations: dict[str, str]

    def descriptor(self) -> dict[str, Any]:
        """Source: distribution-spec, "Listing Referrers"."""
        shown: dict[str, Any] = {"mediaType": self.media_type, "digest": str(self.digest), "size": self.size}
        if self.artifact_type is not None:
            shown["artifactType"] = self.artifact_type
        if self.annotations:
            shown["annotations"] = self.annotations
        return shown


_COLUMNS = (
    "manifest.id, manifest.digest, manifest.media_type, manifest.size,"
    " unreachable_clock_ms, kept_until_clock_ms, damaged"
)
_BY_DIGEST = (
    " FROM repository JOIN manifest ON manifest.repository_id = repository.id{}"
    " WHERE repository.name = ? AND manifest.digest = ?"
)
_BY_TAG = (
    " FROM repository JOIN tag ON tag.repository_id = repository.id JOIN manifest ON manifest.id = tag.manifest_id{}"
    " WHERE repository.name = ? AND tag.name = ?"
)

_BODY = ", CASE WHEN manifest.size <= ? THEN body END, dictionary"
_JOIN_BODY = " LEFT JOIN manifest_body ON manifest_body.manifest_id = manifest.id"

_FIND_BY_DIGEST, _FIND_BY_TAG = (f"SELECT {_COLUMNS}{source.format('')}" for source in (_BY_DIGEST, _BY_TAG))
_READ_BY_DIGEST, _READ_BY_TAG = (
    f"SELECT {_COLUMNS}{_BODY}{source.format(_JOIN_BODY)}" for source in (_BY_DIGEST, _BY_TAG)
)


def find(tx: ReadTx, name: RepositoryName, reference: Tag | Digest) -> StoredManifest | None:
    sql = _FIND_BY_DIGEST if isinstance(reference, Digest) else _FIND_BY_TAG
    row = tx.execute(sql, name.value, str(reference)).fetchone()
    return None if row is None else StoredManifest(row[0], Digest.parse(row[1]), *row[2:])


def read(
    tx: ReadTx, name: RepositoryName, reference: Tag | Digest, *, limit_bytes: int
) -> tuple[StoredManifest, bytes | None] | None:
    """In one statement, with the bytes as they were pushed, verified.

    None instead of them where what is stored is something else, and where they are more than the limit.
    """
    sql = _READ_BY_DIGEST if isinstance(reference, Digest) else _READ_BY_TAG
    row = tx.execute(sql, limit_bytes, name.value, str(reference)).fetchone()
    if row is None:
        return None
    *columns, body, dictionary = row
    manifest = StoredManifest(columns[0], Digest.parse(columns[1]), *columns[2:])
    return manifest, _verified(bodies.unpack(body, dictionary, manifest.size), manifest.digest)


def read_body(tx: ReadTx, manifest: int, digest: Digest, size: int) -> bytes | None:
    """The bytes as they were pushed, verified; None where what is stored is something else."""
    return _verified(_stored_body(tx, manifest, size), digest)


def _verified(body: bytes | None, digest: Digest) -> bytes | None:
    return body if body is not None and digest.names(body) else None


def _stored_body(tx: ReadTx, manifest: int, size: int) -> bytes | None:
    row = tx.execute("SELECT body, dictionary FROM manifest_body WHERE manifest_id = ?", manifest).fetchone()
    return None if row is None else bodies.unpack(row[0], row[1], size)


def set_damaged(tx: WriteTx, manifest: int, digest: Digest) -> bool:
    """Mark the manifest if its bytes are still not what its digest says; whether they are not."""
    row = tx.execute("SELECT size FROM manifest WHERE id = ? AND digest = ?", manifest, str(digest)).fetchone()
    if row is None or read_body(tx, manifest, digest, row[0]) is not None:
        return False
    tx.execute("UPDATE manifest SET damaged = 1 WHERE id = ?", manifest)
    return True


def add(tx: WriteTx, repository: int, digest: Digest, manifest: Manifest) -> int:
    """Store a manifest; one that is there takes the type of this push, and is healed by it. Returns its id."""
    existing = tx.execute(
        "SELECT id, media_type, damaged, unreachable_clock_ms FROM manifest WHERE repository_id = ? AND digest = ?",
        repository,
        str(digest),
    ).fetchone()
    if existing is not None:
        if existing[3] is not None:
            reachability.clear_below(tx, existing[0])
        has_body = _stored_body(tx, existing[0], len(manifest.body)) == manifest.body
        if has_body and (existing[1], existing[2]) == (manifest.media_type, 0):
            return int(existing[0])  # the same bytes read as the same type say the same
    (stored,) = tx.execute(
        "INSERT INTO manifest"
        " (repository_id, digest, media_type, size, subject, artifact_type, annotations, pushed_ms)"
        " VALUES (?, ?, ?, ?, ?, ?, ?, ?)"
        " ON CONFLICT (repository_id, digest) DO UPDATE SET media_type = excluded.media_type,"
        " subject = excluded.subject, artifact_type = excluded.artifact_type, annotations = excluded.annotations,"
        " pushed_ms = excluded.pushed_ms, damaged = 0 RETURNING id",
        repository,
        str(digest),
        manifest.media_type,
        len(manifest.body),
        None if manifest.subject is None else str(manifest.subject),
        manifest.artifact_type,
        json.dumps(manifest.annotations) if manifest.subject is not None and manifest.annotations else None,
        tx.now_ms,
    ).fetchone()
    if existing is None:
        _end_orphanhood(tx, repository, digest)
    tx.execute(
        "INSERT INTO manifest_body (manifest_id, body, dictionary) VALUES (?, ?, ?)"
        " ON CONFLICT (manifest_id) DO UPDATE SET body = excluded.body, dictionary = excluded.dictionary",
        stored,
        *bodies.pack(manifest.body),
    )
    _replace_edges(tx, repository, stored, manifest.edges)
    return int(stored)


def _end_orphanhood(tx: WriteTx, repository: int, digest: Digest) -> None:
    """The tags about this manifest (``sha256-<hex>``, ``sha256-<hex>.sig``) have what they are about."""
    name = f"{digest.algorithm}-{digest.hex}"
    tx.execute(
        "UPDATE tag SET orphaned_clock_ms = NULL"
        " WHERE repository_id = ? AND name >= ? AND name < ? AND orphaned_clock_ms IS NOT NULL",
        repository,
        name,
        f"{name}/",  # the character after the dot
    )


def _replace_edges(tx: WriteTx, repository: int, manifest: int, edges: Iterable[Edge]) -> None:
    """An edge is bound to its blob where the repository links it."""
    before = _bound_blobs(tx, manifest)
    tx.execute("DELETE FROM edge WHERE manifest_id = ?", manifest)
    for edge in edges:
        tx.execute(
            "INSERT INTO edge (manifest_id, kind, digest, repository_id, blob_id) VALUES (?, ?, ?, ?,"
            " (SELECT blob_id FROM blob JOIN repository_blob ON blob_id = id WHERE digest = ? AND repository_id = ?))",
            manifest,
            edge.kind.value,
            str(edge.digest),
            repository,
            str(edge.digest),
            repository,
        )
    after = _bound_blobs(tx, manifest)
    links.mark_referenced(tx, repository, after)
    links.mark_unreferenced(tx, repository, before - after)


def _bound_blobs(tx: ReadTx, manifest: int) -> set[int]:
    rows = tx.execute("SELECT blob_id FROM edge WHERE manifest_id = ? AND blob_id IS NOT NULL", manifest)
    return {blob for (blob,) in rows}


def is_missing(tx: ReadTx, repository: int, edge: Edge) -> bool:
    """Whether the repository lacks what the edge points to.

    A child may be a manifest or, as in a BuildKit cache, a blob.
    """
    blob = tx.execute(
        "SELECT 1 FROM repository_blob JOIN blob ON blob.id = repository_blob.blob_id"
        " WHERE repository_blob.repository_id = ? AND blob.digest = ? AND damage IS NULL",
        repository,
        str(edge.digest),
    ).fetchone()
    if blob is not None or edge.kind is not EdgeKind.CHILD:
        return blob is None
    child = tx.execute(
        "SELECT 1 FROM manifest WHERE repository_id = ? AND digest = ? AND NOT damaged", repository, str(edge.digest)
    ).fetchone()
    return child is None


def remove(tx: WriteTx, manifest: int) -> None:
    """Remove the manifest with its bytes and edges. Its tags have to be gone."""
    bound = _bound_blobs(tx, manifest)
    (repository,) = tx.execute("DELETE FROM manifest WHERE id = ? RETURNING repository_id", manifest).fetchone()
    links.mark_unreferenced(tx, repository, bound)


def lease(tx: WriteTx, manifest: int, digest: Digest, *, lease_ms: int) -> bool:
    """Keep the manifest for so long from now on; False where it is gone."""
    kept_until = tx.clock_ms + lease_ms
    return (
        tx.execute(
            "UPDATE manifest SET kept_until_clock_ms = max(kept_until_clock_ms, ?) WHERE id = ? AND digest = ?",
            kept_until,
            manifest,
            str(digest),
        ).rowcount
        > 0
    )


def list_referrers(
    tx: ReadTx, name: RepositoryName, subject: Digest, *, artifact_type: str | None, last: str, limit: int
) -> Iterator[Referrer]:
    """Manifests of the repository whose subject is the digest, ordered by digest, at most ``limit`` after ``last``."""
    rows = tx.execute(
        "SELECT manifest.digest, media_type, size, artifact_type, annotations FROM repository"
        " JOIN manifest ON manifest.repository_id = repository.id"
        " WHERE repository.name = ? AND subject = ? AND manifest.digest > ? AND (? IS NULL OR artifact_type = ?)"
        " ORDER BY manifest.digest LIMIT ?",
        name.value,
        str(subject),
        last,
        artifact_type,
        artifact_type,
        limit,
    )
    for digest, media_type, size, artifact, shown in rows:
        yield Referrer(Digest.parse(digest), media_type, size, artifact, json.loads(shown) if shown else {})
