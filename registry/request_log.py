"""The event that the log has of each request: who asked for what, and what became of it.

Every request has one, so structlog's way would cost more than many an answer. Where the form of the log is set up
(``logs.set_up``), there is a shorter way to the same bytes.
"""

from __future__ import annotations

import select
from collections.abc import Callable
from contextlib import suppress
from typing import Final

import structlog

EVENT: Final = "request"

FIELDS: Final = (
    "method",
    "path",
    "principal",
    "repository",
    "reference",
    "status",
    "bytes",
    "seconds",
    "client",
    "request_id",
)

Values = tuple[str, str, str | None, str | None, str | None, int, int, float, str, str]
"""Of the fields."""

Write = Callable[[str, Values], None]
"""``write(level, values)``"""

log = structlog.get_logger("access")


def through_structlog(level: str, values: Values) -> None:
    """The long way."""
    getattr(log, level)(EVENT, **dict(zip(FIELDS, values, strict=True)))


class Lines:
    """Lines of requests: each is written at once, or, as long as they are gathered, when ``write`` is called."""

    def __init__(self) -> None:
        self._put: Callable[[str], None]
        self._lines: list[str] = []
        self._length = 0
        self._are_gathered = False

    def add(self, put: Callable[[str], None], line: str) -> None:
        """``put`` writes text, and the end of its line."""
        if not self._are_gathered:
            put(line)
            return
        length = len(line.encode()) + 1
        self._length += length
        if self._length > select.PIPE_BUF:  # into what is longer other processes may write (pipe(7))
            self.write()
            self._length = length
        self._lines.append(line)
        self._put = put

    def gather(self) -> None:
        self._are_gathered = True

    def write(self) -> None:
        """What was gathered. There is nowhere to say that it can't be written; requests are answered all the same."""
        if not self._lines:
            return
        gathered, self._lines, self._length = self._lines, [], 0
        with suppress(Exception):
            self._put("\n".join(gathered))

    def end(self) -> None:
        """Gather no more."""
        self._are_gathered = False
        self.write()


lines: Final = Lines()
"""Those of the process."""


class RequestLog:
    """Where the events of requests go."""

    __slots__ = ("write",)

    def __init__(self) -> None:
        self.write: Write = through_structlog


requests: Final = RequestLog()
"""That of the process, as logging is the process's."""
