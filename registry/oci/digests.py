"""Digests: the algorithm and the hash that name content.

Source: image-spec, descriptor.md, section "Digests"; both registered algorithms are supported.
"""

from __future__ import annotations

import hashlib
import re
from dataclasses import dataclass
from functools import lru_cache
from typing import TYPE_CHECKING

from registry.oci.errors import DigestInvalid

if TYPE_CHECKING:
    from hashlib import _Hash

CANONICAL = "sha256"
"""The algorithm that names content when the client names none."""

_HEX_LENGTH = {"sha256": 64, "sha512": 128}
ALGORITHMS = tuple(_HEX_LENGTH)
_HASHES = {"sha256": hashlib.sha256, "sha512": hashlib.sha512}
_DIGEST = re.compile(r"(?:sha256:[a-f0-9]{64}|sha512:[a-f0-9]{128})")


@dataclass(frozen=True, slots=True, order=True)
class Digest:
    """``str(digest)`` is ``algorithm:hex``."""

    algorithm: str
    hex: str

    @staticmethod
    @lru_cache(maxsize=4096)
    def parse(text: str) -> Digest:
        """Raises DigestInvalid for bad syntax and for algorithms that are not supported."""
        if not _DIGEST.fullmatch(text):
            expected = " or ".join(f"{name}:<{length} lower-case hex digits>" for name, length in _HEX_LENGTH.items())
            raise DigestInvalid(f"a digest is {expected}", {"digest": text[:256]})
        algorithm, _, hex_digits = text.partition(":")
        return Digest(algorithm, hex_digits)

    @classmethod
    def of(cls, content: bytes, algorithm: str = CANONICAL) -> Digest:
        return cls(algorithm, _HASHES[algorithm](content).hexdigest())

    def names(self, content: bytes) -> bool:
        """Whether it is that of the content."""
        return _HASHES[self.algorithm](content).hexdigest() == self.hex

    def __str__(self) -> str:
        return f"{self.algorithm}:{self.hex}"


def parse_algorithm(text: str) -> str:
    """Raises DigestInvalid unless the algorithm is supported."""
    if text not in _HEX_LENGTH:
        raise DigestInvalid(f"supported digest algorithms are {', '.join(ALGORITHMS)}", {"algorithm": text[:64]})
    return text


class ContentHash:
    """A running hash over content that arrives in pieces; ``size`` counts its bytes."""

    __slots__ = ("_hash", "algorithm", "size")

    def __init__(self, algorithm: str) -> None:
        self.algorithm = algorithm
        self.size = 0
        self._hash: _Hash = _HASHES[algorithm]()

    def update(self, piece: bytes | memoryview) -> None:
        self._hash.update(piece)
        self.size += len(piece)

    def copy(self) -> ContentHash:
        twin = ContentHash.__new__(ContentHash)
        twin.algorithm, twin.size, twin._hash = self.algorithm, self.size, self._hash.copy()  # noqa: SLF001 (its own kind)
        return twin

    def digest(self) -> Digest:
        return Digest(self.algorithm, self._hash.hexdigest())
