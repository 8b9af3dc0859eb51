"""Passwords that were found right: by a keyed hash of each, together with the stored hash that it matched.

The stored hash is asked for at each use. Other processes, which verify nothing, are told of one, and again while it is
in use.
"""

from __future__ import annotations

import hashlib
import secrets
from collections import OrderedDict
from typing import TYPE_CHECKING

import trio

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

_LIMIT = 10_000
_SECONDS = 3600.0
_TOLD_SECONDS = _SECONDS / 2
"""So often others are told of one that is in use."""


class KnownPasswords:
    """``key`` does not outlive the processes that know it."""

    def __init__(self, key: bytes | None = None) -> None:
        self.key = secrets.token_bytes(32) if key is None else key
        self.tell: Callable[[bytes, str], None] = _tell_nobody
        """Called with what ``take`` takes."""
        self._known: OrderedDict[bytes, tuple[str, float, float]] = OrderedDict()
        """Under the hash of name and password: what was matched, until when it counts, and when to tell of it."""

    def is_good(self, name: str, password: str, stored: str | None) -> bool:
        """Whether the password has matched ``stored``, which is the name's hash now, and was used in the last hour."""
        key = self._key_of(name, password)
        matched, until, tell_at = self._known.pop(key, (None, 0.0, 0.0))
        now = trio.current_time()
        if matched is None or matched != stored or now >= until:
            return False
        if now >= tell_at:
            self.tell(key, matched)
            tell_at = now + _TOLD_SECONDS
        self._known[key] = (matched, now + _SECONDS, tell_at)
        return True

    def remember(self, name: str, password: str, stored: str) -> None:
        key = self._key_of(name, password)
        self.take(key, stored)
        self.tell(key, stored)

    def take(self, key: bytes, stored: str) -> None:
        """What another process with the same key has told."""
        now = trio.current_time()
        self._known[key] = (stored, now + _SECONDS, now + _TOLD_SECONDS)
        if len(self._known) > _LIMIT:
            self._known.popitem(last=False)

    def newest(self, limit: int) -> Iterator[tuple[bytes, str]]:
        """What ``take`` takes, of those that were used last."""
        for key, _ in zip(reversed(self._known), range(limit), strict=False):
            yield key, self._known[key][0]

    def __len__(self) -> int:
        return len(self._known)

    def __iter__(self) -> Iterator[bytes]:
        return iter(self._known)

    def _key_of(self, name: str, password: str) -> bytes:
        text = encoded(name)
        content = b"%d:%b%b" % (len(text), text, encoded(password))
        return hashlib.blake2b(content, key=self.key, digest_size=32).digest()


def encoded(text: str) -> bytes:
    """As it was sent. What is no text (a lone surrogate) has a form too, so that no input is an error."""
    return text.encode("utf-8", "surrogatepass")


def _tell_nobody(_key: bytes, _stored: str) -> None:
    """There are no other processes."""
