"""Logs: one line per event, for people, as JSON or logfmt; or entries of the journal with fields."""

from __future__ import annotations

import json
import logging
import sys
import time
from datetime import UTC, datetime
from functools import lru_cache
from json.encoder import encode_basestring_ascii as _json_text
from typing import TYPE_CHECKING, Any, Protocol

import structlog

from registry import journal, request_log

if TYPE_CHECKING:
    from collections.abc import Callable

    from structlog.typing import EventDict, Processor, WrappedLogger

_LEVELS = logging.getLevelNamesMapping()

_PRIORITIES = {"debug": 7, "info": 6, "warning": 4, "error": 3, "critical": 2}
"""Of syslog(3)."""

_PLAIN = frozenset("abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ0123456789-_.:/@+*,;%")
"""Characters of a value that needs no quotes."""

_KEPT_PATH_LENGTH = 512
_KEPT_PATHS = 1024
"""What a line says of what was asked for is remembered: the same is asked for again and again."""

_processors: list[Processor] = []
"""Of all loggers, which keep this list from their first use on: what is put into it counts for them too."""


class Form(Protocol):
    """How the log looks: see ``LogSettings``."""

    @property
    def format(self) -> str: ...

    @property
    def level(self) -> str: ...


def set_up(settings: Form) -> None:
    """Write to standard error, or to the journal where that is there. Can be done again.

    ``auto`` means the journal where standard error leads to it, for people on a terminal, JSON elsewhere.
    """
    form = _automatic() if settings.format == "auto" else settings.format
    lowest = _LEVELS[settings.level.upper()]
    _processors[:] = [structlog.processors.add_log_level, _from_level(lowest), *_RENDERERS[form]()]
    request_log.lines.write()
    request_log.requests.write = _request_writer(form, lowest)
    structlog.configure(
        processors=_processors,
        wrapper_class=structlog.make_filtering_bound_logger(logging.DEBUG),
        logger_factory=structlog.WriteLoggerFactory(sys.stderr),
        cache_logger_on_first_use=True,
    )


def _request_writer(form: str, lowest: int) -> request_log.Write:
    """Writes the event of a request: the same bytes as by the processors, at a quarter of their price."""
    render = _REQUESTS.get(form)
    if render is None:
        return request_log.through_structlog
    put = structlog.WriteLogger(sys.stderr).msg
    levels = frozenset(name for name in _PRIORITIES if _LEVELS[name.upper()] >= lowest)

    def write(level: str, values: request_log.Values) -> None:
        if level in levels and (line := render(level, values)) is not None:
            request_log.lines.add(put, line)

    return write


def _automatic() -> str:
    if journal.is_standard_error():
        return "journal"
    return "human" if sys.stderr.isatty() else "json"


def _for_people() -> list[Processor]:
    renderer = structlog.dev.ConsoleRenderer(
        colors=sys.stderr.isatty(), exception_formatter=structlog.dev.plain_traceback
    )
    time = structlog.processors.TimeStamper(fmt="iso", utc=False)
    return [time, structlog.processors.format_exc_info, _printable, renderer]


def _as_json() -> list[Processor]:
    tracebacks = structlog.tracebacks.ExceptionDictTransformer(show_locals=False)  # they may hold credentials
    encode = json.JSONEncoder(default=repr).encode
    renderer = structlog.processors.JSONRenderer(lambda event, **_: encode(event))
    return [_time(), structlog.processors.ExceptionRenderer(tracebacks), renderer]


def _as_logfmt() -> list[Processor]:
    return [_time(), structlog.processors.format_exc_info, _logfmt]


def _for_the_journal() -> list[Processor]:
    return [structlog.processors.format_exc_info, _to_journal]


_RENDERERS = {"human": _for_people, "json": _as_json, "logfmt": _as_logfmt, "journal": _for_the_journal}


def _time() -> Processor:
    return structlog.processors.TimeStamper(fmt="iso", utc=True)


def _from_level(lowest: int) -> Processor:
    def drop(_logger: WrappedLogger, _method: str, event: EventDict) -> EventDict:
        if _LEVELS[event["level"].upper()] < lowest:
            raise structlog.DropEvent
        return event

    return drop


def _printable(_logger: WrappedLogger, _method: str, event: EventDict) -> EventDict:
    """What a stranger sent must not move a terminal's cursor, nor look like an entry of its own."""
    shown = {
        key: repr(value) if isinstance(value, str) and key != "exception" and not value.isprintable() else value
        for key, value in event.items()
    }
    if "exception" in shown:
        shown["exception"] = _indented(shown["exception"])
    return shown


