"""Hops from the event loop into a thread, for what can block: file system calls and transactions.

A thread can't be stopped, so a hop is never abandoned: whatever it uses (a descriptor, a connection) stays its own
until it returns, and one that takes too long is seen here.
"""

from __future__ import annotations

import time
from typing import TYPE_CHECKING, ParamSpec, TypeVar

import trio

from registry.tally import QUICK_SECONDS, Histogram

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping

P = ParamSpec("P")
T = TypeVar("T")


class Hops:
    """The hops of one registry: how they are made, and how long those under way have taken.

    ``inline`` makes a hop a plain call between two checkpoints, so that a seeded schedule explores the rest.
    """

    def __init__(self, *, threads: int = 40, inline: bool = False) -> None:
        self._limiter = trio.CapacityLimiter(threads)
        self._inline = inline
        self._under_way: dict[object, tuple[str, float]] = {}
        self.times: dict[str, Histogram] = {}
        """How long the calls took, in seconds, by the qualified name of the function."""

    def with_own_threads(self, threads: int) -> Hops:
        """Hops that do not queue behind these, and are watched together with them."""
        apart = Hops(threads=threads, inline=self._inline)
        apart._under_way, apart.times = self._under_way, self.times
        return apart

    def unwatched(self) -> Hops:
        """Hops for work that may take long by its nature, one at a time."""
        return Hops(threads=1, inline=self._inline)

    async def __call__(self, function: Callable[P, T], *args: P.args, **kwargs: P.kwargs) -> T:
        """Call the function in a thread. Cancellation is noticed before the call, and never during it."""
        await trio.lowlevel.checkpoint_if_cancelled()
        name = function.__qualname__
        call = _Call()
        try:
            if self._inline:
                await trio.lowlevel.checkpoint()
                try:
                    return call(function, *args, **kwargs)
                finally:
                    await trio.lowlevel.cancel_shielded_checkpoint()
            return await trio.to_thread.run_sync(
                lambda: self._watched(name, call, function, *args, **kwargs), limiter=self._limiter
            )
        finally:
            if call.seconds is not None:
                self._note(name, call.seconds)

    def _note(self, name: str, seconds: float) -> None:
        times = self.times.get(name)
        if times is None:
            times = self.times[name] = Histogram(QUICK_SECONDS)
        times.observe(seconds)

    def add_times(self, taken: Mapping[str, tuple[list[int], float]]) -> None:
        """Count what the hops of another process took, by the same names (see ``Histogram.take``)."""
        for name, times in taken.items():
            self.times.setdefault(name, Histogram(QUICK_SECONDS)).add(times)

    def slowest(self) -> tuple[str, float] | None:
        """Name and age in seconds of the oldest call under way, None where there is none."""
        under_way = list(self._under_way.values())
        if not under_way:
            return None
        name, started = min(under_way, key=lambda call: call[1])
        return name, time.monotonic() - started

    def _watched(self, name: str, call: _Call, function: Callable[P, T], *args: P.args, **kwargs: P.kwargs) -> T:
        self._under_way[call] = (name, time.monotonic())
        try:
            return call(function, *args, **kwargs)
        finally:
            del self._under_way[call]


class _Call:
    """``seconds`` is how long it took, once it is over; None for one that was cancelled before it began."""

    __slots__ = ("seconds",)

    def __init__(self) -> None:
        self.seconds: float | None = None

    def __call__(self, function: Callable[P, T], *args: P.args, **kwargs: P.kwargs) -> T:
        started = time.monotonic()
        try:
            return function(*args, **kwargs)
        finally:
            self.seconds = time.monotonic() - started
