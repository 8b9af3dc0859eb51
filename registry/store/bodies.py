"""How the bytes of manifests are stored: packed by zstandard where that is smaller. What comes out is what was pushed.

Manifests are small and alike, so a dictionary that ships with the program leaves three quarters of what zstandard alone
does (``benchmarks.manifests``); at 4 MiB it is 4 % worse, which is not worth a second way. A dictionary has a number,
which stands beside what was packed with it, and never changes once it was released.
"""

from __future__ import annotations

import threading
from functools import cache
from importlib import resources

import zstandard

_DICTIONARY = 1
"""The one that is packed with."""

_LEVEL = 3


_threads = threading.local()


class _Codecs:
    """Those of one thread: they are slow to make, and no two threads may use one."""

    def __init__(self) -> None:
        dictionary = _dictionary(_DICTIONARY)
        self.compressor = zstandard.ZstdCompressor(_LEVEL, dict_data=dictionary, write_dict_id=False)
        self.decompressors = {_DICTIONARY: zstandard.ZstdDecompressor(dict_data=dictionary)}


@cache
def _dictionary(number: int) -> zstandard.ZstdCompressionDict:
    file = resources.files("registry.store").joinpath(f"manifests-{number}.dictionary")
    dictionary = zstandard.ZstdCompressionDict(file.read_bytes())
    dictionary.precompute_compress(_LEVEL)
    return dictionary


def _codecs() -> _Codecs:
    if not hasattr(_threads, "codecs"):
        _threads.codecs = _Codecs()
    codecs: _Codecs = _threads.codecs
    return codecs


def pack(body: bytes) -> tuple[bytes, int | None]:
    """What to store, and the number of the dictionary that reads it; None for the bytes as they are."""
    packed = _codecs().compressor.compress(body)
    return (packed, _DICTIONARY) if len(packed) < len(body) else (body, None)


def unpack(stored: object, dictionary: int | None, size: int) -> bytes | None:
    """The ``size`` bytes that were packed, in no more memory than they need; None where what is stored is damaged."""
    if not isinstance(stored, bytes):  # a bit of a row can change that
        return None
    if dictionary is None:
        return stored if len(stored) == size else None
    decompressor = _codecs().decompressors.get(dictionary)
    try:
        if decompressor is None or zstandard.frame_content_size(stored) != size:
            return None
        return decompressor.decompress(stored, max_output_size=size)
    except zstandard.ZstdError:
        return None
