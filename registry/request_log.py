"""The event that the log has of each request: who asked for what, and what became of it.

Every request has one, so structlog's way would cost more than many an answer. Where the form of the log is set up
(``logs.set_up``), there is a shorter way to the same bytes.
"""

from __future__ import annotations

from collections.abc import Callable
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


class RequestLog:
    """Where the events of requests go."""

    __slots__ = ("write",)

    def __init__(self) -> None:
        self.write: Write = through_structlog


requests: Final = RequestLog()
"""That of the process, as logging is the process's."""
