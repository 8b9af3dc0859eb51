"""Rows of upload sessions."""

from __future__ import annotations

from typing import TYPE_CHECKING

from registry.oci.upload import Upload

if TYPE_CHECKING:
    from registry.oci.names import RepositoryName
    from registry.store.transactions import ReadTx, WriteTx


def add(tx: WriteTx, upload: Upload, principal: str) -> None:
    tx.execute(
        'INSERT INTO upload (id, repository, principal, algorithm, "offset", created_ms, active_clock_ms)'
        " VALUES (?, ?, ?, ?, ?, ?, ?)",
        upload.id,
        upload.repository.value,
        principal,
        upload.algorithm,
        upload.offset,
        tx.now_ms,
        tx.clock_ms,
    )


def find(tx: ReadTx, upload_id: str, repository: RepositoryName, principal: str) -> Upload | None:
    """The session, if this repository and this principal began it."""
    row = tx.execute(
        'SELECT algorithm, "offset" FROM upload WHERE id = ? AND repository = ? AND principal = ?',
        upload_id,
        repository.value,
        principal,
    ).fetchone()
    return None if row is None else Upload(upload_id, repository, *row)


def set_offset(tx: WriteTx, upload_id: str, offset: int) -> None:
    """Acknowledge bytes that are durable in the upload's file."""
    tx.execute('UPDATE upload SET "offset" = ?, active_clock_ms = ? WHERE id = ?', offset, tx.clock_ms, upload_id)


def remove(tx: WriteTx, upload_id: str) -> None:
    tx.execute("DELETE FROM upload WHERE id = ?", upload_id)


def remove_idle(tx: WriteTx, upload_id: str, *, idle_seconds: float) -> bool:
    """Remove the session unless it was active meanwhile."""
    oldest = tx.clock_ms - idle_seconds * 1000
    return tx.execute("DELETE FROM upload WHERE id = ? AND active_clock_ms < ?", upload_id, oldest).rowcount > 0


def list_idle(tx: ReadTx, *, idle_seconds: float) -> list[str]:
    rows = tx.execute("SELECT id FROM upload WHERE active_clock_ms < ?", tx.clock_ms - idle_seconds * 1000)
    return [upload_id for (upload_id,) in rows]


def list_of_repository(tx: ReadTx, name: RepositoryName) -> list[str]:
    return [upload_id for (upload_id,) in tx.execute("SELECT id FROM upload WHERE repository = ?", name.value)]


def list_begun(tx: ReadTx) -> list[str]:
    """Sessions of which bytes were acknowledged: there has to be a file."""
    return [upload_id for (upload_id,) in tx.execute('SELECT id FROM upload WHERE "offset" > 0')]
