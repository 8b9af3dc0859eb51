"""Hops from the event loop into a thread, for what can block: file system calls and transactions.

A thread can't be stopped, so a hop is never abandoned: whatever it uses (a descriptor, a connection) stays its own
until it returns, and one that takes too long is seen here.
"""

from __future__ import annotations

from contextlib import contextmanager
from typing import TYPE_CHECKING, ParamSpec, Protocol, TypeVar

import trio

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

P = ParamSpec("P")
T = TypeVar("T")


class Hop(Protocol):
    """``await hop(function, *args)``: the function's result, with the loop free meanwhile."""

    async def __call__(self, function: Callable[P, T], *args: P.args, **kwargs: P.kwargs) -> T: ...


class Hops:
    """The hops of one registry: how they are made, and how long those under way have taken.

    ``inline`` makes a hop a plain call between two checkpoints, so that a seeded schedule explores the rest.
    """

    def __init__(self, *, threads: int = 40, inline: bool = False) -> None:
        self._limiter = trio.CapacityLimiter(threads)
        self._inline = inline
        self._under_way: dict[object, tuple[str, float]] = {}

    async def __call__(self, function: Callable[P, T], *args: P.args, **kwargs: P.kwargs) -> T:
        """Call the function in a thread. Cancellation is noticed before the call, and never during it."""
        await trio.lowlevel.checkpoint()
        with self._watched(function.__qualname__):
            if self._inline:
                try:
                    return function(*args, **kwargs)
                finally:
                    await trio.lowlevel.cancel_shielded_checkpoint()
            return await trio.to_thread.run_sync(lambda: function(*args, **kwargs), limiter=self._limiter)

    def slowest(self) -> tuple[str, float] | None:
        """Name and age in seconds of the oldest hop under way, None where there is none."""
        if not self._under_way:
            return None
        name, started = min(self._under_way.values(), key=lambda hop: hop[1])
        return name, trio.current_time() - started

    @contextmanager
    def _watched(self, name: str) -> Iterator[None]:
        key = object()
        self._under_way[key] = (name, trio.current_time())
        try:
            yield
        finally:
            del self._under_way[key]
