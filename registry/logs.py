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


def set_up(settings: LogSettings) -> None:
    """Write to standard error; ``auto`` means for people on a terminal, JSON elsewhere."""
    human = settings.format == "human" or (settings.format == "auto" and sys.stderr.isatty())
    processors: list[Processor] = [
        structlog.processors.add_log_level,
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
    structlog.configure(
        processors=processors,
        wrapper_class=structlog.make_filtering_bound_logger(_LEVELS[settings.level.upper()]),
        logger_factory=structlog.WriteLoggerFactory(sys.stderr),
        cache_logger_on_first_use=True,
    )


def _printable(_logger: WrappedLogger, _method: str, event: EventDict) -> EventDict:
    """What a stranger sent must not move a terminal's cursor."""
    return {
        key: repr(value) if isinstance(value, str) and key != "exception" and not value.isprintable() else value
        for key, value in event.items()
    }
