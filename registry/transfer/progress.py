"""How far a large blob has come, for somebody who waits for it."""

from __future__ import annotations

from contextlib import AbstractContextManager, contextmanager
from typing import TYPE_CHECKING, Protocol

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

    from registry.oci.digests import Digest

LARGE_BYTES = 8 * 1024 * 1024
"""Smaller blobs are through before anybody begins to wait."""


class Readable(Protocol):
    def read(self, size: int = ..., /) -> bytes: ...


class Progress(Protocol):
    def __call__(self, label: str, size: int, /) -> AbstractContextManager[Callable[[int], None]]:
        """A context for one blob; its value is told how many bytes have come each time."""


@contextmanager
def unseen(_label: str, _size: int) -> Iterator[Callable[[int], None]]:
    """Nobody waits."""
    yield lambda _: None


@contextmanager
def watched(content: Readable, size: int, digest: Digest, progress: Progress) -> Iterator[Readable]:
    """The same content; reading it moves the progress on, where it is large."""
    if size < LARGE_BYTES:
        yield content
        return
    with progress(f"{digest.algorithm}:{digest.hex[:12]}", size) as advance:
        yield _Watched(content, advance)


class _Watched:
    def __init__(self, content: Readable, advance: Callable[[int], None]) -> None:
        self._content = content
        self._advance = advance

    def read(self, size: int = -1, /) -> bytes:
        piece = self._content.read(size)
        self._advance(len(piece))
        return piece
