"""What small blobs hold, as far as they were read lately.

A content that has its digest is what it always was. Whether a blob may be read, here and now, its row says: what
was unlinked, condemned or found damaged is not answered because it is still remembered.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from registry.oci.digests import Digest

LIMIT_BYTES = 16 * 1024
"""Of one of them."""

_ALL_BYTES = 8 * 1024 * 1024

_ENTRY_BYTES = 300
"""What Python needs to keep one, whatever it holds: a million blobs of 3 bytes are no 3 MB."""


class SmallBlobs:
    def __init__(self, all_bytes: int = _ALL_BYTES) -> None:
        """``all_bytes`` is what is remembered at most."""
        self._all_bytes = all_bytes
        self._contents: dict[str, bytes] = {}
        """By the hexadecimal digits of the digest."""
        self._bytes = 0

    def get(self, digest: Digest) -> bytes | None:
        return self._contents.get(digest.hex)

    def keep(self, digest: Digest, content: bytes) -> None:
        """Of a content that was verified; the one that was kept first gives way."""
        if digest.hex in self._contents:
            return
        self._contents[digest.hex] = content
        self._bytes += _ENTRY_BYTES + len(content)
        while self._bytes > self._all_bytes:
            self._bytes -= _ENTRY_BYTES + len(self._contents.pop(next(iter(self._contents))))
