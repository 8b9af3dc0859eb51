"""Imports for a small process: without TLS and asyncio, which trio and structlog import on their start.

Nothing that a read worker does uses them, and they would be a sixth of it.
"""

from __future__ import annotations

import ctypes
import gc
import importlib
import mmap
import sys
from contextlib import suppress
from types import ModuleType
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Iterator

_UNUSED = ("ssl", "asyncio")
_THEIRS = ("trio", "structlog")


class _Unused(ModuleType):
    """In the place of a module while others are imported: what they name of it is a class without objects."""

    def __getattr__(self, name: str) -> type:
        if name.startswith("__"):
            raise AttributeError(name)
        return type(name, (Exception,), {})


def give_back_memory() -> None:
    """What was needed for the start alone: free memory, and pages of programs and libraries that are in no more use.

    Those are read again, from where all processes have them, when they are needed.
    """
    gc.collect()
    gc.freeze()
    library = ctypes.CDLL(None)
    with suppress(AttributeError, OSError):  # of another C library, or where /proc is not there
        library.malloc_trim(0)
        for start, stop in _code():
            library.madvise(ctypes.c_void_p(start), ctypes.c_size_t(stop - start), mmap.MADV_DONTNEED)


def _code() -> Iterator[tuple[int, int]]:
    """Where files are mapped to be executed, which nothing writes to (proc_pid_maps(5))."""
    with open("/proc/self/maps", encoding="utf-8", errors="surrogateescape") as maps:
        lines = maps.read().splitlines()
    for line in lines:
        addresses, access, _, _, _, *path = line.split(None, 5)
        if access == "r-xp" and path and path[0].startswith("/"):
            start, _, stop = addresses.partition("-")
            yield int(start, 16), int(stop, 16)


def import_lean() -> None:
    """To be called before anything else has imported them; where a release of theirs needs more, it gets all of it."""
    before = set(sys.modules)
    absent = [name for name in _UNUSED if name not in before]
    sys.modules.update({name: _Unused(name) for name in absent})
    try:
        for name in _THEIRS:
            importlib.import_module(name)
    except Exception:  # noqa: BLE001 (whatever a module does at its import)
        for name in set(sys.modules) - before:
            del sys.modules[name]
    for name in absent:
        sys.modules.pop(name, None)
