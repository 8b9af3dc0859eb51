"""Hops from the event loop into a thread, for what can block: file system calls and transactions.

A thread can't be stopped, so a hop is never abandoned: whatever it uses (a descriptor, a connection) stays its own
until it returns, and one that takes too long is seen here.
"""

from __future__ import annotations

import time
from functools import partial
from typing import TYPE_CHECKING, Any, Generic, ParamSpec, TypeVar

import trio

from registry.store.jobs import keep_waiting
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
        self._under_way: dict[_Call[Any], None] = {}
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
        call = _Call(function.__qualname__, partial(function, *args, **kwargs))
        if self._inline:
            return await self._call_here(call)
        try:
            self._limiter.acquire_on_behalf_of_nowait(call)
        except trio.WouldBlock:
            await self._limiter.acquire_on_behalf_of(call)
        try:
            return await self._call_in_thread(call)
        finally:
            self._limiter.release_on_behalf_of(call)
            self._note(call)

    async def _call_in_thread(self, call: _Call[T]) -> T:
        """As trio.to_thread.run_sync, with neither a name for the thread nor a context for the call, for less."""
        soon, task = trio.lowlevel.current_trio_token().run_sync_soon, trio.lowlevel.current_task()
        deliver = partial(soon, trio.lowlevel.reschedule, task)
        trio.lowlevel.start_thread_soon(lambda: self._watched(call), deliver)
        result: T = await trio.lowlevel.wait_task_rescheduled(keep_waiting)
        return result

    async def _call_here(self, call: _Call[T]) -> T:
        await trio.lowlevel.checkpoint()
        try:
            return self._watched(call)
        finally:
            self._note(call)
            await trio.lowlevel.cancel_shielded_checkpoint()

    def _note(self, call: _Call[Any]) -> None:
        if call.seconds is None:
            return
        times = self.times.get(call.name)
        if times is None:
            times = self.times[call.name] = Histogram(QUICK_SECONDS)
        times.observe(call.seconds)

    def add_times(self, taken: Mapping[str, tuple[list[int], float]]) -> None:
        """Count what the hops of another process took, by the same names (see ``Histogram.take``)."""
        for name, times in taken.items():
            self.times.setdefault(name, Histogram(QUICK_SECONDS)).add(times)

    def slowest(self) -> tuple[str, float] | None:
        """Name and age in seconds of the oldest call under way, None where there is none."""
        under_way = list(self._under_way)
        if not under_way:
            return None
        call = min(under_way, key=lambda call: call.began)
        return call.name, time.monotonic() - call.began

    def _watched(self, call: _Call[T]) -> T:
        call.began = time.monotonic()
        self._under_way[call] = None
        try:
            return call.function()
        finally:
            del self._under_way[call]
            call.seconds = time.monotonic() - call.began


class _Call(Generic[T]):
    """``seconds`` is how long it took, once it is over; None for one that could not begin."""

    __slots__ = ("began", "function", "name", "seconds")

    def __init__(self, name: str, function: Callable[[], T]) -> None:
        self.name = name
        self.function = function
        self.began = 0.0
        self.seconds: float | None = None
