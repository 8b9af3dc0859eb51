"""Durations and sizes as people write them: ``90s``, ``24h``, ``7d``; ``512KiB``, ``20MiB``, ``1GiB``.

And numbers whose 0 has a meaning of its own.
"""

from __future__ import annotations

import re
from typing import Annotated, Any, Final

Duration = Annotated[str, "duration"]
OptionalDuration = Annotated[str, "duration or nothing"]
Size = Annotated[str, "size"]
OptionalSize = Annotated[str, "size or nothing"]
OptionalCount = Annotated[int, "count or 0"]
OptionalRate = Annotated[float, "rate or 0"]
Processes = Annotated[str, "processes"]

MAY_BE_ZERO: Final[frozenset[Any]] = frozenset({OptionalCount, OptionalRate})
"""Numbers that may be 0, for "off"; all others are above 0."""

_DURATION = 'a duration such as "90s", "5m", "24h" or "7d", above 0'
_SIZE = 'a size such as "512KiB", "20MiB" or "1GiB", or a number of bytes'

FORMS: Final[dict[Any, str]] = {
    Duration: _DURATION,
    OptionalDuration: f'{_DURATION}, or "" for never',
    Size: _SIZE,
    OptionalSize: f'{_SIZE}, or "" for the default',
    Processes: 'a number of processes, or "auto" for one less than there are cores',
}
"""What is expected, for the user."""

_SECONDS = {"s": 1, "m": 60, "h": 3600, "d": 86400}
_BYTES = {"": 1, "KiB": 1024, "MiB": 1024**2, "GiB": 1024**3, "TiB": 1024**4}
_LONGEST_SECONDS = 10**9


def is_quantity(value: object, form: Any) -> bool:
    """Whether a setting is one of that form; a plain number is a duration in seconds, or a size in bytes."""
    text = str(value) if isinstance(value, str | int | float) and not isinstance(value, bool) else "?"
    if text == "":
        return form in {OptionalDuration, OptionalSize}
    if form is Processes:
        return text == "auto" or re.fullmatch("[0-9]{1,3}", text, re.ASCII) is not None
    if form in {Size, OptionalSize}:
        return _match(text, _BYTES) is not None and (form is OptionalSize or size_bytes(text) > 0)
    return _match(text, _SECONDS) is not None and 0 < seconds(text) <= _LONGEST_SECONDS


def seconds(text: str) -> float:
    """Of a duration."""
    number, unit = _match(text, _SECONDS) or (0.0, "s")
    return number * _SECONDS[unit or "s"]


def size_bytes(text: str) -> int:
    """Of a size."""
    number, unit = _match(text, _BYTES) or (0.0, "")
    return int(number * _BYTES[unit])


def processes(text: str, cores: int) -> int:
    """How many."""
    return max(cores - 1, 0) if text == "auto" else int(text)


def _match(text: str, units: dict[str, int]) -> tuple[float, str] | None:
    """The number and its unit, which may be left out."""
    found = re.fullmatch(r"([0-9]{1,15}(?:\.[0-9]{1,9})?) ?([A-Za-z]*)", text, re.ASCII)
    if found is None or (found[2] and found[2] not in units):
        return None
    return float(found[1]), found[2]
