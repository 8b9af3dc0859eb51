"""Connections that other processes serve. Each keeps its place here, where all are counted, and may come back."""

from __future__ import annotations

from typing import TYPE_CHECKING, Protocol

if TYPE_CHECKING:
    from collections.abc import Callable

    import trio

    from registry.http.limits import Places


class Dealt:
    """A connection of somebody else's. ``stop_there`` has it end as soon as no request is in flight.

    ``take_back`` takes the connection with what was received of it.
    """

    def __init__(
        self, places: Places, client: str | None, take_back: Callable[[trio.SocketStream, bytes], None]
    ) -> None:
        self._places = places
        self._client = client
        self._take_back = take_back
        self._stop_there: Callable[[], None]

    def enter(self, stop_there: Callable[[], None]) -> None:
        self._stop_there = stop_there
        self._places.enter(self, self._client)

    def stop(self) -> None:
        self._stop_there()

    def turn(self, *, idle: bool) -> None:
        """One that had begun a request before it heard that it had to give way counts until it has ended."""
        if not idle and self not in self._places:
            self._places.enter(self, self._client)
        self._places.turn(self, idle=idle)

    def leave(self) -> None:
        """It has ended."""
        self._places.leave(self)

    def come_back(self, stream: trio.SocketStream, received: bytes) -> None:
        self._places.leave(self)
        self._take_back(stream, received)


class Dealer(Protocol):
    """Who passes connections to other processes."""

    def deal(self, stream: trio.SocketStream, dealt: Dealt, served_here: int) -> bool:
        """Pass a connection, of which ``dealt`` then stands for here, to whoever has the fewest; whether it was.

        Where it was not, it is this process's turn, which serves so many, or nobody else can take it.
        """

    def finish(self) -> None:
        """Have all connections end as soon as no request is in flight."""

    async def wait_finished(self) -> None:
        """Until they have."""
