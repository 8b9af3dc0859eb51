"""Questions to the database whose answers are empty while all is well, and pages of what has to be compared with it."""

from __future__ import annotations

import math
import sqlite3
import threading
import time
from contextlib import closing, contextmanager
from dataclasses import dataclass
from typing import TYPE_CHECKING

from registry.oci import manifest as oci_manifest
from registry.oci.digests import Digest
from registry.oci.errors import ManifestInvalid
from registry.store import manifests, schema, snapshot
from registry.store.clock import Clock
from registry.store.failures import code
from registry.store.transactions import ReadTx

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

_LIMIT = 100
"""Most findings of one kind."""

_PAGE = 500

_OTHER_BYTES = "the bytes of the manifest have another digest; push it again"

_RULES = {
    "a link is marked as unreferenced although a manifest refers to its blob, or is not although none does": """
        SELECT repository.name || '@' || blob.digest FROM repository_blob AS link
        JOIN repository ON repository.id = link.repository_id JOIN blob ON blob.id = link.blob_id
        WHERE (link.unreferenced_clock_ms IS NULL) <> EXISTS (SELECT 1 FROM edge
            WHERE edge.repository_id = link.repository_id AND edge.blob_id = link.blob_id)""",
    "a manifest refers to a blob under another digest": """
        SELECT edge.digest || ' is bound to ' || blob.digest FROM edge JOIN blob ON blob.id = edge.blob_id
        WHERE edge.digest <> blob.digest""",
    "a manifest is not bound to a blob that its repository links": """
        SELECT repository.name || '@' || edge.digest FROM edge JOIN repository ON repository.id = edge.repository_id
        JOIN blob ON blob.digest = edge.digest
        JOIN repository_blob AS link ON link.repository_id = edge.repository_id AND link.blob_id = blob.id
        WHERE edge.blob_id IS NULL""",
    "a reference stands in another repository than its manifest": """
        SELECT manifest.digest FROM edge JOIN manifest ON manifest.id = edge.manifest_id
        WHERE edge.repository_id <> manifest.repository_id""",
    "a blob is in no repository and not condemned, or is condemned in spite of one": """
        SELECT digest FROM blob WHERE (condemned_clock_ms IS NULL) <>
            EXISTS (SELECT 1 FROM repository_blob WHERE blob_id = blob.id)""",
    "a tag names a manifest of another repository": """
        SELECT repository.name || ':' || tag.name FROM tag JOIN repository ON repository.id = tag.repository_id
        JOIN manifest ON manifest.id = tag.manifest_id WHERE manifest.repository_id <> tag.repository_id""",
    _OTHER_BYTES: """
        SELECT repository.name || '@' || manifest.digest FROM manifest
        JOIN repository ON repository.id = manifest.repository_id WHERE manifest.damaged""",
    "a manifest has no bytes, or another number of them": """
        SELECT repository.name || '@' || manifest.digest FROM manifest
        JOIN repository ON repository.id = manifest.repository_id
        LEFT JOIN manifest_body ON manifest_body.manifest_id = manifest.id
        WHERE CASE WHEN dictionary IS NULL THEN length(body) IS NOT manifest.size
            ELSE length(body) >= manifest.size END""",
    "is counted wrong: what gc status and /metrics say of it is not so": """
        SELECT 'the number of repositories' FROM daemon WHERE repositories <> (SELECT COUNT(*) FROM repository)
        UNION ALL SELECT 'the number of blobs' FROM daemon WHERE blobs <> (SELECT COUNT(*) FROM blob)
        UNION ALL SELECT 'the size of blobs' FROM daemon
            WHERE blob_bytes <> (SELECT COALESCE(SUM(size), 0) FROM blob)
        UNION ALL SELECT 'the number of manifests' FROM daemon WHERE manifests <> (SELECT COUNT(*) FROM manifest)
        UNION ALL SELECT 'the number of tags' FROM daemon WHERE tags <> (SELECT COUNT(*) FROM tag)""",
}


@dataclass(frozen=True, slots=True)
class Finding:
    """``subject`` is a digest, a file or a row; ``message`` says what is wrong with it."""

    subject: str
    message: str


@dataclass(frozen=True, slots=True)
class BlobRow:
    digest: Digest
    size: int
    damage: str | None
    is_condemned: bool


class OutOfTime(Exception):
    """A check did not come to its end in the time that it had; it has to be begun anew."""


@contextmanager
def _reading(path: Path, limit_seconds: float) -> Iterator[sqlite3.Connection]:
    """A connection that only reads. Raises OutOfTime."""
    with snapshot.reading(path, time.monotonic() + limit_seconds) as connection:
        # SQLite before 3.42 does not ask for the deadline while it looks at the pages of a table.
        timer = threading.Timer(min(limit_seconds, threading.TIMEOUT_MAX), connection.interrupt)
        timer.daemon = True
        timer.start()
        try:
            yield connection
        except sqlite3.OperationalError as error:
            if code(error) == sqlite3.SQLITE_INTERRUPT:
                raise OutOfTime from error
            raise
        finally:
            timer.cancel()
            timer.join()


