"""What the commands for backups do. It is loaded on use.

The daemon takes the snapshot and keeps it in its own folder; the command copies that one, so that nothing else opens
the database, and the backup goes wherever the command may write.
"""

from __future__ import annotations

import os
import tempfile
from contextlib import ExitStack
from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path
from typing import TYPE_CHECKING

from registry.display import progress_bar
from registry.store import backups, folder, pairs
from registry.store.backups import BackupUnusable, Summary
from registry.store.copies import Copies
from registry.store.schema import DatabaseTooNew

if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence

    from registry.oci.digests import Digest
    from registry.store.pairs import Saved
    from registry.store.transactions import ReadTx

_MAGICS = (b"SQLite format 3\x00", b"\x28\xb5\x2f\xfd")


@dataclass(frozen=True, slots=True)
class Entry:
    """A backup file. ``fault`` says why it can't be read, and then there is no summary."""

    path: Path
    taken_ns: int
    size: int
    summary: Summary | None
    fault: str | None

    @property
    def taken_ms(self) -> int:
        return self.taken_ns // 1_000_000


@dataclass(frozen=True, slots=True)
class Pruned:
    """What went, or would go."""

    snapshots: Sequence[Entry]
    kept: int
    blobs: int
    blob_bytes: int


def create(data: Path, path: Path, blobs: Path | None, *, force: bool) -> tuple[Entry, Saved | None]:
    """Copy the daemon's last snapshot to a file, or into a folder under its time.

    The blobs come before the snapshot gets its name: under that, the two are a whole. Raises FileExistsError,
    BackupUnusable, FolderBusy, OSError.
    """
    is_folder = path.is_dir()
    _require_new(path, force=force or is_folder)
    with ExitStack() as stack:
        temporary = Path(
            stack.enter_context(
                tempfile.TemporaryDirectory(prefix=".cargohold-", dir=path if is_folder else path.parent)
            )
        )
        plain = _copy_snapshot(data / "backup" / "registry.db", temporary)
        if is_folder:
            path /= _name(plain.stat().st_mtime_ns)
        tx = stack.enter_context(backups.opened(plain))
        summary, saved = backups.summarize(tx), None
        if blobs is not None:
            saved = _save_blobs(tx, summary, data, stack, Copies(blobs))
        written = temporary / "written"
        _write(plain, written, path.name, compressed=path.name.endswith(backups.SUFFIX))
        _require_new(path, force=force or is_folder)
        written.rename(path)
        folder.sync(path.parent)
    status = path.stat()
    return Entry(path, status.st_mtime_ns, status.st_size, summary, None), saved


def _require_new(path: Path, *, force: bool) -> None:
    """What has the name of its time in a folder is the same snapshot."""
    if path.exists() and not force:
        raise FileExistsError(f"{path} is there already; --force replaces it")


def _copy_snapshot(snapshot: Path, temporary: Path) -> Path:
    """The daemon may put another one in its place meanwhile. The copy is checked: it may be of yesterday."""
    plain = temporary / "plain"
    _write(snapshot, plain, "snapshot", compressed=False)
    for finding in backups.findings(plain):
        raise BackupUnusable(f"the daemon's snapshot is damaged: {finding}")
    return plain


def _save_blobs(tx: ReadTx, summary: Summary, data: Path, stack: ExitStack, copies: Copies) -> Saved:
    """The folder of blobs stays held until the snapshot has its name: who prunes does not know yet what it needs."""
    stack.enter_context(copies.held())
    with progress_bar("blobs", summary.blob_bytes) as advance:
        return pairs.save(backups.needed_blobs(tx), Copies(data / "blobs"), copies, advance)


def _write(snapshot: Path, target: Path, label: str, *, compressed: bool) -> None:
    with (
        snapshot.open("rb") as source,
        target.open("xb") as file,
        progress_bar(label, os.fstat(source.fileno()).st_size) as advance,
    ):
        backups.write(source, file, advance, compressed=compressed)


