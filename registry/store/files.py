"""The files of a data folder: blobs under their digest, uploads under their id.

Every function here blocks; the service calls them by a hop. The order in which they are called is the publish protocol:
``publish`` (sync of the file, rename, sync of the directory) -> the transaction that inserts the row.
"""

from __future__ import annotations

import errno
import os
import shutil
from contextlib import suppress
from itertools import islice
from typing import TYPE_CHECKING

from registry.oci.digests import ALGORITHMS, ContentHash, Digest
from registry.store import folder
from registry.store.upload_files import UploadFile, have_room

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Iterator, Sequence
    from pathlib import Path

    from registry.store.upload_files import Publication

_READ_BYTES = 1024 * 1024

_WALK_NAMES = 1000


_DAMAGE = {errno.ENOENT: "missing", errno.EIO: "corrupt", errno.EUCLEAN: "corrupt", errno.ENODATA: "corrupt"}


def damage_of(error: OSError) -> str | None:
    """What an error on opening or reading a blob says of its file; None where it says nothing of it."""
    return _DAMAGE.get(error.errno or 0)


class UploadGone(Exception):
    """An upload whose bytes were acknowledged has no file."""


class Files:
    """``blobs/<algorithm>/<hex>`` and ``uploads/<id>`` below one folder."""

    def __init__(self, data: Path) -> None:
        self._blobs = data / "blobs"
        self._blobs_text = str(self._blobs)
        self._uploads = data / "uploads"
        self._uploads_text = str(self._uploads)

    def prepare(self) -> None:
        """Create the folders that are missing, durably."""
        for path in (self._uploads, *(self._blobs / algorithm for algorithm in ALGORITHMS)):
            path.parent.mkdir(mode=0o700, exist_ok=True)
            path.mkdir(mode=0o700, exist_ok=True)
        for path in (self._blobs, self._blobs.parent):
            folder.sync(path)

    def open_blob(self, digest: Digest) -> int:
        """A descriptor for reading, the caller's to close. Raises FileNotFoundError, OSError."""
        return os.open(self._blob_name(digest), os.O_RDONLY | os.O_CLOEXEC)

    def open_uncached(self, digest: Digest) -> int:
        """Likewise, and what is read comes from the disk, not from what the kernel remembers of it."""
        descriptor = self.open_blob(digest)
        os.posix_fadvise(descriptor, 0, 0, os.POSIX_FADV_DONTNEED)
        return descriptor

    def is_replaced(self, digest: Digest, descriptor: int | None) -> bool:
        """Whether another file than the open one stands under the digest; without one, whether any does.

        Raises FileNotFoundError where the folder is gone.
        """
        path = self._blob_path(digest)
        path.parent.stat()
        if descriptor is None:
            return self._can_be_opened(path)
        try:
            current = path.stat()
        except FileNotFoundError:
            return False
        opened = os.fstat(descriptor)
        return (current.st_dev, current.st_ino) != (opened.st_dev, opened.st_ino)

    @staticmethod
    def _can_be_opened(path: Path) -> bool:
        try:
            os.close(os.open(path, os.O_RDONLY | os.O_CLOEXEC))
        except OSError as error:
            if damage_of(error) is None:
                raise
            return False
        return True

    def open_upload(self, upload_id: str, offset: int, require: Callable[[int], None]) -> UploadFile:
        """The file of an upload, cut to ``offset`` bytes, ready to append to (see UploadFile).

        Raises UploadGone where bytes were acknowledged and the file is gone, as after a crash between the rename that
        published it and the transaction that ends the session; OSError, also where the file is shorter than that.
        """
        path = self._uploads / upload_id
        if offset and not path.exists():
            raise UploadGone(f"{path} is not there")
        descriptor = os.open(path, os.O_RDWR | os.O_CLOEXEC | os.O_CREAT, 0o600)
        if os.fstat(descriptor).st_size < offset:
            os.close(descriptor)
            raise OSError(f"{path} is shorter than the {offset} bytes that were acknowledged")
        os.ftruncate(descriptor, offset)
        return UploadFile(str(path), require, offset, descriptor)

    def new_upload(self, upload_id: str, require: Callable[[int], None]) -> UploadFile:
        """The file of an upload of which nothing was acknowledged; it is made when something is written to it."""
        return UploadFile(f"{self._uploads_text}/{upload_id}", require)

    def renew_upload(self, upload_id: str, offset: int) -> None:
        """Put a durable copy of what was acknowledged in the place of a file whose sync failed."""
        path, copy = self._uploads / upload_id, self._uploads / f"{upload_id}.copy"
        with path.open("rb") as source, copy.open("wb") as target:
            shutil.copyfileobj(source, target, _READ_BYTES)
            target.truncate(offset)
            target.flush()
            os.fsync(target.fileno())
        copy.rename(path)
        folder.sync(self._uploads)

    def publish(self, publications: Sequence[Publication]) -> None:
        """Make uploads durable under their digests, those that did not fail.

        All files are synced, then all renamed, then each folder is synced once. A file of that name is replaced: this
        one was verified just now.
        """
        if len(publications) > 1:
            has_room = have_room(publications)
            for publication in publications:
                publication.attempt(publication.file.write_back, has_room=has_room)
        for publication in publications:
            publication.attempt(publication.file.keep)
        for publication in publications:
            publication.attempt(self._rename, publication)
        for algorithm in {publication.digest.algorithm for publication in publications}:
            self._sync_names(algorithm, [each for each in publications if each.digest.algorithm == algorithm])
        for publication in publications:
            publication.attempt(publication.file.close)
            publication.is_durable = publication.error is None

    def _rename(self, publication: Publication) -> None:
        os.rename(publication.file.path, self._blob_name(publication.digest))
        publication.is_renamed = True

    def _sync_names(self, algorithm: str, publications: Sequence[Publication]) -> None:
        path = self._blobs / algorithm
        try:
            folder.sync(path)
        except OSError as error:
            for publication in publications:  # each is raised in another task
                publication.error = publication.error or OSError(error.errno, error.strerror, str(path))

    def take_back(self, digest: Digest, upload_id: str) -> None:
        """Undo the rename of ``publish``."""
        with suppress(FileNotFoundError):
            os.rename(self._blob_path(digest), self._uploads / upload_id)

    def remove_upload(self, upload_id: str) -> None:
        (self._uploads / upload_id).unlink(missing_ok=True)

    def exists(self, path: str) -> bool:
        """Whether there is such a file below the data folder."""
        return (self._uploads.parent / path).is_file()

    def remove_blob(self, digest: Digest) -> None:
        self._blob_path(digest).unlink(missing_ok=True)

    def size_of_blob(self, digest: Digest) -> int | None:
        """The size of the file in bytes, None where there is none. Raises OSError."""
        try:
            return self._blob_path(digest).stat().st_size
        except FileNotFoundError:
            return None

    def without_file(self, upload_ids: Iterable[str]) -> list[str]:
        """Those of the uploads that have no file."""
        return [upload_id for upload_id in upload_ids if not (self._uploads / upload_id).exists()]

    def size_of_upload(self, upload_id: str) -> int | None:
        """Likewise for the file of an upload."""
        try:
            return (self._uploads / upload_id).stat().st_size
        except FileNotFoundError:
            return None

    def walk(self) -> Iterator[list[str]]:
        """The paths of all files below the folder (``blobs/...``, ``uploads/...``), some at a time."""
        for folder_path in (*(self._blobs / algorithm for algorithm in ALGORITHMS), self._uploads):
            with os.scandir(folder_path) as entries:
                names_of_files = (entry.name for entry in entries if entry.is_file(follow_symlinks=False))
                while names := list(islice(names_of_files, _WALK_NAMES)):
                    yield [str((folder_path / name).relative_to(self._uploads.parent)) for name in names]

    def probe(self) -> None:
        """Create, sync and remove a file: whether a push could be stored. Raises OSError."""
        path = self._uploads / "probe"
        descriptor = os.open(path, os.O_CREAT | os.O_WRONLY | os.O_CLOEXEC, 0o600)
        try:
            os.write(descriptor, b"probe")
            os.fsync(descriptor)
        finally:
            os.close(descriptor)
            path.unlink()

    def _blob_path(self, digest: Digest) -> Path:
        return self._blobs / digest.algorithm / digest.hex

    def _blob_name(self, digest: Digest) -> str:
        """Likewise, for what is hot."""
        return f"{self._blobs_text}/{digest.algorithm}/{digest.hex}"


def hash_piece(descriptor: int, content_hash: ContentHash, length: int) -> bool:
    """Hash on from where ``content_hash`` stands, at most so many bytes; False at the end of the file."""
    piece = os.pread(descriptor, length, content_hash.size)
    content_hash.update(piece)
    return bool(piece)
