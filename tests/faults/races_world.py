"""The registry in which races happen: its clock, its crashes, and the requests under way."""

from __future__ import annotations

import os
import shutil
from contextlib import contextmanager
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING, TypeVar

import trio

from registry.service.policy import GarbagePolicy, Policy
from registry.service.registry import Registry, open_registry
from registry.store import check
from registry.store.clock import Clock
from registry.store.hops import Hops

if TYPE_CHECKING:
    import random
    from collections.abc import Awaitable, Callable, Iterator
    from pathlib import Path

    from registry.oci.digests import Digest

T = TypeVar("T")

LEASE_MS = 10_000
SEEN_MS = LEASE_MS * 3 // 4
"""A lease is not renewed in its first quarter, so that who is told of something can rely on it for the rest."""

IDLE_MS = 20_000

_GARBAGE = GarbagePolicy(
    grace_seconds=LEASE_MS / 1000,
    lease_seconds=LEASE_MS / 1000,
    horizon_seconds=0.001,
    untagged_after_seconds=LEASE_MS / 1000,
    max_lock_ms=10**9,
)
"""The shortest ages that are allowed."""

JUMPS_MS = (1, 1, SEEN_MS - LEASE_MS // 2, SEEN_MS - 1, SEEN_MS, LEASE_MS - 1, LEASE_MS, LEASE_MS + 1, 3 * LEASE_MS)


def policy(*, batch: int) -> Policy:
    """Small batches make many steps."""
    return Policy(upload_idle_seconds=IDLE_MS / 1000, reserve_bytes=0, garbage=replace(_GARBAGE, batch=batch))


class NoAnswer(Exception):
    """The client went away, or the daemon died: nobody knows what became of the request."""


@dataclass(slots=True)
class Span:
    """When something was under way, in steps of the world."""

    start: int
    end: int | None = None

    def began_after(self, other: Span) -> bool:
        return other.end is not None and self.start > other.end

    def ended_before(self, step: int) -> bool:
        return self.end is not None and self.end < step


class World:
    """A registry that can crash, on a folder made from a template; ``lost`` says what must not have happened."""

    def __init__(self, template: Path, folder: Path, chance: random.Random) -> None:
        self.chance = chance
        self.registry: Registry
        self.lost: list[str] = []
        self.trace: list[str] = []
        self.crashes = 0
        self._folder = folder
        self._source_ms = 0
        self._steps = 0
        self._ready = trio.Event()
        self._quiet = trio.Event()
        self._life = trio.CancelScope()
        self._requests: dict[trio.CancelScope, str] = {}
        self._policy = policy(batch=chance.choice((1, 1, 100)))
        self.data = folder / "0"
        _copy(template, self.data)

    def step(self) -> int:
        """The number of the step that begins now."""
        self._steps += 1
        return self._steps

    def now_ms(self) -> int:
        """The time that has gone by. The daemon's clock is never ahead; a crash takes it back to its last commit."""
        return self._source_ms

    def jump(self, milliseconds: int) -> None:
        self._source_ms += milliseconds
        self.note(f"the clock jumps by {milliseconds} to {self.now_ms()}")

    def note(self, sentence: str) -> None:
        self.trace.append(f"{self.step()}: {sentence}")

    def lose(self, sentence: str) -> None:
        self.note(f"LOST {sentence}")
        self.lost.append(sentence)

    async def serve(self, task_status: trio.TaskStatus[None]) -> None:
        """Keep a registry open until ``stop``; after a crash, one on what the crash left."""
        crashes = -1
        while crashes != self.crashes:
            crashes = self.crashes
            with trio.CancelScope() as self._life:
                async with open_registry(
                    self.data, self._policy, hops=Hops(inline=True), clock=Clock(lambda: self._source_ms)
                ) as self.registry:
                    self._watch_unlinks(self.registry)
                    if self.registry.restoration.is_open:
                        self.lose("what a crash left is taken for a restored database")
                    self._ready.set()
                    task_status.started()
                    task_status = trio.TASK_STATUS_IGNORED
                    await trio.sleep_forever()

    def stop(self) -> None:
        """Without a clean end."""
        self._life.cancel()

    async def crash(self) -> None:
        """Go on with a copy of the files as they are just now; whatever is under way gets no answer."""
        if not self._ready.is_set():
            return
        self.crashes += 1
        self.note("CRASH")
        self._ready = trio.Event()
        before, self.data = self.data, self._folder / str(self.crashes)
        _copy(before, self.data)
        while self._requests:
            self._quiet = trio.Event()
            for scope in self._requests:
                scope.cancel()
            await self._quiet.wait()
        self._life.cancel()
        await self._ready.wait()

    def drop_request(self) -> None:
        """One of the clients goes away."""
        if self._requests:
            scope = self.chance.choice(list(self._requests))
            self.note(f"the client of {self._requests[scope]} goes away")
            scope.cancel()

    async def request(self, what: str, span: Span, act: Callable[..., Awaitable[T]], *args: object) -> T:
        """``await act(registry, *args)``, timed by the span. Raises NoAnswer, and what the act raises."""
        while not self._ready.is_set():
            await self._ready.wait()
        crashes = self.crashes
        span.start = self.step()
        self.trace.append(f"{span.start}: {what} ...")
        try:
            with self._under_way(what) as scope:
                answer = await act(self.registry, *args)
        finally:
            span.end = self.step()
            self.trace.append(f"{span.end}: ... {what} is over")
            if scope.cancelled_caught or crashes != self.crashes:
                raise NoAnswer  # whatever it was: the daemon died before
        return answer

    @contextmanager
    def _under_way(self, what: str) -> Iterator[trio.CancelScope]:
        with trio.CancelScope() as scope:
            self._requests[scope] = what
            try:
                yield scope
            finally:
                del self._requests[scope]
                if not self._requests:
                    self._quiet.set()

    def _watch_unlinks(self, registry: Registry) -> None:
        """A file goes only where no row stands for it."""
        remove = registry.files.remove_blob

        def remove_if_without_row(digest: Digest) -> None:
            self.note(f"unlink {digest.hex[:6]}")
            if registry.database.read_now(check.find_blob, digest) is not None:
                self.lose(f"the file of {digest} is unlinked while its row stands")
            remove(digest)

        registry.files.remove_blob = remove_if_without_row


async def make_template(folder: Path) -> None:
    """A data folder that was begun and closed."""
    async with open_registry(folder, policy(batch=1), hops=Hops(inline=True)):
        pass
    shutil.rmtree(folder / "backup")


def _copy(source: Path, target: Path) -> None:
    """As a kill leaves it; the ballast is shared."""
    shutil.copytree(source, target, ignore=shutil.ignore_patterns("ballast"))
    os.link(source / "ballast", target / "ballast")