def sqlite_findings(path: Path, *, limit_seconds: float = math.inf) -> list[Finding]:
    """SQLite's own checks, and whether the schema is that of this program. Reads the whole file. Raises OutOfTime."""
    try:
        with _reading(path, limit_seconds) as connection:
            verdicts = [text for (text,) in connection.execute(f"PRAGMA integrity_check({_LIMIT})")]
            broken = connection.execute("PRAGMA foreign_key_check").fetchmany(_LIMIT)
            found = _schema(connection)
    except sqlite3.DatabaseError as error:
        return [Finding(path.name, str(error))]
    findings = [Finding(path.name, text) for text in verdicts if text != "ok"]
    findings += [Finding(f"{row[0]} {row[1]}", f"refers to a row of {row[2]} that is not there") for row in broken]
    with closing(sqlite3.connect(":memory:", isolation_level=None)) as fresh:
        schema.migrate(fresh)
        expected = _schema(fresh)
    for name in sorted(found.keys() | expected.keys()):
        if found.get(name) != expected.get(name):
            findings.append(Finding(name, "is not as the schema of this release has it"))
    return findings


def _schema(connection: sqlite3.Connection) -> dict[str, str]:
    """The tables of litestream don't count."""
    rows = connection.execute(
        "SELECT name, sql FROM sqlite_master WHERE name NOT LIKE 'sqlite\\_%' ESCAPE '\\'"
        " AND name NOT LIKE ? ESCAPE '\\'",
        (f"{schema.LITESTREAM}%",),
    )
    return dict(rows.fetchall())


def limited_row_findings(path: Path, *, limit_seconds: float) -> list[Finding]:
    """Raises OutOfTime, sqlite3.Error."""
    with _reading(path, limit_seconds) as connection:
        return row_findings(ReadTx(connection, Clock()))


def row_findings(tx: ReadTx) -> list[Finding]:
    """What the tables say that can't be."""
    return [
        Finding(subject, message)
        for message, sql in _RULES.items()
        for (subject,) in tx.execute(f"{sql} LIMIT {_LIMIT}")
    ]


_BLOB = "SELECT digest, size, damage, condemned_clock_ms IS NOT NULL FROM blob"


def list_blobs(tx: ReadTx, *, after: str) -> list[BlobRow]:
    """A page of blobs after a digest."""
    rows = tx.execute(f"{_BLOB} WHERE digest > ? ORDER BY digest LIMIT ?", after, _PAGE)
    return [BlobRow(Digest.parse(row[0]), row[1], row[2], bool(row[3])) for row in rows]


def find_blob(tx: ReadTx, digest: Digest) -> BlobRow | None:
    row = tx.execute(f"{_BLOB} WHERE digest = ?", str(digest)).fetchone()
    return None if row is None else BlobRow(digest, row[1], row[2], bool(row[3]))


def list_uploads(tx: ReadTx) -> list[tuple[str, int]]:
    """The id and the offset of each upload session."""
    return tx.execute('SELECT id, "offset" FROM upload WHERE "offset" > 0 ORDER BY id').fetchall()


def wrong_manifests(tx: ReadTx, *, after: int) -> tuple[list[Finding], int | None]:
    """A page of manifests compared with their bytes; the last id looked at, None at the end."""
    rows = tx.execute(
        "SELECT manifest.id, repository.name, digest, size, media_type, subject, artifact_type FROM manifest"
        " JOIN repository ON repository.id = manifest.repository_id"
        " WHERE manifest.id > ? ORDER BY manifest.id LIMIT ?",
        after,
        _PAGE,
    ).fetchall()
    findings = []
    for manifest, name, text, size, *columns in rows:
        digest = Digest.parse(text)
        body = manifests.read_body(tx, manifest, digest, size)
        fault = _OTHER_BYTES if body is None else _fault_of_manifest(tx, manifest, tuple(columns), body)
        if fault is not None:
            findings.append(Finding(f"{name}@{digest}", fault))
    return findings, rows[-1][0] if rows else None


def _fault_of_manifest(
    tx: ReadTx, manifest: int, columns: tuple[str, str | None, str | None], body: bytes
) -> str | None:
    try:
        read = oci_manifest.parse(body, columns[0])
    except ManifestInvalid as error:
        return f"the bytes of the manifest are not of its type: {error}"
    if columns != (read.media_type, None if read.subject is None else str(read.subject), read.artifact_type):
        return "type, subject or artifact type are not those of its bytes"
    edges = tx.execute("SELECT kind, digest FROM edge WHERE manifest_id = ?", manifest).fetchall()
    if set(edges) != {(edge.kind.value, str(edge.digest)) for edge in read.edges}:
        return "what it refers to is not what its bytes say"
    return None


def totals(tx: ReadTx) -> tuple[int, int]:
    """How many blobs there are, and their bytes."""
    count, size = tx.execute("SELECT blobs, blob_bytes FROM daemon").fetchone()
    return int(count), int(size)
