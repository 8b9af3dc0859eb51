"""A snapshot and the blobs that it needs: what makes the two a whole."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import TYPE_CHECKING

from registry.store.copies import CopyDamaged
from registry.store.files import damage_of

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable
    from pathlib import Path

    from registry.store.backups import NeededBlob
    from registry.store.copies import Copies


@dataclass
class Saved:
    """How many blobs were there already, and how the others came. ``missing``: digest and reason, in words."""

    present: int = 0
    linked: int = 0
    copied: int = 0
    copied_bytes: int = 0
    missing: list[tuple[str, str]] = field(default_factory=list)


@dataclass
class Outlook:
    """What a restoration finds: blobs that stand in the data folder, that come from the backup, that are nowhere."""

    present: int = 0
    to_copy: list[NeededBlob] = field(default_factory=list)
    missing: list[tuple[str, str]] = field(default_factory=list)

    @property
    def bytes_to_copy(self) -> int:
        return sum(blob.size for blob in self.to_copy)


def save(needed: Iterable[NeededBlob], blobs: Copies, target: Copies, advance: Callable[[int], object]) -> Saved:
    """Bring into ``target`` what it lacks, durably: by a hard link, or copied and verified. Raises OSError."""
    saved = Saved()
    for blob in needed:
        if target.size_of(blob.digest) == blob.size:
            saved.present += 1
            advance(blob.size)
            continue
        fault = blobs.fault_of(blob.digest, blob.size) if blob.damage is None else f"is {blob.damage}"
        fault = fault or _save_one(blob, blobs, target, advance, saved)
        if fault and not blob.is_condemned:
            saved.missing.append((str(blob.digest), fault))
    target.sync()
    return saved


def _save_one(
    blob: NeededBlob, blobs: Copies, target: Copies, advance: Callable[[int], object], saved: Saved
) -> str | None:
    """What kept the blob from coming over."""
    source = blobs.path_of(blob.digest)
    try:
        if target.link(source, blob.digest):
            saved.linked += 1
            advance(blob.size)
            return None
    except FileNotFoundError:
        return "is not there"
    path = target.path_of(blob.digest)
    fault = _copy(blob, blobs, target, advance, by_way=path.with_name(f"{path.name}.new"))
    if fault is None:
        saved.copied += 1
        saved.copied_bytes += blob.size
    return fault


def _copy(
    blob: NeededBlob, source: Copies, target: Copies, advance: Callable[[int], object], *, by_way: Path
) -> str | None:
    """Raises OSError where it says nothing of the source."""
    try:
        target.copy(source.path_of(blob.digest), blob.digest, advance, by_way=by_way)
    except CopyDamaged:
        return "has other content than its digest says"
    except OSError as error:
        if damage_of(error) is None:
            raise
        return f"can't be read: {error.strerror}"
    return None


def look(needed: Iterable[NeededBlob], blobs: Copies, kept: Copies | None) -> Outlook:
    """Compare by name and size; what comes from ``kept`` is verified when it is copied."""
    outlook = Outlook()
    for blob in needed:
        if blobs.size_of(blob.digest) == blob.size:
            outlook.present += 1
        elif kept is not None and kept.size_of(blob.digest) == blob.size:
            outlook.to_copy.append(blob)
        elif not blob.is_condemned:
            outlook.missing.append((str(blob.digest), (kept or blobs).fault_of(blob.digest, blob.size) or ""))
    return outlook


def bring_back(
    outlook: Outlook, kept: Copies, blobs: Copies, advance: Callable[[int], object], *, by_way: Path
) -> list[tuple[str, str]]:
    """Copy what the data folder lacks, durably; what could not be brought back, and why. Raises OSError."""
    faults = [(blob, _copy(blob, kept, blobs, advance, by_way=by_way)) for blob in outlook.to_copy]
    blobs.sync()
    return [(str(blob.digest), fault) for blob, fault in faults if fault is not None and not blob.is_condemned]


def faults(
    needed: Iterable[NeededBlob], kept: Copies, advance: Callable[[int], object] | None
) -> list[tuple[str, str]]:
    """What is wrong with the blobs of a backup; they are read and hashed where ``advance`` is given."""
    found = []
    for blob in needed:
        fault = kept.fault_of(blob.digest, blob.size, advance)
        if fault is not None and not blob.is_condemned:
            found.append((str(blob.digest), fault))
    return found
