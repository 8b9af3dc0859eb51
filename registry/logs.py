"""Logs: one line per event, for people or as JSON."""

from __future__ import annotations

import logging
import sys
from typing import TYPE_CHECKING

import structlog

if TYPE_CHECKING:
    from structlog.typing import EventDict, Processor, WrappedLogger

    from registry.config import LogSettings

_LEVELS = logging.getLevelNamesMapping()

_processors: list[Processor] = []
"""Of all loggers, which keep this list from their first use on: what is put into it counts for them too."""


def set_up(settings: LogSettings) -> None:
    """Write to standard error; ``auto`` means for people on a terminal, JSON elsewhere. Can be done again."""
    human = settings.format == "human" or (settings.format == "auto" and sys.stderr.isatty())
    processors: list[Processor] = [
        structlog.processors.add_log_level,
        _from_level(_LEVELS[settings.level.upper()]),
        structlog.processors.TimeStamper(fmt="iso", utc=not human),
    ]
    if human:
        processors.append(_printable)
        processors.append(
            structlog.dev.ConsoleRenderer(colors=sys.stderr.isatty(), exception_formatter=structlog.dev.plain_traceback)
        )
    else:
        tracebacks = structlog.tracebacks.ExceptionDictTransformer(show_locals=False)  # they may hold credentials
        processors += [structlog.processors.ExceptionRenderer(tracebacks), structlog.processors.JSONRenderer()]
    _processors[:] = processors
    structlog.configure(
        processors=_processors,
        wrapper_class=structlog.make_filtering_bound_logger(logging.DEBUG),
        logger_factory=structlog.WriteLoggerFactory(sys.stderr),
        cache_logger_on_first_use=True,
    )


def _from_level(lowest: int) -> Processor:
    def drop(_logger: WrappedLogger, _method: str, event: EventDict) -> EventDict:
        if _LEVELS[event["level"].upper()] < lowest:
            raise structlog.DropEvent
        return event

    return drop


def _printable(_logger: WrappedLogger, _method: str, event: EventDict) -> EventDict:
    """What a stranger sent must not move a terminal's cursor."""
    return {
        key: repr(value) if isinstance(value, str) and key != "exception" and not value.isprintable() else value
        for key, value in event.items()
    }
