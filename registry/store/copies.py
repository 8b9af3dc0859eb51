"""Blobs kept outside of the registry: ``<algorithm>/<hex>`` below a folder, as below ``blobs``."""

from __future__ import annotations

import errno
import fcntl
import os
from contextlib import contextmanager, suppress
from typing import TYPE_CHECKING

from registry.oci.digests import ALGORITHMS, ContentHash, Digest
from registry.oci.errors import DigestInvalid
from registry.store import folder

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator
    from pathlib import Path

_PIECE_BYTES = 1024 * 1024

_NO_LINKS = {errno.EXDEV, errno.EPERM, errno.EMLINK, errno.ENOTSUP, errno.EACCES}
"""What link(2) says where there can be no hard link, and still a copy."""


class FolderBusy(Exception):
    """Another command works on this folder of blobs."""


class CopyDamaged(Exception):
    """The source is not what its digest says."""


class Copies:
    """One folder of blobs. ``changed`` are those of its folders whose names ``sync`` has to make durable."""

    def __init__(self, path: Path) -> None:
        self._path = path
        self._changed: set[Path] = set()

    @contextmanager
    def held(self) -> Iterator[None]:
        """Create the folder and keep others out, so that nobody prunes what a new backup needs. Raises FolderBusy."""
        for algorithm in ALGORITHMS:
            (self._path / algorithm).mkdir(mode=0o700, parents=True, exist_ok=True)
        descriptor = os.open(self._path / "lock", os.O_RDWR | os.O_CREAT | os.O_CLOEXEC, 0o600)
        try:
            self._lock(descriptor)
            yield
        finally:
            os.close(descriptor)

    def _lock(self, descriptor: int) -> None:
        try:
            fcntl.flock(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            raise FolderBusy(f"another command works on {self._path}; try again when it is through") from None

    def path_of(self, digest: Digest) -> Path:
        return self._path / digest.algorithm / digest.hex

    def size_of(self, digest: Digest) -> int | None:
        """None where there is no file. Raises OSError."""
        with suppress(FileNotFoundError):
            return self.path_of(digest).stat().st_size
        return None

    def names(self) -> Iterator[tuple[Digest, int]]:
        """What is there, with its size; other files are not ours."""
        for algorithm in ALGORITHMS:
            with suppress(FileNotFoundError), os.scandir(self._path / algorithm) as entries:
                for entry in entries:
                    with suppress(DigestInvalid):
                        yield Digest.parse(f"{algorithm}:{entry.name}"), entry.stat().st_size

    def link(self, source: Path, digest: Digest) -> bool:
        """Let the file stand here too; False where the file systems allow no hard link. Raises OSError."""
        target = self.path_of(digest)
        try:
            target.unlink(missing_ok=True)
            os.link(source, target)
        except OSError as error:
            if error.errno in _NO_LINKS:
                return False
            raise
        self._changed.add(target.parent)
        return True

    def copy(self, source: Path, digest: Digest, advance: Callable[[int], object], *, by_way: Path) -> None:
        """Copy the file, verified while it is read, through the file ``by_way``. Raises CopyDamaged, OSError."""
        target = self.path_of(digest)
        try:
            with source.open("rb") as content, by_way.open("wb") as file:
                os.fchmod(file.fileno(), 0o600)
                content_hash = ContentHash(digest.algorithm)
                while piece := content.read(_PIECE_BYTES):
                    content_hash.update(piece)
                    file.write(piece)
                    advance(len(piece))
                file.flush()
                os.fsync(file.fileno())
            _require(content_hash, digest, source)
            by_way.rename(target)
        except BaseException:
            by_way.unlink(missing_ok=True)
            raise
        self._changed.add(target.parent)

    def remove(self, digest: Digest) -> None:
        self.path_of(digest).unlink(missing_ok=True)
        self._changed.add(self.path_of(digest).parent)

    def sync(self) -> None:
        """Make the names durable."""
        while self._changed:
            folder.sync(self._changed.pop())

    def fault_of(self, digest: Digest, size: int, advance: Callable[[int], object] | None = None) -> str | None:
        """What is wrong with the file, in words; it is read and hashed where ``advance`` is given."""
        try:
            found = self.size_of(digest)
            if found is None:
                return "is not there"
            if found != size:
                return f"has {found:,} bytes instead of {size:,}"
            if advance is not None and self._hash(digest, advance) != digest:
                return "has other content than its digest says"
        except OSError as error:
            return f"can't be read: {error.strerror}"
        return None

    def _hash(self, digest: Digest, advance: Callable[[int], object]) -> Digest:
        content_hash = ContentHash(digest.algorithm)
        with self.path_of(digest).open("rb") as content:
            while piece := content.read(_PIECE_BYTES):
                content_hash.update(piece)
                advance(len(piece))
        return content_hash.digest()


def _require(content_hash: ContentHash, digest: Digest, source: Path) -> None:
    if content_hash.digest() != digest:
        raise CopyDamaged(f"{source} has other content than its digest says")
