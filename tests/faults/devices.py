"""File systems in a file, and what can be done to them: mounted, cut off from their device, unmounted.

Everything is a context that cleans up when it is left, on an error too. Whatever runs on a mount has to end before it.
"""

from __future__ import annotations

import fcntl
import os
import shutil
import struct
import subprocess
import tempfile
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Iterator

MKFS_OPTIONS = {
    "ext4": ["-q", "-F", "-E", "lazy_itable_init=0,lazy_journal_init=0"],
    "xfs": ["-q", "-f"],
}
"""By file system: options of ``mkfs.<file system>`` that leave nothing to be done after the mount."""

_FS_IOC_SHUTDOWN = 0x8004587D
"""``_IOR('X', 125, __u32)``; ext4, xfs, f2fs and btrfs know it. Source: XFS_IOC_GOINGDOWN in xfs/libxfs/xfs_fs.h."""

_NO_LOG_FLUSH = 2

_CAP_SYS_ADMIN = 21
"""Source: capabilities(7), linux/capability.h."""

_MEMORY = Path("/dev/shm")

_PACKAGES = {"mkfs.ext4": "e2fsprogs", "mkfs.xfs": "xfsprogs", "losetup": "mount"}
"""The Debian packages of programs."""


def _may_mount() -> bool:
    status = Path("/proc/self/status").read_text()
    (effective,) = (line.split()[1] for line in status.splitlines() if line.startswith("CapEff:"))
    return os.geteuid() == 0 and bool(int(effective, 16) >> _CAP_SYS_ADMIN & 1)


def missing(*programs: str) -> str | None:
    """Why file systems can't be mounted here, or which of these programs is not installed; None where all is there."""
    if not _may_mount():
        return "mounting takes root, with CAP_SYS_ADMIN"
    if not os.access("/dev/loop-control", os.R_OK | os.W_OK):
        return "there are no loop devices (/dev/loop-control)"
    for program in programs:
        if shutil.which(program) is None:
            package = _PACKAGES.get(program, program)
            return f"{program} is not installed (package {package})"
    return None


@contextmanager
def scratch(size_bytes: int) -> Iterator[Path]:
    """A folder for disks of this size in all: in memory, where syncs cost nothing, if there is room."""
    in_memory = _MEMORY.is_mount() and shutil.disk_usage(_MEMORY).free > 2 * size_bytes
    with tempfile.TemporaryDirectory(prefix="cargohold-disk-", dir=_MEMORY if in_memory else None) as name:
        yield Path(name)


def make_file_system(file: Path, kind: str, size_bytes: int, *options: str) -> None:
    """Make the file, sparse, with an empty file system in it."""
    file.touch()
    os.truncate(file, size_bytes)
    run(f"mkfs.{kind}", *MKFS_OPTIONS[kind], *options, str(file))


@contextmanager
def mounted(source: Path, point: Path, kind: str, *options: str, direct_io: bool = False) -> Iterator[Path]:
    """The file or block device, mounted: writable, and after an unclean end with its journal replayed."""
    mount(source, point, kind, *options, direct_io=direct_io)
    try:
        yield point
    finally:
        unmount(point)


def mount(source: Path, point: Path, kind: str, *options: str, direct_io: bool = False) -> None:
    """Mount the file or block device. Raises CommandFailed.

    A file gets a loop device of its own, which goes with the mount, however that ends: ``mount -o loop`` would take one
    that is still attached to the file, be it just going away. With ``direct_io`` what is written to that device is not
    kept in memory a second time.
    """
    point.mkdir(exist_ok=True)
    command = ["mount", "-t", kind, "-o", ",".join(["noatime", *options])]
    if source.is_block_device():
        run(*command, str(source), str(point))
        return
    device = run("losetup", "--find", "--show", f"--direct-io={'on' if direct_io else 'off'}", str(source)).strip()
    try:
        run(*command, device, str(point))
    finally:
        run("losetup", "--detach", device)  # at once, or when it is unmounted


def unmount(point: Path) -> None:
    """Unmount. Where something still uses the mount, take it out of sight first, and then raise CommandFailed."""
    try:
        run("umount", str(point))
    except CommandFailed:
        subprocess.run(["umount", "--lazy", str(point)], check=False, capture_output=True)
        raise


def cut_off(point: Path) -> None:
    """Stop the file system without writing its journal: what was not yet on the device never gets there."""
    descriptor = os.open(point, os.O_RDONLY | os.O_DIRECTORY)
    try:
        fcntl.ioctl(descriptor, _FS_IOC_SHUTDOWN, struct.pack("I", _NO_LOG_FLUSH))
    finally:
        os.close(descriptor)


class CommandFailed(Exception):
    """A program ended with an error; the message is what it said."""


def run(*command: str) -> str:
    """What the program prints. Raises CommandFailed."""
    done = subprocess.run(command, capture_output=True, text=True, check=False)
    if done.returncode:
        raise CommandFailed(f"{' '.join(command)}: {done.stderr.strip() or done.returncode}")
    return done.stdout
