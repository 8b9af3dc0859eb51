"""Backup files: snapshots that stand outside of the data folder, perhaps compressed by zstandard."""

from __future__ import annotations

import os
import sqlite3
import tempfile
from contextlib import ExitStack, closing, contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import IO, TYPE_CHECKING

import zstandard

from registry.oci.digests import Digest
from registry.oci.names import Tag
from registry.store import folder, manifests, repositories, schema, snapshot
from registry.store.clock import Clock
from registry.store.transactions import ReadTx

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator, Sequence

    from registry.oci.names import RepositoryName

SUFFIX = ".zst"
_ZSTD = b"\x28\xb5\x2f\xfd"
_PIECE_BYTES = 1024 * 1024


class BackupUnusable(Exception):
    """The file is no snapshot, or a damaged one."""


@dataclass(frozen=True, slots=True)
class Summary:
    """What stands in a backup. ``start_id`` is that of the daemon's start in which it was made."""

    repositories: int
    manifests: int
    tags: int
    blobs: int
    blob_bytes: int
    start_id: str | None
    commits: int


@dataclass(frozen=True, slots=True)
class NeededBlob:
    """``damage`` is what the registry knew. Nobody misses a blob that was condemned."""

    digest: Digest
    size: int
    damage: str | None
    is_condemned: bool


@dataclass(frozen=True, slots=True)
class Stored:
    """A manifest as it was pushed, and what it refers to: blobs, and manifests of the same repository."""

    media_type: str
    body: bytes
    needs: Sequence[Digest]


def write(source: IO[bytes], file: IO[bytes], advance: Callable[[int], object], *, compressed: bool) -> None:
    """Write a snapshot into an open file, durably; the file's time is that of the snapshot. Raises OSError."""
    status = os.fstat(source.fileno())
    if compressed:
        compressor = zstandard.ZstdCompressor(write_checksum=True)
        with compressor.stream_writer(file, size=status.st_size, closefd=False) as writer:
            _copy(source, writer, advance)
    else:
        _copy(source, file, advance)
    file.flush()
    os.fchmod(file.fileno(), 0o600)
    os.utime(file.fileno(), ns=(status.st_mtime_ns, status.st_mtime_ns))
    os.fsync(file.fileno())


def _copy(
    source: IO[bytes], target: IO[bytes] | zstandard.ZstdCompressionWriter, advance: Callable[[int], object]
) -> None:
    while piece := source.read(_PIECE_BYTES):
        target.write(piece)
        advance(len(piece))


@contextmanager
def plain(path: Path) -> Iterator[Path]:
    """The snapshot as SQLite reads it: the file itself, or a temporary copy (of a closed database too).

    Raises BackupUnusable, OSError.
    """
    with path.open("rb") as file:
        is_compressed = file.read(len(_ZSTD)) == _ZSTD
        file.seek(0)
        if not is_compressed and not snapshot.is_closed(path):
            _require_snapshot(path, path)
            yield path
            return
        with tempfile.TemporaryDirectory(prefix="cargohold-") as temporary:
            copy = Path(temporary) / "registry.db"
            if is_compressed:
                _decompress(path, file, copy)
            else:
                snapshot.make_of_closed(path, copy)
            _require_snapshot(copy, path)
            yield copy


def _decompress(path: Path, file: IO[bytes], target: Path) -> None:
    decompressor = zstandard.ZstdDecompressor().decompressobj()
    try:
        with target.open("xb") as decompressed:
            while not decompressor.eof and (piece := file.read(_PIECE_BYTES)):
                decompressed.write(decompressor.decompress(piece))
    except zstandard.ZstdError as error:
        raise BackupUnusable(f"{path} can't be decompressed: {error}") from None
    if not decompressor.eof:
        raise BackupUnusable(f"{path} is cut off")


def _require_snapshot(plain_file: Path, path: Path) -> None:
    if not snapshot.is_snapshot(plain_file):
        raise BackupUnusable(f"{path} is no snapshot of a registry (cargohold backup create makes one)")


@contextmanager
def opened(plain_file: Path) -> Iterator[ReadTx]:
    """Read a snapshot, of an earlier release too. Raises BackupUnusable, DatabaseTooNew, OSError."""
    with ExitStack() as stack:
        try:
            uri = f"{plain_file.absolute().as_uri()}?mode=ro&immutable=1"
            connection = stack.enter_context(closing(sqlite3.connect(uri, uri=True, isolation_level=None)))
            if schema.is_outdated(connection):  # a copy on the disk, which goes with its connection
                migrated = stack.enter_context(closing(sqlite3.connect("", isolation_level=None)))
                connection.backup(migrated)
                schema.migrate(migrated)
                connection = migrated
            schema.require_known(connection)
            yield ReadTx(connection, Clock())
        except sqlite3.DatabaseError as error:
            raise BackupUnusable(f"{plain_file} can't be read: {error}") from error


