"""Whether a password is right, in the same time whether or not its user exists.

Laws of this module:

* Each verification that fails does the same: one hash of the user's kind and cost in a thread. A name that nobody has
  is verified against the hash of some user, always the same one, so that unknown names are as fast and as slow as users
  are; the result is thrown away.
* A stored hash is asked for at each use. Who was removed, or has a new password, is out at once: a login that was
  good is remembered together with the hash that it matched, and one under way counts only if that still stands.
* Threads that verify are few and their own; who waits for one is bounded in number and time. The throttle is asked
  again when a thread is free, so that many at once get no more tries than one after another.
* No password is kept, only a keyed hash of it, whose key does not outlive the process.
"""

from __future__ import annotations

import hashlib
import os
from contextlib import asynccontextmanager
from typing import TYPE_CHECKING, Final, Protocol

import trio

from registry.oci.errors import TooManyRequests
from registry.service.known_passwords import KnownPasswords, encoded
from registry.store.hops import Hops

if TYPE_CHECKING:
    from collections.abc import AsyncIterator

    from argon2 import PasswordHasher

    from registry.service.throttle import Throttle

PASSWORD_LIMIT_BYTES: Final = 1024

_MEMORY_KIB: Final = 19456
_TIME_COST: Final = 2
_PARALLELISM: Final = 1
"""Parameters of argon2id. Source: OWASP Password Storage Cheat Sheet."""

_NOBODY = f"$argon2id$v=19$m={_MEMORY_KIB},t={_TIME_COST},p={_PARALLELISM}${'A' * 22}${'A' * 43}"
"""What is verified where there is no user at all."""

_BCRYPT_LIMIT_BYTES = 72
_WAITING_LIMIT = 100
_WAITING_SECONDS = 5.0


class Hashes(Protocol):
    """The stored hashes of passwords (argon2 or bcrypt, in their text form), read on the event loop at each use."""

    def find(self, name: str) -> str | None:
        """The hash that stands for the name now; None: nobody may log in by a password under it."""

    def pick(self, fraction: float) -> str | None:
        """The hash of some user, for a fraction of [0, 1); None where there is no user.

        The same fraction meets, as far as it can, the same hash; all fractions meet all users evenly.
        """


class Passwords:
    """Verifies passwords against ``hashes``.

    ``decoy_key`` chooses the user in whose time an unknown name is refused: it is secret, and the same after a restart,
    or else names that change their time with it would be those that nobody has.
    """

    def __init__(
        self,
        hashes: Hashes,
        throttle: Throttle,
        decoy_key: bytes,
        *,
        threads: int | None = None,
        hops: Hops | None = None,
        known: KnownPasswords | None = None,
    ) -> None:
        threads = max(1, len(os.sched_getaffinity(0)) // 2) if threads is None else threads
        self._hashes = hashes
        self._throttle = throttle
        self._decoy_key = hashlib.blake2b(decoy_key, digest_size=32).digest()
        self._slots = trio.CapacityLimiter(threads)
        self._hops = Hops(threads=threads) if hops is None else hops
        self._known = KnownPasswords() if known is None else known

    def is_known_good(self, name: str, password: str, stored: str | None) -> bool:
        """Whether the password has matched ``stored``, which is the name's hash now, and was used in the last hour."""
        return self._known.is_good(name, password, stored)

    async def check(self, address: str | None, name: str, password: str) -> str | None:
        """The stored hash that the password matches now, None where it is wrong; what is wrong has been counted.

        ``address`` is the client's, None where that says nothing about it. Raises TooManyRequests, for what has failed
        or for what waits. Cancelled while a thread verifies, it ends when the thread does, and has counted.
        """
        await trio.lowlevel.checkpoint()
        stored = self._hashes.find(name)
        if self.is_known_good(name, password, stored):
            return stored
        self._throttle.require(address, name)
        if len(encoded(password)) > PASSWORD_LIMIT_BYTES:
            self._throttle.failed(address, name)
            return None
        async with self._slot():
            return await self._check(address, name, password)

    async def hash(self, password: str) -> str:
        """``hash_password`` in one of the threads."""
        async with self._slots:
            return await self._hops(hash_password, password)

    async def _check(self, address: str | None, name: str, password: str) -> str | None:
        stored = self._hashes.find(name)
        if self.is_known_good(name, password, stored):  # verified while this one waited
            return stored
        self._throttle.require(address, name)
        decoy = self._hashes.pick(self._fraction(name)) or _NOBODY  # for users too, that all do the same
        is_match = await self._hops(verify, decoy if stored is None else stored, password)
        if stored is None or not is_match or self._hashes.find(name) != stored:
            self._throttle.failed(address, name)
            return None
        self._remember(name, password, stored)
        return stored

    @asynccontextmanager
    async def _slot(self) -> AsyncIterator[None]:
        """Hold one of the threads. Raises TooManyRequests where many wait already, or after 5 s."""
        is_held = False
        if self._slots.statistics().tasks_waiting < _WAITING_LIMIT:
            with trio.move_on_after(_WAITING_SECONDS):
                await self._slots.acquire()
                is_held = True
        if not is_held:
            raise TooManyRequests("too many logins at once; try again soon", int(_WAITING_SECONDS))
        try:
            yield
        finally:
            self._slots.release()

    def _remember(self, name: str, password: str, stored: str) -> None:
        self._known.remember(name, password, stored)

    def _fraction(self, name: str) -> float:
        drawn = hashlib.blake2b(encoded(name), key=self._decoy_key, digest_size=8).digest()
        return (int.from_bytes(drawn, "big") >> 11) / 2**53  # as many bits as a float holds: never 1


def hash_password(password: str) -> str:
    """By argon2id (RFC 9106), in its text form; takes some 40 ms of a core and 19 MiB. Raises ValueError."""
    if not 0 < len(encoded(password)) <= PASSWORD_LIMIT_BYTES:
        raise ValueError(f"a password has 1 to {PASSWORD_LIMIT_BYTES} bytes")
    return _hasher().hash(encoded(password))


def verify(stored: str, password: str) -> bool:
    """Whether the password is the one that was stored. Raises ValueError for what is no hash by argon2 or bcrypt."""
    content = encoded(password)
    if stored.startswith("$argon2"):
        return _verify_argon2(stored, content)
    return _verify_bcrypt(stored, content)


def _verify_argon2(stored: str, password: bytes) -> bool:
    from argon2.exceptions import VerifyMismatchError  # noqa: PLC0415 (on use)

    try:
        return _hasher().verify(stored, password)
    except VerifyMismatchError:
        return False


def _verify_bcrypt(stored: str, password: bytes) -> bool:
    """Bcrypt takes 72 bytes, and "a", NUL, "a" for "a": what is longer or has a NUL is wrong, and takes its time."""
    import bcrypt  # noqa: PLC0415 (on use)

    is_match = bcrypt.checkpw(password[:_BCRYPT_LIMIT_BYTES], stored.encode())
    return is_match and len(password) <= _BCRYPT_LIMIT_BYTES and b"\0" not in password


def _hasher() -> PasswordHasher:
    from argon2 import PasswordHasher  # noqa: PLC0415 (on use)

    return PasswordHasher(memory_cost=_MEMORY_KIB, time_cost=_TIME_COST, parallelism=_PARALLELISM)