def _indented(traceback: str) -> str:
    """The lines of a traceback, of which the last ones may quote what a stranger sent."""
    lines = (line if line.isprintable() else repr(line)[1:-1] for line in traceback.split("\n"))
    return "\n".join(f"    {line}" for line in lines)


def _logfmt(_logger: WrappedLogger, _method: str, event: EventDict) -> str:
    first = ("timestamp", "level", "event")
    ordered = {**{key: event[key] for key in first if key in event}, **event}
    return " ".join(f"{key}={_quoted(value)}" for key, value in ordered.items() if value is not None)


def _quoted(value: Any) -> str:
    """As it is where it is plain, else as a text of JSON: nothing ends the line or moves a terminal's cursor."""
    text = _text(value)
    if text and _PLAIN.issuperset(text):
        return text
    return json.dumps(text, ensure_ascii=not text.isprintable())


def _text(value: Any) -> str:
    if isinstance(value, bool | int | float | list | tuple | dict):
        return json.dumps(value, ensure_ascii=False, default=str)
    return str(value)


def _to_journal(_logger: WrappedLogger, method: str, event: EventDict) -> str:
    """Send the entry, and raise DropEvent; where no journal listens, it is a line for standard error.

    The message is what people read; it has all that the fields have, each of which can be asked for:
    ``journalctl REQUEST_ID=...``. The journal keeps the time itself.
    """
    level, name, traceback = event.pop("level"), str(event.pop("event")), event.pop("exception", None)
    values = {key: value for key, value in event.items() if value is not None}
    line = " ".join([name, *(f"{key}={_quoted(value)}" for key, value in values.items())])
    fields = {
        **{key.upper(): _text(value) for key, value in values.items()},
        "MESSAGE": line if traceback is None else f"{line}\n{_indented(traceback)}",
        "PRIORITY": str(_PRIORITIES[level]),
        "SYSLOG_IDENTIFIER": "cargohold",
        "CARGOHOLD_EVENT": name,
    }
    try:
        journal.send(journal.encode(fields), journal.SOCKET)
    except OSError:  # nowhere else to say so; standard error may lead somewhere
        return _logfmt(_logger, method, {"level": level, "event": name, **values, "exception": traceback})
    raise structlog.DropEvent


def _request_as_json(level: str, values: request_log.Values) -> str:
    method, path, principal, repository, reference, status, size, seconds, client, request_id = values
    asked = _recall_asked if len(path) <= _KEPT_PATH_LENGTH else _asked_as_json
    return (
        f'{{{asked(method, path, principal, repository, reference)}, "status": {status}, "bytes": {size},'
        f' "seconds": {seconds!r}, "client": {_json_text(client)}, "request_id": {_json_text(request_id)},'
        f' "event": "{request_log.EVENT}", "level": "{level}", "timestamp": "{_now()}"}}'
    )


def _asked_as_json(method: str, path: str, principal: str | None, repository: str | None, reference: str | None) -> str:
    """What many lines have in common."""
    return (
        f'"method": {_json_text(method)}, "path": {_json_text(path)}, "principal": {_json(principal)},'
        f' "repository": {_json(repository)}, "reference": {_json(reference)}'
    )


_recall_asked = lru_cache(maxsize=_KEPT_PATHS)(_asked_as_json)


def _json(text: str | None) -> str:
    return "null" if text is None else _json_text(text)


def _now() -> str:
    microseconds = time.time_ns() // 1000
    return f"{_second(microseconds // 1_000_000)}.{microseconds % 1_000_000:06}Z"


@lru_cache(maxsize=1)
def _second(number: int) -> str:
    """Its date and time, which many lines have in common."""
    return datetime.fromtimestamp(number, UTC).isoformat()[:-6]


def _request_as_logfmt(level: str, values: request_log.Values) -> str:
    return _logfmt(None, level, {"timestamp": _now(), **_event(level, values)})


def _request_to_journal(level: str, values: request_log.Values) -> str | None:
    try:
        return _to_journal(None, level, _event(level, values))
    except structlog.DropEvent:
        return None


def _event(level: str, values: request_log.Values) -> EventDict:
    return {**dict(zip(request_log.FIELDS, values, strict=True)), "event": request_log.EVENT, "level": level}


_REQUESTS: dict[str, Callable[[str, request_log.Values], str | None]] = {
    "json": _request_as_json,
    "logfmt": _request_as_logfmt,
    "journal": _request_to_journal,
}
"""A person on a terminal reads few of them."""