def findings(plain_file: Path) -> list[str]:
    """What SQLite's own checks say; empty where all is well. Reads the whole file. Raises DatabaseTooNew, OSError."""
    try:
        snapshot.check(plain_file)
        with opened(plain_file) as tx:
            summarize(tx)
    except (sqlite3.DatabaseError, BackupUnusable) as error:
        return [str(error)]
    return []


def summarize(tx: ReadTx) -> Summary:
    row = tx.execute(
        "SELECT (SELECT COUNT(*) FROM repository), (SELECT COUNT(*) FROM manifest), (SELECT COUNT(*) FROM tag),"
        " (SELECT COUNT(*) FROM blob), (SELECT COALESCE(SUM(size), 0) FROM blob), start_id, commits FROM daemon"
    ).fetchone()
    return Summary(*row)


def needed_blobs(tx: ReadTx) -> Iterator[NeededBlob]:
    """The blobs that the snapshot knows, condemned ones too: their rows promise files."""
    rows = tx.execute("SELECT digest, size, damage, condemned_clock_ms IS NOT NULL FROM blob ORDER BY digest")
    for digest, size, damage, is_condemned in rows:
        yield NeededBlob(Digest.parse(digest), size, damage, bool(is_condemned))


def list_manifests(tx: ReadTx, name: RepositoryName) -> dict[Digest, int] | None:
    """The manifests of a repository and their ids, the oldest first; None where there is no such repository."""
    repository = repositories.find(tx, name)
    if repository is None:
        return None
    rows = tx.execute("SELECT digest, id FROM manifest WHERE repository_id = ? AND NOT damaged ORDER BY id", repository)
    return {Digest.parse(digest): manifest for digest, manifest in rows}


def read_manifest(tx: ReadTx, manifest: int) -> Stored:
    """What is damaged has no bytes: a push of it under its digest is refused."""
    columns = "media_type, digest, size"
    media_type, digest, size = tx.execute(f"SELECT {columns} FROM manifest WHERE id = ?", manifest).fetchone()
    body = manifests.read_body(tx, manifest, Digest.parse(digest), size)
    needs = tx.execute("SELECT DISTINCT digest FROM edge WHERE manifest_id = ? ORDER BY digest", manifest).fetchall()
    return Stored(media_type, body or b"", [Digest.parse(digest) for (digest,) in needs])


def list_tags(tx: ReadTx, name: RepositoryName) -> list[tuple[Tag, Digest]]:
    rows = tx.execute(
        "SELECT tag.name, manifest.digest FROM repository JOIN tag ON tag.repository_id = repository.id"
        " JOIN manifest ON manifest.id = tag.manifest_id WHERE repository.name = ? ORDER BY tag.name",
        name.value,
    )
    return [(Tag.parse(tag), Digest.parse(digest)) for tag, digest in rows]


def put_back(plain_file: Path, database: Path, stamp: str) -> list[Path]:
    """Put a snapshot in the place of the database, durably; where the one before is now, and what belonged to it.

    The one before and its -wal stay under two names each until the snapshot stands: cut short before that, nothing has
    changed, and after that the -wal is left beside the snapshot, too. ``snapshot.end_interrupted`` and
    ``snapshot.set_aside_wal`` tidy up, at the next start or here. Raises OSError, and then nothing has changed.
    """
    new, aside = database.with_name(f"{database.name}.new"), database.with_name(f"{database.name}.before-{stamp}")
    snapshot.end_interrupted(database)
    if snapshot.is_snapshot(database):
        snapshot.set_aside_wal(database)
    try:
        with plain_file.open("rb") as source, new.open("wb") as file:
            write(source, file, lambda _: None, compressed=False)
        moved = _keep(database, aside)
        new.rename(database)
    except OSError:
        snapshot.end_interrupted(database)
        raise
    folder.sync(database.parent)
    moved += _end_names(database, aside)
    folder.sync(database.parent)
    return moved


def _keep(database: Path, aside: Path) -> list[Path]:
    """Durably; where it is kept. Under these names SQLite finds the -wal beside it."""
    kept = []
    for ending in ("", "-wal"):
        source, target = database.with_name(f"{database.name}{ending}"), aside.with_name(f"{aside.name}{ending}")
        if not source.exists():
            continue
        try:
            os.link(source, target)
        except FileExistsError:
            raise
        except OSError:  # a file system without hard links
            source.rename(target)
        kept.append(target)
    folder.sync(database.parent)
    return kept


def _end_names(database: Path, aside: Path) -> list[Path]:
    """What is kept goes by its new name alone; what else belonged to the database before goes with it."""
    database.with_name(f"{database.name}-wal").unlink(missing_ok=True)
    shared_memory = database.with_name(f"{database.name}-shm")
    return [shared_memory.rename(f"{aside}-shm")] if shared_memory.exists() else []
