"""What waits for the writer: a function, and its outcome once the COMMIT is through."""

from __future__ import annotations

import time
from typing import TYPE_CHECKING, Any, Generic, TypeVar

import trio

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable

T = TypeVar("T")


class Job(Generic[T]):
    """``done`` is set once ``result`` or ``error`` says what came of it."""

    __slots__ = ("args", "done", "error", "function", "kwargs", "queued", "result")

    def __init__(self, function: Callable[..., T], args: tuple[Any, ...], kwargs: dict[str, Any]) -> None:
        self.function, self.args, self.kwargs = function, args, kwargs
        self.done = trio.Event()
        self.queued = time.monotonic()
        self.error: BaseException | None = None
        self.result: T | None = None


def fail_all(jobs: Iterable[Job[Any]], error: BaseException, kind: type[Exception]) -> None:
    """Give each job an error of its own: each is raised in another task."""
    for job in jobs:
        job.result = None
        job.error = kind(str(error))
        job.error.__cause__ = error
