"""Schedules of trio that a seed decides: the same seed runs the same tasks in the same order again."""

from __future__ import annotations

import math
import random
import tempfile
from array import array
from contextlib import contextmanager
from hashlib import blake2b
from pathlib import Path
from typing import TYPE_CHECKING, TypeVar
from uuid import UUID

import trio
import trio._core._run as core
from trio.testing import MockClock

from registry.service import uploads
from registry.store import writer

if TYPE_CHECKING:
    from collections.abc import Awaitable, Callable, Iterator

T = TypeVar("T")


class _Steps(trio.abc.Instrument):
    """Which task ran after which, tasks being numbered in the order of their first step."""

    def __init__(self) -> None:
        self._numbers: dict[trio.lowlevel.Task, int] = {}
        self._order = array("H")

    def before_task_step(self, task: trio.lowlevel.Task) -> None:
        self._order.append(self._numbers.setdefault(task, len(self._numbers)))

    def fingerprint(self) -> bytes:
        return blake2b(self._order.tobytes(), digest_size=8).digest()


def run(seed: int, function: Callable[[], Awaitable[T]]) -> tuple[T, bytes]:
    """The function's result, and a fingerprint of the schedule.

    Time stands still until all tasks wait; so nothing but the seed, and what the function does, has an influence.
    """
    steps = _Steps()
    with _decided_by(random.Random(seed)):
        result = trio.run(function, clock=MockClock(autojump_threshold=0), instruments=[steps])
    return result, steps.fingerprint()


@contextmanager
def _decided_by(chance: random.Random) -> Iterator[None]:
    """The ids of uploads too; groups of transactions are not cut by real time."""
    ids = random.Random(chance.random())
    before = core._ALLOW_DETERMINISTIC_SCHEDULING, core._r, writer.GROUP_SECONDS, uploads.new_ids
    core._ALLOW_DETERMINISTIC_SCHEDULING, core._r, writer.GROUP_SECONDS = True, chance, math.inf
    uploads.new_ids = lambda: iter(lambda: str(UUID(bytes=ids.randbytes(16), version=4)), "")
    try:
        yield
    finally:
        core._ALLOW_DETERMINISTIC_SCHEDULING, core._r, writer.GROUP_SECONDS, uploads.new_ids = before


@contextmanager
def in_memory(folder: Path) -> Iterator[Path]:
    """A folder that needs no disk, where the machine has such: what counts is the order, not what survives."""
    memory = Path("/dev/shm")
    with tempfile.TemporaryDirectory(prefix="cargohold-", dir=memory if memory.is_dir() else folder) as made:
        yield Path(made)
