"""The files of uploads, while they are written, and their way to a digest's name."""

from __future__ import annotations

import os
from dataclasses import dataclass
from typing import TYPE_CHECKING, ParamSpec

from registry.store import folder
from registry.store.space import StorageFull, is_full

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence

    from registry.oci.digests import ContentHash, Digest

P = ParamSpec("P")

_WRITEBACK_BYTES = 8 * 1024 * 1024
"""How much is written before the kernel is asked to start bringing it to the disk."""

_WRITE_BYTES = 64 * 1024
"""One call writes no more. For larger ones the kernel takes larger pieces of memory, and where a virtual machine gives
free memory back to its host, those have to be fetched first, for up to three times the CPU.
"""

_READ_BYTES = 1024 * 1024


class UploadFile:
    """An upload's file, open for appending, or made when something has to be written to it."""

    def __init__(
        self, path: str, require: Callable[[int], None], offset: int = 0, descriptor: int | None = None
    ) -> None:
        """``require`` is asked for the room of whatever is written, and may raise."""
        self.path = path
        self.require = require
        self._descriptor = descriptor
        self._is_closed = False
        self._is_new = offset == 0
        self._held: bytes | memoryview = b""
        self._written = offset
        self._writeback = offset
        self._kept = offset
        self._is_synced = False
        self.is_doubtful = False

    @property
    def offset(self) -> int:
        """Where the next piece begins."""
        return self._written + len(self._held)

    @property
    def is_open(self) -> bool:
        return self._descriptor is not None

    def append(self, piece: bytes | memoryview, content_hash: ContentHash | None) -> None:
        """Write a piece at the end, and hash it."""
        self._write_held()
        self._write(piece)
        if content_hash is not None:
            content_hash.update(piece)
        if self._written - self._writeback >= _WRITEBACK_BYTES:
            self.write_back()

    def hold(self, piece: bytes | memoryview, content_hash: ContentHash | None) -> None:
        """Likewise, but it is only written when it is made durable: one piece that is all that was appended."""
        self._held = piece
        if content_hash is not None:
            content_hash.update(piece)

    @property
    def held_bytes(self) -> int:
        """How much of what was appended is not written yet."""
        return len(self._held)

    def write_back(self, *, has_room: bool = False) -> None:
        """Write what is held, and have the kernel begin to bring it to the disk. Unless it ``has_room``, it asks."""
        self._write_held(has_room=has_room)
        os.posix_fadvise(self._file(), self._writeback, self._written - self._writeback, os.POSIX_FADV_DONTNEED)
        self._writeback = self._written

    def keep(self) -> None:
        """Make what was appended durable.

        After an error nothing of it may be relied on. Where room was all that was missing, what was appended is cut
        off, and may be sent again; after any other error the file ``is_doubtful``: it is not synced again but renewed.
        """
        self._write_held()
        if self._is_synced:
            return
        try:
            os.fdatasync(self._file())
        except OSError as error:
            error.filename = self.path
            self.is_doubtful = not is_full(error)
            raise
        self._is_synced = True
        self._kept = self.offset

    def keep_with_name(self) -> None:
        """Make what was appended durable, and a new file's name too."""
        self.keep()
        if self._is_new:
            folder.sync(os.path.dirname(self.path))
            self._is_new = False

    def hash_into(self, content_hash: ContentHash, limit_bytes: int) -> bool:
        """Hash on from where ``content_hash`` stands, at most so many bytes; whether the end was reached."""
        stop = min(content_hash.size + limit_bytes, self.offset)
        while content_hash.size < stop:
            piece = os.pread(self._file(), min(_READ_BYTES, stop - content_hash.size), content_hash.size)
            if not piece:
                raise OSError(f"an upload's file ended at byte {content_hash.size} of {self.offset}")
            content_hash.update(piece)
        return content_hash.size == self.offset

    def close(self) -> None:
        """Close the file, if it is open; what nobody will ask for is cut off, so that it holds no space."""
        self._is_closed = True
        descriptor, self._descriptor = self._descriptor, None
        if descriptor is None:
            return
        try:
            if self._written > self._kept:
                os.ftruncate(descriptor, self._kept)
        finally:
            os.close(descriptor)

    def _write_held(self, *, has_room: bool = False) -> None:
        piece, self._held = self._held, b""
        self._write(piece, has_room=has_room)

    def _write(self, piece: bytes | memoryview, *, has_room: bool = False) -> None:
        rest = memoryview(piece)
        if rest and not has_room:
            self.require(len(rest))
        descriptor = self._file()
        self._is_synced = self._is_synced and not rest
        try:
            while rest:
                count = os.pwrite(descriptor, rest[:_WRITE_BYTES], self._written)
                self._written += count
                rest = rest[count:]
        except OSError as error:
            error.filename = self.path  # says which file it is about, as an error on a path does
            raise

    def _file(self) -> int:
        if self._is_closed:
            raise ValueError(f"{self.path} is closed")
        if self._descriptor is None:
            flags = os.O_RDWR | os.O_CLOEXEC | os.O_CREAT | os.O_TRUNC
            self._descriptor = os.open(self.path, flags, 0o600)
        return self._descriptor


@dataclass(eq=False, slots=True)
class Publication:
    """An upload on its way to its digest's name; ``is_durable`` once it is there, else ``error`` tells why not."""

    file: UploadFile
    digest: Digest
    is_renamed: bool = False
    is_durable: bool = False
    error: Exception | None = None

    def attempt(self, function: Callable[P, object], *args: P.args, **kwargs: P.kwargs) -> None:
        """Take a step, unless one before it has failed."""
        if self.error is None:
            try:
                function(*args, **kwargs)
            except Exception as error:  # noqa: BLE001 (it is raised where the upload is waited for)
                self.error = error


def have_room(publications: Sequence[Publication]) -> bool:
    """Whether there is room for all together that waits to be written; each asks for itself where there is not."""
    held_bytes = sum(publication.file.held_bytes for publication in publications)
    try:
        publications[0].file.require(held_bytes)
    except (StorageFull, OSError):
        return False
    return True