def _name(taken_ns: int) -> str:
    moment = datetime.fromtimestamp(taken_ns / 1e9, UTC)
    return f"registry-{moment:%Y%m%dT%H%M%S}.{taken_ns // 1_000_000 % 1000:03}Z.db{backups.SUFFIX}"


def list_folder(path: Path) -> list[Entry]:
    """The snapshots in a folder, the newest first. Raises OSError."""
    entries = [_read(each) for each in sorted(path.iterdir()) if each.is_file() and _is_like_a_backup(each)]
    return sorted(entries, key=_age)


def _age(entry: Entry) -> tuple[int, int]:
    return -entry.taken_ns, -(entry.summary.commits if entry.summary else 0)


def _is_like_a_backup(path: Path) -> bool:
    with path.open("rb") as file:
        return file.read(16).startswith(_MAGICS)


def _read(path: Path) -> Entry:
    status = path.stat()
    summary, fault = None, None
    try:
        with backups.plain(path) as plain, backups.opened(plain) as tx:
            summary = backups.summarize(tx)
    except (BackupUnusable, DatabaseTooNew) as error:
        fault = str(error)
    return Entry(path, status.st_mtime_ns, status.st_size, summary, fault)


def verify(path: Path, blobs: Path | None, *, full: bool) -> tuple[Summary | None, list[tuple[str, str]]]:
    """What is wrong with a backup, each a digest or file with the reason.

    Raises BackupUnusable, DatabaseTooNew, OSError.
    """
    with backups.plain(path) as plain:
        found = [(path.name, finding) for finding in backups.findings(plain)]
        if found:
            return None, found
        with backups.opened(plain) as tx:
            summary = backups.summarize(tx)
            if blobs is not None:
                with progress_bar("blobs", summary.blob_bytes) as advance:
                    found += pairs.faults(backups.needed_blobs(tx), Copies(blobs), advance if full else None)
    return summary, found


def prune(path: Path, blobs: Path | None, *, keep: int, dry_run: bool) -> Pruned:
    """Remove all but the newest snapshots of a folder, then the blobs that none of these needs.

    What can't be read as a snapshot stays, and then no blob goes. Raises BackupUnusable, FolderBusy, OSError.
    """
    copies = None if blobs is None else Copies(blobs)
    with ExitStack() as stack:
        if copies is not None:
            stack.enter_context(copies.held())
        entries = list_folder(path)
        readable = [entry for entry in entries if entry.summary is not None]
        kept, gone = readable[:keep], readable[keep:]
        garbage = [] if copies is None else _unneeded(copies, entries, kept)
        if not dry_run:
            _remove(path, gone, copies, garbage)
    return Pruned(gone, len(kept), len(garbage), sum(size for _, size in garbage))


def _unneeded(copies: Copies, entries: Sequence[Entry], kept: Sequence[Entry]) -> list[tuple[Digest, int]]:
    for entry in entries:
        if entry.fault is not None:
            raise BackupUnusable(f"{entry.fault}; nobody knows which blobs it needs: move it away first")
    if not kept:
        raise BackupUnusable("there is no snapshot in the folder: all blobs would go")
    needed = {digest for entry in kept for digest in _needed_by(entry)}
    return [(digest, size) for digest, size in copies.names() if digest not in needed]


def _needed_by(entry: Entry) -> Iterator[Digest]:
    with backups.plain(entry.path) as plain, backups.opened(plain) as tx:
        for blob in backups.needed_blobs(tx):
            yield blob.digest


def _remove(path: Path, gone: Sequence[Entry], copies: Copies | None, garbage: Sequence[tuple[Digest, int]]) -> None:
    """Snapshots first: a blob without one is harmless."""
    for entry in gone:
        entry.path.unlink()
    folder.sync(path)
    if copies is not None:
        for digest, _ in garbage:
            copies.remove(digest)
        copies.sync()
