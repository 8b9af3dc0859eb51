"""Rows of manifests: their bytes, what they refer to, what refers to them."""

from __future__ import annotations

import json
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from registry.oci.digests import Digest
from registry.oci.manifest import EdgeKind

if TYPE_CHECKING:
    from collections.abc import Iterator

    from registry.oci.manifest import Edge, Manifest
    from registry.oci.names import RepositoryName, Tag
    from registry.store.transactions import ReadTx, WriteTx


@dataclass(frozen=True, slots=True)
class StoredManifest:
    id: int
    digest: Digest
    media_type: str
    size: int


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


def find(tx: ReadTx, name: RepositoryName, reference: Tag | Digest) -> StoredManifest | None:
    if isinstance(reference, Digest):
        row = tx.execute(
            "SELECT manifest.id, manifest.digest, manifest.media_type, manifest.size FROM repository"
            " JOIN manifest ON manifest.repository_id = repository.id"
            " WHERE repository.name = ? AND manifest.digest = ?",
            name.value,
            str(reference),
        ).fetchone()
    else:
        row = tx.execute(
            "SELECT manifest.id, manifest.digest, manifest.media_type, manifest.size FROM repository"
            " JOIN tag ON tag.repository_id = repository.id JOIN manifest ON manifest.id = tag.manifest_id"
            " WHERE repository.name = ? AND tag.name = ?",
            name.value,
            reference.value,
        ).fetchone()
    return None if row is None else StoredManifest(row[0], Digest.parse(row[1]), row[2], row[3])


def read_body(tx: ReadTx, manifest: int) -> bytes:
    """The bytes as they were pushed."""
    (body,) = tx.execute("SELECT body FROM manifest_body WHERE manifest_id = ?", manifest).fetchone()
    return bytes(body)


def add(tx: WriteTx, repository: int, digest: Digest, manifest: Manifest) -> int:
    """Store a manifest; one that is there takes the type of this push. Returns its id."""
    existing = tx.execute(
        "SELECT id, media_type FROM manifest WHERE repository_id = ? AND digest = ?", repository, str(digest)
    ).fetchone()
    if existing is not None and existing[1] == manifest.media_type:
        return int(existing[0])  # the same bytes read as the same type say the same
    (stored,) = tx.execute(
        "INSERT INTO manifest"
        " (repository_id, digest, media_type, size, subject, artifact_type, annotations, pushed_ms)"
        " VALUES (?, ?, ?, ?, ?, ?, ?, ?)"
        " ON CONFLICT (repository_id, digest) DO UPDATE SET media_type = excluded.media_type,"
        " subject = excluded.subject, artifact_type = excluded.artifact_type, annotations = excluded.annotations,"
        " pushed_ms = excluded.pushed_ms RETURNING id",
        repository,
        str(digest),
        manifest.media_type,
        len(manifest.body),
        None if manifest.subject is None else str(manifest.subject),
        manifest.artifact_type,
        json.dumps(manifest.annotations) if manifest.subject is not None and manifest.annotations else None,
        tx.now_ms,
    ).fetchone()
    tx.execute(
        "INSERT INTO manifest_body (manifest_id, body) VALUES (?, ?) ON CONFLICT (manifest_id) DO NOTHING",
        stored,
        manifest.body,
    )
    tx.execute("DELETE FROM edge WHERE manifest_id = ?", stored)
    for edge in manifest.edges:
        tx.execute(
            "INSERT INTO edge (manifest_id, kind, digest, blob_id)"
            " VALUES (?, ?, ?, (SELECT id FROM blob WHERE digest = ?))",
            stored,
            edge.kind.value,
            str(edge.digest),
            str(edge.digest),
        )
    return int(stored)


def is_missing(tx: ReadTx, repository: int, edge: Edge) -> bool:
    """Whether the repository lacks what the edge points to.

    A child may be a manifest or, as in a BuildKit cache, a blob.
    """
    blob = tx.execute(
        "SELECT 1 FROM repository_blob JOIN blob ON blob.id = repository_blob.blob_id"
        " WHERE repository_blob.repository_id = ? AND blob.digest = ?",
        repository,
        str(edge.digest),
    ).fetchone()
    if blob is not None or edge.kind is not EdgeKind.CHILD:
        return blob is None
    child = tx.execute(
        "SELECT 1 FROM manifest WHERE repository_id = ? AND digest = ?", repository, str(edge.digest)
    ).fetchone()
    return child is None


def remove(tx: WriteTx, manifest: int) -> None:
    """Remove the manifest with its bytes and edges. Its tags have to be gone."""
    tx.execute("DELETE FROM manifest WHERE id = ?", manifest)


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
