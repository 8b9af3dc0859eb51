"""Files that no row knows: what a crash left between a rename and its row, or between a COMMIT and its unlink.

``path`` is relative to the data folder: ``blobs/<algorithm>/<hex>`` or ``uploads/<id>``.
"""

from __future__ import annotations

import json
import re
from typing import TYPE_CHECKING

from registry.oci.digests import Digest
from registry.oci.errors import DigestInvalid

if TYPE_CHECKING:
    from collections.abc import Sequence

    from registry.store.transactions import ReadTx, WriteTx

_UPLOAD = re.compile(r"uploads/(probe|[0-9a-f]{8}(-[0-9a-f]{4}){3}-[0-9a-f]{12}(\.copy)?)")


def digest_of(path: str) -> Digest | None:
    """The digest after which a file below blobs/ is named; None for any other path."""
    parts = path.split("/")
    try:
        return Digest.parse(f"{parts[1]}:{parts[2]}") if len(parts) == 3 and parts[0] == "blobs" else None
    except DigestInvalid:
        return None


def is_ours(path: str) -> bool:
    """Whether the name is one that a blob or an upload can have; any other file is not touched."""
    return _UPLOAD.fullmatch(path) is not None or digest_of(path) is not None


def path_of(digest: Digest) -> str:
    return f"blobs/{digest.algorithm}/{digest.hex}"


def seen_ms(tx: ReadTx, digest: Digest) -> int | None:
    """When the file of this digest was first seen without a row, on the daemon's clock."""
    row = tx.execute("SELECT seen_clock_ms FROM orphan WHERE path = ?", path_of(digest)).fetchone()
    return None if row is None else int(row[0])


def without_row(tx: ReadTx, paths: Sequence[str]) -> list[str]:
    """Those of the paths that no blob and no upload session stands for."""
    return [path for path in paths if not _has_row(tx, path)]


def note(tx: WriteTx, path: str) -> None:
    """Remember when the file was first seen without a row."""
    if not _has_row(tx, path):
        tx.execute("INSERT INTO orphan (path, seen_clock_ms) VALUES (?, ?) ON CONFLICT DO NOTHING", path, tx.clock_ms)


def due(tx: ReadTx, found: Sequence[str] = (), *, horizon_ms: int, upload_idle_ms: int) -> list[str]:
    """The files that were seen without a row for longer than such files are kept; ``found``: they are seen now."""
    rows = tx.execute(
        "WITH seen (path, clock_ms) AS (SELECT path, seen_clock_ms FROM orphan"
        " UNION ALL SELECT value, ? FROM json_each(?) WHERE value NOT IN (SELECT path FROM orphan))"
        " SELECT path FROM seen WHERE clock_ms <= ? - CASE WHEN path LIKE 'uploads/%' THEN ? ELSE ? END",
        tx.clock_ms,
        json.dumps(found),
        tx.clock_ms,
        upload_idle_ms,
        horizon_ms,
    )
    return [path for (path,) in rows]


def forget(tx: WriteTx, path: str) -> bool:
    """Forget the file; whether there is still no row for it, so that it can be removed."""
    tx.execute("DELETE FROM orphan WHERE path = ?", path)
    return not _has_row(tx, path)


def _has_row(tx: ReadTx, path: str) -> bool:
    digest = digest_of(path)
    if digest is not None:
        row = tx.execute("SELECT 1 FROM blob WHERE digest = ?", str(digest)).fetchone()
    else:
        row = tx.execute("SELECT 1 FROM upload WHERE id = ?", path.rpartition("/")[2]).fetchone()
    return row is not None
