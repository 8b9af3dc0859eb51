"""Named members of a folder or of a tar, which may be compressed."""

from __future__ import annotations

import gzip
import shutil
import tarfile
import tempfile
from contextlib import contextmanager
from pathlib import Path, PurePosixPath
from typing import IO, TYPE_CHECKING, Protocol, cast

import zstandard

from registry.transfer.errors import SourceUnusable

if TYPE_CHECKING:
    from collections.abc import Iterator

_GZIP = b"\x1f\x8b"
_ZSTD = b"\x28\xb5\x2f\xfd"


class Source(Protocol):
    def has(self, name: str) -> bool: ...

    def open(self, name: str) -> IO[bytes]:
        """The member's content, the caller's to close. Raises SourceUnusable where it is missing."""


class _Folder:
    def __init__(self, path: Path) -> None:
        self._path = path

    def has(self, name: str) -> bool:
        return self._file(name).is_file()

    def open(self, name: str) -> IO[bytes]:
        if not self.has(name):
            raise SourceUnusable(f"{self._path} lacks {name}")
        return self._file(name).open("rb")

    def _file(self, name: str) -> Path:
        if ".." in PurePosixPath(name).parts or name.startswith("/"):
            raise SourceUnusable(f"{self._path} names a file outside of itself: {name}")
        return self._path / name


class _Tar:
    def __init__(self, path: Path, tar: tarfile.TarFile) -> None:
        self._path = path
        self._tar = tar
        self._members = {str(PurePosixPath(member.name)): member for member in tar.getmembers()}

    def has(self, name: str) -> bool:
        return str(PurePosixPath(name)) in self._members

    def open(self, name: str) -> IO[bytes]:
        member = self._members.get(str(PurePosixPath(name)))
        content = None if member is None else self._tar.extractfile(member)
        if content is None:
            raise SourceUnusable(f"{self._path} lacks {name}")
        return content


@contextmanager
def open_source(path: Path) -> Iterator[Source]:
    """A folder, a tar, or a tar compressed by gzip or zstd. Raises SourceUnusable, OSError."""
    if path.is_dir():
        yield _Folder(path)
        return
    with path.open("rb") as file, _decompressed(path, file) as plain:
        try:
            tar = tarfile.open(fileobj=plain, mode="r:")  # noqa: SIM115 (closed below)
        except tarfile.TarError as error:
            raise SourceUnusable(f"{path} is neither a folder nor a tar: {error}") from None
        with tar:
            yield _Tar(path, tar)


@contextmanager
def _decompressed(path: Path, file: IO[bytes]) -> Iterator[IO[bytes]]:
    """The plain tar: the file itself, or a temporary copy, for its members are read in any order."""
    magic = file.read(4)
    file.seek(0)
    if not magic.startswith((_GZIP, _ZSTD)):
        yield file
        return
    with tempfile.TemporaryFile() as plain:
        try:
            if magic.startswith(_GZIP):
                with gzip.open(file) as content:
                    shutil.copyfileobj(cast("IO[bytes]", content), plain, 1024 * 1024)
            else:
                zstandard.ZstdDecompressor().copy_stream(file, plain)
        except (EOFError, gzip.BadGzipFile, zstandard.ZstdError) as error:
            raise SourceUnusable(f"{path} can't be decompressed: {error}") from None
        plain.seek(0)
        yield plain
