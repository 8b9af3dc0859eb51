"""What the command ``restore`` does. It is loaded on use."""

from __future__ import annotations

import itertools
import uuid
from contextlib import ExitStack
from dataclasses import dataclass, replace
from datetime import UTC, datetime
from typing import TYPE_CHECKING

from registry.display import progress_bar
from registry.store import backups, folder, mark, pairs
from registry.store.backups import BackupUnusable, Summary
from registry.store.copies import Copies
from registry.store.files import Files

if TYPE_CHECKING:
    from pathlib import Path

    from registry.store.pairs import Outlook


@dataclass(frozen=True, slots=True)
class Restored:
    """``missing``: digest and reason, of blobs that are neither in the data folder nor in the backup.

    ``aside``: where the database before is now, and what belonged to it.
    """

    summary: Summary
    present: int
    copied: int
    copied_bytes: int
    missing: list[tuple[str, str]]
    aside: list[Path]


def restore(data: Path, path: Path, blobs: Path | None, *, allow_network: bool, dry_run: bool) -> Restored:
    """Put a backup into the data folder, in which no daemon may run.

    Raises FolderUnusable, BackupUnusable, DatabaseTooNew, OSError.
    """
    kept = None if blobs is None else Copies(blobs)
    with ExitStack() as stack:
        plain = stack.enter_context(backups.plain(path))
        for finding in backups.findings(plain):
            raise BackupUnusable(f"{path} is damaged: {finding}")
        if not dry_run:
            stack.enter_context(folder.hold(data, allow_network=allow_network))
        with backups.opened(plain) as tx:
            summary = backups.summarize(tx)
            outlook = pairs.look(backups.needed_blobs(tx), Copies(data / "blobs"), kept)
        faults, aside = ([], []) if dry_run else _restore(data, plain, outlook, kept)
    return Restored(
        summary=summary,
        present=outlook.present,
        copied=len(outlook.to_copy) - len(faults),
        copied_bytes=outlook.bytes_to_copy,
        missing=sorted([*outlook.missing, *faults]),
        aside=aside,
    )


def _restore(
    data: Path, plain: Path, outlook: Outlook, kept: Copies | None
) -> tuple[list[tuple[str, str]], list[Path]]:
    """The blobs that did not come back, and what was set aside. Blobs first: no row ever points to a missing file."""
    faults = []
    Files(data).prepare()
    if kept is not None:
        with progress_bar("blobs", outlook.bytes_to_copy) as advance:
            # Named as an upload, so that what a crash leaves of it is swept.
            by_way = data / "uploads" / str(uuid.uuid4())
            faults = pairs.bring_back(outlook, kept, Copies(data / "blobs"), advance, by_way=by_way)
    known = mark.read(data / "blobs")
    if known is not None:  # even where it is the state of the last stop, files may have gone
        mark.write(data / "blobs", replace(known, beside_snapshot=True, is_final=False))
    return faults, backups.put_back(plain, data / "registry.db", _stamp(data))


def _stamp(data: Path) -> str:
    """The time; with a number where the command was run in this second before."""
    time = f"{datetime.now(UTC):%Y%m%dT%H%M%SZ}"
    stamps = itertools.chain([time], (f"{time}-{number}" for number in itertools.count(2)))
    return next(stamp for stamp in stamps if not (data / f"registry.db.before-{stamp}").exists())
