"""Whether a data folder, as it is found after a cut, holds what was acknowledged: seen without a daemon, and by one."""

from __future__ import annotations

import hashlib
import shutil
import sqlite3
from contextlib import closing
from typing import TYPE_CHECKING

from registry.store import bodies, mark, snapshot
from registry.store.clock import Clock
from registry.store.transactions import ReadTx
from tests.tools.content import digest_of
from tests.tools.daemon import Daemon

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

    from tests.faults.block_load import Facts, Key, Value


def check(data: Path, facts: Facts, cut: int, scratch: Path) -> list[str]:
    """What is lost or wrong in a data folder of which so many bytes of the log reached the disk."""
    for old in scratch.glob("registry.db*"):
        old.unlink()
    for file in data.glob("registry.db*"):
        if not file.name.endswith("-shm"):
            shutil.copyfile(file, scratch / file.name)
    try:
        with closing(sqlite3.connect(scratch / "registry.db")) as database:
            sentences = [*_check_database(database), *_check_files(database, data), *_check_mark(database, data)]
            return [*sentences, *_compare(database, data, facts, cut)] if cut <= facts.ended else sentences
    except sqlite3.Error as error:
        return [f"registry.db: {error}"]


def check_by_daemon(data: Path, facts: Facts, cut: int, scratch: Path) -> list[str]:
    """What a daemon that is started on the folder does not give back, where there is no doubt; and a push."""
    daemon = Daemon(data)
    daemon.log = scratch / "daemon.log"
    daemon.log.unlink(missing_ok=True)
    try:
        daemon.start()
        told = facts.changes if cut <= facts.ended else ()
        wrong = [sentence for key in told for sentence in _ask(daemon, facts, key, cut)]
        status, _, _ = daemon.request("POST", f"/v2/after/blobs/uploads/?digest={digest_of(b'after')}", b"after")
        return wrong if status == 201 else [*wrong, f"a push after the cut is answered with {status}"]
    except AssertionError as error:
        return [f"the daemon does not start: {error}"]
    finally:
        daemon.kill()


def _ask(daemon: Daemon, facts: Facts, key: Key, cut: int) -> Iterator[str]:
    kind, repository, name = key
    allowed = facts.allowed(key, cut)
    if len(allowed) > 1:
        return
    (expected,) = allowed
    target = {"blob": "blobs", "tag": "manifests", "manifest": "manifests", "upload": "blobs/uploads"}[kind]
    status, headers, body = daemon.request("GET", f"/v2/{repository}/{target}/{name}")
    found: Value = None
    if status in {200, 204}:
        shown: dict[str, Value] = {
            "blob": len(body) if digest_of(body) == name else "other bytes",
            "tag": digest_of(body),
            "manifest": body,
            "upload": int(headers.get("range", "").rpartition("-")[2] or -1) + 1,
        }
        found = shown[kind]
    if found != expected:
        yield f"{' '.join(key)} is answered with {status} ({_show(found)}), acknowledged was {_show(expected)}"


def _check_database(database: sqlite3.Connection) -> Iterator[str]:
    for (verdict,) in database.execute("PRAGMA integrity_check"):
        if verdict != "ok":
            yield f"registry.db: {verdict}"
    for table, row, *_ in database.execute("PRAGMA foreign_key_check"):
        yield f"registry.db: row {row} of {table} refers to a row that is not there"


def _check_files(database: sqlite3.Connection, data: Path) -> Iterator[str]:
    """A row never points to a missing file, nor to one that is not what its name says."""
    if not _has(database, "blob"):
        return
    for digest, size in database.execute("SELECT digest, size FROM blob"):
        algorithm, _, expected = digest.partition(":")
        try:
            content = (data / "blobs" / algorithm / expected).read_bytes()
        except OSError as error:
            yield f"blob {digest} has a row and no file: {error.strerror}"
            continue
        if len(content) != size or hashlib.new(algorithm, content).hexdigest() != expected:
            yield f"blob {digest} of {size} bytes has a file of {len(content)} other bytes"


def _check_mark(database: sqlite3.Connection, data: Path) -> Iterator[str]:
    """A power cut is no restoration: nothing of the past was put back."""
    if _has(database, "daemon"):
        found, known = mark.state(ReadTx(database, Clock())), mark.read(data / "blobs")
        if mark.is_restored(known, found, is_snapshot=snapshot.is_snapshot(data / "registry.db")):
            yield f"the database would be taken for one that was restored: {found}, in the blob folder {known}"


def _compare(database: sqlite3.Connection, data: Path, facts: Facts, cut: int) -> Iterator[str]:
    found: dict[Key, Value] = dict(_things(database)) if _is_made(database) else {}
    for key in facts.changes:
        value, allowed = found.pop(key, None), facts.allowed(key, cut)
        if value not in allowed:
            yield f"{' '.join(key)} is {_show(value)}, acknowledged was {' or '.join(map(_show, allowed))}"
        elif key[0] == "upload" and value:
            yield from _check_upload(data, key[2], facts.uploaded[key[2]][:value], may_be_gone=None in allowed)
    for key in found:
        yield f"{' '.join(key)} is there, and nobody made it"


def _check_upload(data: Path, upload_id: str, expected: bytes, *, may_be_gone: bool) -> Iterator[str]:
    """The file may be gone while the request that publishes it is under way."""
    try:
        content = (data / "uploads" / upload_id).read_bytes()
    except FileNotFoundError:
        if not may_be_gone:
            yield f"upload {upload_id} has no file, acknowledged were {len(expected)} bytes"
        return
    if content[: len(expected)] != expected:
        yield f"upload {upload_id}: of {len(expected)} acknowledged bytes, {len(content)} are there or some are wrong"


def _things(database: sqlite3.Connection) -> Iterator[tuple[Key, Value]]:
    for repository, digest, size in database.execute(
        "SELECT name, digest, size FROM repository_blob JOIN repository ON repository.id = repository_id"
        " JOIN blob ON blob.id = blob_id"
    ):
        yield ("blob", repository, digest), size
    for repository, tag, digest in database.execute(
        "SELECT repository.name, tag.name, digest FROM tag JOIN manifest ON manifest.id = manifest_id"
        " JOIN repository ON repository.id = tag.repository_id"
    ):
        yield ("tag", repository, tag), digest
    for repository, digest, *stored in database.execute(
        "SELECT name, digest, body, dictionary, size FROM manifest JOIN manifest_body ON manifest_id = manifest.id"
        " JOIN repository ON repository.id = repository_id"
    ):
        yield ("manifest", repository, digest), bodies.unpack(*stored)
    for repository, upload_id, offset in database.execute('SELECT repository, id, "offset" FROM upload'):
        yield ("upload", repository, upload_id), offset


def _is_made(database: sqlite3.Connection) -> bool:
    """Whether the last migration is through: a cut may come between two of them, when there is nothing yet."""
    return "dictionary" in {column for _, column, *_ in database.execute("PRAGMA table_info(manifest_body)")}


def _has(database: sqlite3.Connection, table: str) -> bool:
    """A cut during the very first start leaves a database without tables."""
    return database.execute("SELECT 1 FROM sqlite_master WHERE name = ?", (table,)).fetchone() is not None


def _show(value: Value) -> str:
    if value is None:
        return "not there"
    return f"{len(value)} bytes" if isinstance(value, bytes) else str(value)
