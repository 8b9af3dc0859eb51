"""How many connections and requests there may be, of all clients and of one."""

from __future__ import annotations

import math
import sys
from dataclasses import dataclass, field
from functools import partial
from typing import TYPE_CHECKING, Any, Final, Protocol

import trio

from registry.http.access_log import AccessLog
from registry.http.errors import error_answer
from registry.http.proxies import TrustedProxies, origin_of
from registry.oci.errors import TooManyRequests
from registry.service.throttle import Buckets, network_of

if TYPE_CHECKING:
    from collections.abc import Callable

    from hypercorn.typing import ASGIFramework, ASGIReceiveCallable, ASGISendCallable, Scope

    from registry.http.traffic import Traffic

_NO_PROXIES: Final = TrustedProxies(())


class Guest(Protocol):
    """A connection, as far as its place is concerned."""

    def stop(self) -> None:
        """End as soon as no request is in flight."""


@dataclass(slots=True)
class _Share:
    """The connections of one client; those without a request in flight, the longest idle first."""

    count: int = 0
    idle: dict[Guest, None] = field(default_factory=dict)


class Places:
    """Where no place is left, an idle connection gives way, the longest idle first: of the client that has too many,
    or of anybody. What is kept is bounded by the connections that are open.
    """

    def __init__(self, limit: int = sys.maxsize, client_limit: int = 0, proxies: TrustedProxies = _NO_PROXIES) -> None:
        """A client limit of 0 is none."""
        self.limit(limit, client_limit, proxies)
        self._everybody = _Share()
        self._clients: dict[str, _Share] = {}
        self._guests: dict[Guest, str | None] = {}

    def __len__(self) -> int:
        return self._everybody.count

    def __contains__(self, guest: Guest) -> bool:
        return guest in self._guests

    def limit(self, limit: int, client_limit: int, proxies: TrustedProxies) -> None:
        """For connections that come from now on; those that are open stay, and count for whom they did."""
        self._limit = limit
        self._client_limit = client_limit
        self._proxies = proxies

    def client_of(self, peer: str | None) -> str | None:
        """Who has a limit of its own; None for a process on a unix socket, and for a proxy: many are behind it."""
        return None if peer is None or self._proxies.trust(peer) else network_of(peer)

    def make_room(self, client: str | None) -> bool:
        """Whether another connection can be taken in."""
        share = self._clients.get(client or "")
        if share is not None and 0 < self._client_limit <= share.count and not self._give_way(share):
            return False
        return self._everybody.count < self._limit or self._give_way(self._everybody)

    def enter(self, guest: Guest, client: str | None) -> None:
        """A connection is idle until it says otherwise."""
        self._guests[guest] = client
        if client is not None:
            self._clients.setdefault(client, _Share())
        for share in self._shares(client):
            share.count += 1
            share.idle[guest] = None

    def leave(self, guest: Guest) -> None:
        """Also of one that had to give way, and has no place any more."""
        if guest not in self._guests:
            return
        client = self._guests.pop(guest)
        for share in self._shares(client):
            share.count -= 1
            share.idle.pop(guest, None)
        if client is not None and not self._clients[client].count:
            del self._clients[client]

    def turn(self, guest: Guest, *, idle: bool) -> None:
        """A request of the connection begins or has ended."""
        if guest not in self._guests:
            return
        for share in self._shares(self._guests[guest]):
            share.idle.pop(guest, None)
            if idle:
                share.idle[guest] = None

    def _shares(self, client: str | None) -> list[_Share]:
        return [self._everybody] if client is None else [self._everybody, self._clients[client]]

    def _give_way(self, share: _Share) -> bool:
        guest = next(iter(share.idle), None)
        if guest is None:
            return False
        self.leave(guest)
        guest.stop()
        return True


class RequestLimit:
    """Wraps the application: a client that asks too often is answered with 429 (RFC 6585, section 4).

    A client on a unix socket is not limited, unless a proxy says whose request it is.
    """

    def __init__(
        self,
        app: ASGIFramework,
        requests_per_second: float,
        burst: int,
        clock: Callable[[], float] = trio.current_time,
        traffic: Traffic | None = None,
    ) -> None:
        self._app = app
        self._traffic = traffic
        self._buckets = Buckets(burst=burst, refill_seconds=1 / requests_per_second)
        self._clock = clock

    def admits(self, address: str | None) -> bool:
        """Whether a client may ask now; then this counts as a request."""
        return address is None or self._take(address) <= 0

    async def __call__(self, scope: Scope, receive: ASGIReceiveCallable, send: ASGISendCallable) -> None:
        address = origin_of(scope).address if scope["type"] == "http" else None
        wait_seconds = 0.0 if address is None else self._take(address)
        app = AccessLog(partial(_refuse, math.ceil(wait_seconds)), self._traffic) if wait_seconds > 0 else self._app
        await app(scope, receive, send)

    def _take(self, address: str) -> float:
        """How long to wait for the next request, or nothing, and this one counts."""
        key, now = network_of(address).encode(), self._clock()
        wait_seconds = self._buckets.wait_seconds(key, now)
        if wait_seconds <= 0:
            self._buckets.take(key, now)
        return wait_seconds


async def _refuse(seconds: int, scope: Any, _receive: ASGIReceiveCallable, send: Any) -> None:
    answer = error_answer(TooManyRequests(f"too many requests from this address; try again in {seconds} s", seconds))
    length = ("Content-Length", str(answer.content_length))
    headers = [*answer.headers, length, ("X-Request-Id", scope["cargohold"].request_id)]
    encoded = [(name.lower().encode(), value.encode()) for name, value in headers]
    await send({"type": "http.response.start", "status": answer.status, "headers": encoded})
    await send({"type": "http.response.body", "body": answer.body, "more_body": False})
