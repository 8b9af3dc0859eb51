"""How many failed logins are borne, from one address and for one name.

A bucket of tokens for each: a failure takes one, time gives them back. A bucket is kept as one number, the moment at
which it will be full again, and one that nobody has asked for is full; so what is kept is bounded, and forgetting a
bucket only forgives. Whoever makes ours forget has to fail ten thousand times first; with passwords, that takes the
verifying threads longer than the bucket of a name takes to fill.
"""

from __future__ import annotations

import hashlib
import math
from collections import OrderedDict
from ipaddress import IPv6Address, ip_address
from typing import TYPE_CHECKING

import trio

from registry.oci.errors import TooManyRequests

if TYPE_CHECKING:
    from collections.abc import Callable

_LIMIT = 10_000
"""Buckets of a kind that are kept; of more, those that failed longest ago are forgotten."""


class Throttle:
    """``require`` before a verification, ``failed`` after one that failed; success changes nothing.

    Where the address is None (a Unix socket says nothing about the client) or the name is empty (a token is not
    anybody's before it is verified), only the other counts.
    """

    def __init__(self, clock: Callable[[], float] = trio.current_time) -> None:
        self._clock = clock
        self._addresses = Buckets(burst=10, refill_seconds=6)
        self._names = Buckets(burst=100, refill_seconds=1)

    def require(self, address: str | None, name: str) -> None:
        """Raises TooManyRequests while the address or the name has used up its failures."""
        now = self._clock()
        wait_seconds = max((buckets.wait_seconds(key, now) for buckets, key in self._of(address, name)), default=0.0)
        if wait_seconds > 0:
            seconds = math.ceil(wait_seconds)
            raise TooManyRequests(
                f"too many failed logins from this address or for this name; try again in {seconds} s", seconds
            )

    def failed(self, address: str | None, name: str) -> None:
        now = self._clock()
        for buckets, key in self._of(address, name):
            buckets.take(key, now)

    def __len__(self) -> int:
        """Buckets that are kept."""
        return len(self._addresses) + len(self._names)

    def _of(self, address: str | None, name: str) -> list[tuple[Buckets, bytes]]:
        keys = ((self._addresses, "" if address is None else network_of(address)), (self._names, name))
        return [(buckets, _short(key)) for buckets, key in keys if key]


class Buckets:
    def __init__(self, *, burst: int, refill_seconds: float) -> None:
        self._refill_seconds = refill_seconds
        self._capacity_seconds = burst * refill_seconds
        self._full_at: OrderedDict[bytes, float] = OrderedDict()

    def wait_seconds(self, key: bytes, now: float) -> float:
        """Until there is a token; at most 0 where there is one."""
        return self._full_at.get(key, now) - now + self._refill_seconds - self._capacity_seconds

    def take(self, key: bytes, now: float) -> None:
        full_at = max(self._full_at.pop(key, now), now) + self._refill_seconds
        self._full_at[key] = min(full_at, now + self._capacity_seconds)
        if len(self._full_at) > _LIMIT:
            self._full_at.popitem(last=False)

    def __len__(self) -> int:
        return len(self._full_at)


def network_of(address: str) -> str:
    """What one client has: an IPv4 address, or the /64 that a host can choose its IPv6 addresses from (RFC 4291)."""
    try:
        ip = ip_address(address)
    except ValueError:
        return address
    if not isinstance(ip, IPv6Address):
        return str(ip)
    if ip.ipv4_mapped is not None:
        return str(ip.ipv4_mapped)
    return str(IPv6Address(int(ip) >> 64 << 64))


def _short(text: str) -> bytes:
    """A key of a fixed size: a stranger chooses how long a name is."""
    return hashlib.blake2b(text.encode("utf-8", "surrogatepass"), digest_size=16).digest()
