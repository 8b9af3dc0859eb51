"""A disk so small that it is soon full: a tmpfs."""

from __future__ import annotations

import os
import subprocess
from contextlib import contextmanager
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

_DISK_BYTES = 24 * 1024 * 1024
_DISK_INODES = 4000


def why_not(folder: Path) -> str | None:
    """Why no small disk can be made on this machine; None where it can."""
    if os.geteuid() != 0:
        return "mounting a tmpfs needs root"
    try:
        with small_disk(folder / "probe"):
            return None
    except subprocess.CalledProcessError as error:
        return f"a tmpfs can't be mounted here: {error.stderr.decode().strip()}"


@contextmanager
def small_disk(folder: Path) -> Iterator[Path]:
    folder.mkdir(parents=True, exist_ok=True)
    options = f"size={_DISK_BYTES},nr_inodes={_DISK_INODES},mode=700"
    subprocess.run(["mount", "-t", "tmpfs", "-o", options, "full-disk", folder], check=True, capture_output=True)
    try:
        yield folder
    finally:
        subprocess.run(["umount", "--lazy", folder], check=True)
