"""Room on the disk: how much there is, and a ballast that the database may have when there is none left."""

from __future__ import annotations

import errno
import os
from contextlib import suppress
from dataclasses import dataclass
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from pathlib import Path

_FULL = frozenset({errno.ENOSPC, errno.EDQUOT})

_BALLAST_BYTES = 16 * 1024 * 1024
_SHARE = 64
"""A small file system gives one part in so many."""


class StorageFull(Exception):
    """The disk, or what this user may have of it, is full; nothing was changed."""


@dataclass(frozen=True, slots=True)
class Room:
    """What a file system has; the room of a ballast that is not laid does not count as free.

    ``free_inodes`` is None where the file system makes them as it needs them.
    """

    total_bytes: int
    free_bytes: int
    free_inodes: int | None


def is_full(error: BaseException) -> bool:
    """Whether the error says that there is no room: no space, no inode, or a quota that is used up."""
    return isinstance(error, StorageFull) or (isinstance(error, OSError) and error.errno in _FULL)


class Space:
    """The file system of a data folder."""

    def __init__(self, data: Path) -> None:
        self._data = data
        self._ballast = data / "ballast"

    def room(self) -> Room:
        """Raises OSError."""
        found = os.statvfs(self._data)
        total, free = found.f_blocks * found.f_frsize, found.f_bavail * found.f_frsize
        missing = max(_share(_BALLAST_BYTES, total) - self._laid_bytes(), 0)
        return Room(total, max(free - missing, 0), found.f_favail if found.f_files else None)

    def require(self, free_bytes: int) -> None:
        """Raises StorageFull unless so many bytes are free at this moment."""
        if self.room().free_bytes < free_bytes:
            raise StorageFull(f"less than {free_bytes:,} bytes are free (storage.reserve)")

    def lay_ballast(self) -> None:
        """Set room aside for the database, durably, where it is not; without room for it, go without."""
        size = self.share(_BALLAST_BYTES)
        if self._laid_bytes() >= size:
            return
        try:
            descriptor = os.open(self._ballast, os.O_RDWR | os.O_CREAT | os.O_CLOEXEC, 0o600)
        except OSError:
            return
        try:
            os.posix_fallocate(descriptor, 0, size)
            os.fsync(descriptor)
        except OSError:
            os.ftruncate(descriptor, 0)
        finally:
            os.close(descriptor)

    def drop_ballast(self) -> bool:
        """Give the room back to the file system; whether there was any."""
        with suppress(OSError):
            if self._laid_bytes():
                os.truncate(self._ballast, 0)
                return True
        return False

    def _laid_bytes(self) -> int:
        try:
            return self._ballast.stat().st_blocks * 512
        except FileNotFoundError:
            return 0

    def share(self, limit_bytes: int) -> int:
        """So many bytes, or less on a small file system. Raises OSError."""
        return _share(limit_bytes, self.room().total_bytes)

    def takes_writes(self) -> bool:
        """Whether a few bytes can be written just now. SQLite reports a quota that is used up as an I/O error."""
        path = self._data / "probe"
        try:
            descriptor = os.open(path, os.O_CREAT | os.O_WRONLY | os.O_CLOEXEC, 0o600)
            try:
                os.write(descriptor, bytes(8192))
                os.fsync(descriptor)
            finally:
                os.close(descriptor)
                path.unlink()
        except OSError as error:
            return not is_full(error)
        return True


def _share(limit_bytes: int, total_bytes: int) -> int:
    return min(limit_bytes, total_bytes // _SHARE) // 4096 * 4096
