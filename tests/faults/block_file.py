"""A disk as one file of a FUSE file system; every write and every flush that reaches it is logged in its order.

A program of its own, ``python -m tests.faults.block_file MOUNT_POINT LOG SIZE_BYTES``, for an interpreter that has
pyfuse3. It says ``mounted`` when it is, and ends when it is unmounted. The disk's content lives in memory; what is
written or flushed is in the log (see ``block_log``) before the kernel is told that it is done.
"""

from __future__ import annotations

import errno
import os
import stat
import sys
from typing import Any

import pyfuse3
import trio

from tests.faults.block_log import FLUSH, HEAD, WRITE

NAME = b"disk"
_INODE = 2
_CACHE_SECONDS = 3600


class BlockFile(pyfuse3.Operations):
    """The root folder and in it one file of a fixed size."""

    def __init__(self, log: int, size_bytes: int) -> None:
        super().__init__()
        self._log = log
        self._content = bytearray(size_bytes)

    def _attributes(self, inode: int) -> pyfuse3.EntryAttributes:
        attributes = pyfuse3.EntryAttributes()
        attributes.st_ino = inode
        is_file = inode == _INODE
        attributes.st_mode = stat.S_IFREG | 0o600 if is_file else stat.S_IFDIR | 0o700
        attributes.st_size = len(self._content) if is_file else 0
        attributes.st_nlink = 1
        attributes.entry_timeout = attributes.attr_timeout = _CACHE_SECONDS
        return attributes

    async def getattr(self, inode: int, ctx: Any = None) -> pyfuse3.EntryAttributes:
        return self._attributes(inode)

    async def setattr(self, inode: int, attr: Any, fields: Any, fh: Any, ctx: Any) -> pyfuse3.EntryAttributes:
        return self._attributes(inode)

    async def lookup(self, parent_inode: int, name: bytes, ctx: Any = None) -> pyfuse3.EntryAttributes:
        if name != NAME:
            raise pyfuse3.FUSEError(errno.ENOENT)
        return self._attributes(_INODE)

    async def open(self, inode: int, flags: int, ctx: Any) -> pyfuse3.FileInfo:
        return pyfuse3.FileInfo(fh=inode)

    async def read(self, fh: int, off: int, size: int) -> bytes:
        return bytes(self._content[off : off + size])

    async def write(self, fh: int, off: int, buf: bytes) -> int:
        self._content[off : off + len(buf)] = buf
        self._record(WRITE, off, buf)
        return len(buf)

    async def fsync(self, fh: int, datasync: bool) -> None:
        self._record(FLUSH, 0, b"")

    def _record(self, kind: bytes, position: int, content: bytes) -> None:
        record = HEAD.pack(kind, position, len(content)) + bytes(content)
        if os.write(self._log, record) != len(record):
            raise pyfuse3.FUSEError(errno.ENOSPC)


def main(point: str, log_path: str, size_bytes: str) -> None:
    log = os.open(log_path, os.O_WRONLY | os.O_CREAT | os.O_APPEND, 0o600)
    options = {*pyfuse3.default_options, "fsname=cargohold-block-file"}
    pyfuse3.init(BlockFile(log, int(size_bytes)), point, options)
    print("mounted", flush=True)  # noqa: T201 (to the one who started this)
    try:
        trio.run(pyfuse3.main)
    finally:
        pyfuse3.close(unmount=True)


if __name__ == "__main__":
    main(*sys.argv[1:])
