"""Whether a part of a file is in memory, so that sending it waits for no disk."""

from __future__ import annotations

import ctypes
import mmap
from time import monotonic

_PAGE_BYTES = mmap.PAGESIZE
_ALL_IN_MEMORY = b"\1" * 1024
"""What mincore(2) says of as many pages."""

_SEEN_SECONDS = 1.0
_SEEN = 4096
_seen: dict[tuple[str, int, int], float] = {}
"""What was in memory when it was looked at last, and until when that is taken for granted: the oldest goes first."""

_NO_ADDRESS = ctypes.c_void_p(-1).value

_libc = ctypes.CDLL(None)
_map = _libc.mmap
_map.restype = ctypes.c_void_p
_map.argtypes = [ctypes.c_void_p, ctypes.c_size_t, ctypes.c_int, ctypes.c_int, ctypes.c_int, ctypes.c_long]
_ask = _libc.mincore
_ask.argtypes = [ctypes.c_void_p, ctypes.c_size_t, ctypes.c_char_p]
_unmap = _libc.munmap
_unmap.argtypes = [ctypes.c_void_p, ctypes.c_size_t]


def is_in_memory(descriptor: int, start: int, length: int) -> bool:
    """Of at most 1,023 pages (mincore(2)). The kernel says so of a file to its owner; to others it says always yes.

    The mmap of the standard library would do, and takes four times as long.
    """
    first = start // _PAGE_BYTES * _PAGE_BYTES
    span = start + length - first
    count = -(-span // _PAGE_BYTES)
    pages = ctypes.create_string_buffer(count)
    address = _map(None, span, mmap.PROT_READ, mmap.MAP_SHARED, descriptor, first)  # nothing is read by way of it
    if address == _NO_ADDRESS:  # of a file system that can't
        return False
    failed = _ask(address, span, pages)
    _unmap(address, span)
    return not failed and pages.raw == _ALL_IN_MEMORY[:count]


def was_in_memory(name: str, descriptor: int, start: int, length: int) -> bool:
    """Likewise, or a moment ago: what many ask for need not be looked at for each of them.

    ``name`` is that of a content which never changes.
    """
    key, now = (name, start, length), monotonic()
    if _seen.get(key, 0) > now:
        return True
    _seen.pop(key, None)
    if not is_in_memory(descriptor, start, length):
        return False
    if len(_seen) >= _SEEN:
        del _seen[next(iter(_seen))]
    _seen[key] = now + _SEEN_SECONDS
    return True
