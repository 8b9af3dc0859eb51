"""The high-water mark: what the blob folder knows of its database, in a file beside the blobs.

Each start writes a new random id into both. ``commits`` is the state of the database before which some file may be
gone: it is raised before files are unlinked, and at a clean stop is that of the last snapshot, if nothing has changed.
``clock_ms`` is the daemon's clock, which is written here before the database may save it.
"""

from __future__ import annotations

import json
import os
from dataclasses import asdict, dataclass
from typing import TYPE_CHECKING

from registry.store import folder
from registry.store.clock import AHEAD_MS

if TYPE_CHECKING:
    from pathlib import Path

    from registry.store.transactions import ReadTx, WriteTx

_NAME = "mark"
_SECTOR_BYTES = 512

_OLDER_MS = 2 * AHEAD_MS
"""A mark that the database's clock has left so far behind is that of an older folder; no crash makes it so."""


@dataclass(frozen=True, slots=True)
class Mark:
    """``next_id`` is set while a start is about to write it into the database, ``is_final`` by a clean stop.

    ``beside_snapshot`` is set before SQLite makes a live database of a snapshot that was copied back.
    """

    start_id: str | None
    commits: int
    next_id: str | None = None
    is_final: bool = False
    beside_snapshot: bool = False
    clock_ms: int | None = None


@dataclass(frozen=True, slots=True)
class State:
    """The same, as the database knows it. ``restored_ms`` (wall time) is set until the operator ends that state."""

    start_id: str | None
    commits: int
    restored_ms: int | None
    restorable_since_ms: int
    clock_ms: int


def read(blobs: Path) -> Mark | None:
    """None where there is none that can be read. Raises OSError."""
    try:
        return Mark(**json.loads((blobs / _NAME).read_bytes()))
    except (FileNotFoundError, ValueError, TypeError):
        return None


def write(blobs: Path, mark: Mark) -> None:
    """Returns when it is durable. Raises OSError.

    It is written in place, into one sector: a disk that is full must not keep files from being unlinked.
    """
    path = blobs / _NAME
    is_new = not path.exists()
    descriptor = os.open(path, os.O_WRONLY | os.O_CREAT | os.O_CLOEXEC, 0o600)
    try:
        os.pwrite(descriptor, json.dumps(asdict(mark)).encode("ascii").ljust(_SECTOR_BYTES), 0)
        os.fdatasync(descriptor)
    finally:
        os.close(descriptor)
    if is_new:
        folder.sync(blobs)


def state(tx: ReadTx) -> State:
    row = tx.execute("SELECT start_id, commits, restored_ms, restorable_since_ms, clock_ms FROM daemon").fetchone()
    return State(*row)


def is_restored(mark: Mark | None, found: State, *, is_snapshot: bool) -> bool:
    """Whether the database is older than the blob folder, or younger than it, or is another one's.

    A snapshot that was copied back is older than what it replaced, unless it was made at the stop.
    """
    if mark is None:
        return found.start_id is not None
    if found.start_id is None:  # the first start, perhaps the second attempt at it
        return mark.start_id is not None
    if found.start_id not in {mark.start_id, mark.next_id}:
        return True
    if is_snapshot and not mark.is_final:
        return True
    if mark.clock_ms is not None and mark.clock_ms < found.clock_ms - _OLDER_MS:
        return True
    return found.commits < mark.commits


def begin(tx: WriteTx, start_id: str, *, restored: bool) -> None:
    """Take the new id; sessions of a restored database are dropped: their files have gone on without it."""
    tx.execute("UPDATE daemon SET start_id = ?", start_id)
    if restored:
        tx.execute("UPDATE daemon SET restored_ms = ?", tx.now_ms)
        tx.execute("DELETE FROM upload")


def end_restoration(tx: WriteTx) -> None:
    tx.execute("UPDATE daemon SET restored_ms = NULL")
