"""Where it is measured: the machine, its cores, and the file system that takes the data folders."""

from __future__ import annotations

import os
import platform
import shutil
import subprocess
import tempfile
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING

from tests.faults import devices

if TYPE_CHECKING:
    from collections.abc import Iterator

_DISK_BYTES = 24 * 1024**3
"""Of the file system that is made, if that leaves half of the disk; its file holds only what is written."""


_INODES = "400000"
"""Enough for some files and folders of each blob; the usual number would take half a gigabyte."""


def cores() -> tuple[int, int]:
    """One for the registry, one for the client; the same where there is no other."""
    usable = sorted(os.sched_getaffinity(0))
    return usable[-1], usable[0]


def machine() -> dict[str, str]:
    """Its CPU, memory and kernel. Source: proc_cpuinfo(5)."""
    registry, client = cores()
    lines = Path("/proc/cpuinfo").read_text().splitlines()
    models = [line.partition(":")[2].strip() for line in lines if line.startswith("model name")]
    memory = os.sysconf("SC_PAGE_SIZE") * os.sysconf("SC_PHYS_PAGES") / 1024**3
    pinned = f"registry on {registry}, client on {client}"
    return {
        "CPU": models[0] if models else platform.machine(),
        "cores": f"{os.cpu_count()}; {pinned}" if registry != client else f"{os.cpu_count()}; all on the same one",
        "memory": f"{memory:.1f} GiB",
        "kernel": platform.release(),
        "python": platform.python_version(),
        "load_before": f"{os.getloadavg()[0]:.2f}",
    }


def commit() -> str:
    """Of this registry; empty where there is no repository."""
    command = ["git", "-C", str(Path(__file__).parent), "describe", "--always", "--dirty"]
    try:
        return subprocess.run(command, capture_output=True, text=True, check=False).stdout.strip()
    except FileNotFoundError:
        return ""


class TooSmall(Exception):
    """There is not enough room for what will be pushed; the message says how much there is, and how much is needed."""


@contextmanager
def data_folder(given: Path | None, needed_bytes: int) -> Iterator[tuple[Path, str]]:
    """An empty folder for data folders, and which file system it is on. Raises TooSmall.

    Syncs cost what they do on a file system with a journal. So without a folder that is given, one is made: ext4 in a
    file, where root may mount it, and by direct I/O, as a disk has it: else a sync would wait for a second cache.
    """
    if given is not None:
        _require(needed_bytes, shutil.disk_usage(given).free, given)
        with tempfile.TemporaryDirectory(prefix="cargohold-benchmark-", dir=given) as name:
            yield Path(name), file_system(Path(name))
        return
    with tempfile.TemporaryDirectory(prefix="cargohold-benchmark-") as name:
        folder = Path(name)
        reason = devices.missing("mkfs.ext4")
        free_bytes = shutil.disk_usage(folder).free
        if reason is not None:
            _require(needed_bytes, free_bytes, folder)
            yield folder, f"{file_system(folder)} ({reason})"
            return
        size_bytes = min(_DISK_BYTES, free_bytes // 2)
        _require(needed_bytes, size_bytes, folder)
        devices.make_file_system(folder / "disk", "ext4", size_bytes, "-N", _INODES)
        with devices.mounted(folder / "disk", folder / "mounted", "ext4", direct_io=True) as point:
            yield point, f"{file_system(point)} in a file, by direct I/O, on {file_system(folder)}"


def _require(needed_bytes: int, free_bytes: int, folder: Path) -> None:
    if free_bytes < needed_bytes:
        there, needed = (f"{count / 1024**3:.1f} GiB" for count in (free_bytes, needed_bytes))
        raise TooSmall(f"{needed} are needed, and {there} may be used in {folder}: see --data")


def file_system(folder: Path) -> str:
    """Its type and options. Source: proc_pid_mountinfo(5)."""
    found = ("", "unknown")
    for line in Path("/proc/self/mountinfo").read_text().splitlines():
        before, _, after = line.partition(" - ")
        point, options = before.split(" ")[4:6]
        if folder.resolve().is_relative_to(point) and len(point) >= len(found[0]):
            found = (point, f"{after.split(' ')[0]} ({options})")
    return found[1]
