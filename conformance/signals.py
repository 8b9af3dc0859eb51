"""SIGTERM, SIGINT and SIGHUP end a run as an exception does, so that nothing it has started stays behind."""

from __future__ import annotations

import signal
from contextlib import contextmanager
from typing import TYPE_CHECKING, Final

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator
    from types import FrameType

_SIGNALS: Final = (signal.SIGTERM, signal.SIGINT, signal.SIGHUP)


class Stopped(BaseException):
    """The run was told to end; not an Exception, for no case may take it for a failure of its own."""

    def __init__(self, number: int) -> None:
        super().__init__(signal.Signals(number).name)
        self.status = 128 + number
        """What a shell makes of a program that a signal ended."""


@contextmanager
def raising() -> Iterator[None]:
    """The first of the signals raises Stopped in the block; more of them don't disturb the cleaning up."""

    def stop(number: int, _frame: FrameType | None) -> None:
        for each in handled:
            signal.signal(each, signal.SIG_IGN)
        raise Stopped(number)

    with _handlers(stop) as handled:
        yield


@contextmanager
def held() -> Iterator[None]:
    """A signal waits for the end of the block: what the block starts is then known to who has to stop it."""
    came: list[int] = []
    with _handlers(lambda number, _frame: came.append(number)):
        yield
    for number in came[:1]:
        signal.raise_signal(number)


@contextmanager
def _handlers(handler: Callable[[int, FrameType | None], None]) -> Iterator[list[signal.Signals]]:
    """Handle the signals that are not ignored, as SIGHUP is under nohup; yields which those are."""
    before = {each: signal.getsignal(each) for each in _SIGNALS}
    handled = [each for each, current in before.items() if current is not signal.SIG_IGN]
    for each in handled:
        signal.signal(each, handler)
    try:
        yield handled
    finally:
        for each in handled:
            signal.signal(each, before[each])
