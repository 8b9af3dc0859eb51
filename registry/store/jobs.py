"""What waits for the writer: a function, and its outcome once the COMMIT is through; and the queue it waits in."""

from __future__ import annotations

import time
from typing import TYPE_CHECKING, Any, Generic, TypeVar

import trio

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable

T = TypeVar("T")


class Job(Generic[T]):
    """``result`` or ``error`` says what came of it once it has ended. One task may wait for that."""

    __slots__ = ("_has_ended", "_task", "args", "error", "function", "kwargs", "queued", "result")

    def __init__(self, function: Callable[..., T], args: tuple[Any, ...], kwargs: dict[str, Any]) -> None:
        self.function, self.args, self.kwargs = function, args, kwargs
        self.queued = time.monotonic()
        self.error: BaseException | None = None
        self.result: T | None = None
        self._task: trio.lowlevel.Task | None = None
        self._has_ended = False

    def end(self, error: BaseException | None = None) -> None:
        """The outcome stands, or is this error: whoever waits for it goes on."""
        self.error = error or self.error
        self._has_ended = True
        task, self._task = self._task, None
        if task is not None:
            trio.lowlevel.reschedule(task)

    async def outcome(self) -> T:
        """What the function returned, or raised, once the job has ended. A cancellation is left for later."""
        if not self._has_ended:
            self._task = trio.lowlevel.current_task()
            await trio.lowlevel.wait_task_rescheduled(keep_waiting)
        try:
            if self.error is not None:
                raise self.error
            return self.result  # type: ignore[return-value]  # None only where T is
        finally:
            del self  # a cycle with the error's traceback would keep the arguments


class Queue(Generic[T]):
    """What waits for one task, which takes all of it together."""

    def __init__(self) -> None:
        self._items: list[T] = []
        self._arrival = trio.Event()
        self._is_closed = False

    def put(self, item: T) -> bool:
        """Whether it will be taken: nobody does after ``close``."""
        if self._is_closed:
            return False
        if not self._items:
            self._arrival.set()
        self._items.append(item)
        return True

    async def take(self, limit: int) -> list[T]:
        """What waits, or comes next: the first of it, at most ``limit``."""
        await trio.lowlevel.checkpoint_if_cancelled()
        if not self._items:
            self._arrival = trio.Event()
            await self._arrival.wait()
        taken, self._items = self._items[:limit], self._items[limit:]
        return taken

    def close(self) -> list[T]:
        """What nobody will take."""
        self._is_closed = True
        return self._items


def fail_all(jobs: Iterable[Job[Any]], error: BaseException, kind: type[Exception]) -> None:
    """Give each job an error of its own: each is raised in another task."""
    for job in jobs:
        job.result = None
        job.error = kind(str(error))
        job.error.__cause__ = error


def keep_waiting(_raise_cancel: object) -> trio.lowlevel.Abort:
    """For what can't be stopped: a cancellation is left for later."""
    return trio.lowlevel.Abort.FAILED
