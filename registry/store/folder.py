"""The data folder: one daemon at a time, on a file system whose locks and syncs can be relied on."""

from __future__ import annotations

import fcntl
import os
import pwd
from contextlib import contextmanager, suppress
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

_NETWORK_TYPES = frozenset(
    {"9p", "afs", "beegfs", "ceph", "cifs", "davfs", "fuse.glusterfs", "fuse.rclone", "fuse.s3fs", "fuse.sshfs",
     "gfs2", "glusterfs", "lustre", "ncpfs", "nfs", "nfs4", "ocfs2", "orangefs", "smb3", "smbfs"}
)  # fmt: skip


class FolderUnusable(Exception):
    """The data folder can't be used; the message says why and what would help."""


@contextmanager
def hold(data: Path, *, allow_network: bool) -> Iterator[None]:
    """Create the folder if need be and lock it for as long as the context lasts. Raises FolderUnusable."""
    try:
        _create(data)
        descriptor = os.open(data / "lock", os.O_RDWR | os.O_CREAT | os.O_CLOEXEC, 0o600)
    except OSError as error:
        raise FolderUnusable(
            f"the data folder {data} can't be used by {_user()}: {error.strerror}; "
            "make it a folder that this user owns, or choose another with --data"
        ) from error
    try:
        _check(data, allow_network=allow_network)
        _lock(data, descriptor)
        _keep_private(data / "registry.db")
        yield
    finally:
        os.close(descriptor)


def _lock(data: Path, descriptor: int) -> None:
    try:
        fcntl.flock(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except BlockingIOError:
        holder = os.pread(descriptor, 32, 0).decode("ascii", "replace").strip() or "unknown"
        raise FolderUnusable(
            f"{data} is in use by another daemon (pid {holder}); stop that one, or choose another folder with --data"
        ) from None
    os.ftruncate(descriptor, 0)
    os.pwrite(descriptor, f"{os.getpid()}\n".encode("ascii"), 0)


def _keep_private(database: Path) -> None:
    """It holds secrets, whatever the folder is like; SQLite gives what it makes beside it the same mode."""
    with suppress(FileNotFoundError):
        database.chmod(0o600)


def _check(data: Path, *, allow_network: bool) -> None:
    file_system = file_system_type(data)
    if file_system in _NETWORK_TYPES and not allow_network:
        raise FolderUnusable(
            f"{data} is on a network file system ({file_system}), where SQLite's locks and syncs can't be relied on; "
            "use a local disk, or set storage.allow_network = true"
        )
    for path in [data, *data.glob("registry.db*"), *data.glob("uploads"), *data.glob("blobs/*")]:
        if not os.access(path, os.W_OK):
            raise FolderUnusable(f"{path} can't be written by {_user()}; give it back with chown -R {_user()} {data}")


def _user() -> str:
    try:
        return pwd.getpwuid(os.geteuid()).pw_name
    except KeyError:
        return str(os.geteuid())


def _create(data: Path) -> None:
    """Create the folder for its owner alone, durably; the database will hold secrets."""
    missing = [folder for folder in (data, *data.parents) if not folder.exists()]
    if missing:
        data.mkdir(mode=0o700, parents=True)
    for folder in missing:
        sync(folder.parent)


def sync(folder: Path | str) -> None:
    """Make the names in a folder durable (fsync(2))."""
    descriptor = os.open(folder, os.O_RDONLY | os.O_DIRECTORY | os.O_CLOEXEC)
    try:
        os.fsync(descriptor)
    finally:
        os.close(descriptor)


def file_system_type(path: Path) -> str:
    """The type of the file system that holds the path, such as ``ext4``; empty where it can't be told."""
    try:
        with open("/proc/self/mountinfo", encoding="utf-8", errors="surrogateescape") as mounts:
            lines = mounts.read().splitlines()
    except OSError:
        return ""
    return _deepest_mount(lines, str(path.resolve()))


def _deepest_mount(lines: list[str], path: str) -> str:
    """Source: proc_pid_mountinfo(5). Of mounts on one point the last one counts."""
    deepest, found = -1, ""
    for line in lines:
        before, _, after = line.partition(" - ")
        point = before.split(" ")[4].encode("latin-1", "replace").decode("unicode_escape")
        inside = path == point or path.startswith(point.rstrip("/") + "/")
        if inside and len(point) >= deepest:
            deepest, found = len(point), after.split(" ")[0]
    return found
