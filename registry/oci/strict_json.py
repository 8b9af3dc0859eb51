"""JSON from a stranger: what two readers could read differently is refused (RFC 8259, section 4; RFC 7493)."""

from __future__ import annotations

import json
import math
from typing import Any, NoReturn

DEPTH_LIMIT = 64
"""Deepest nesting of objects and arrays."""

_INTEGER_DIGITS = 19


def loads_object(body: bytes) -> dict[str, Any]:
    """The JSON object in ``body``.

    Raises ValueError, in words for the client: not UTF-8, not JSON, not an object, a key twice, NaN or infinity,
    an integer over 19 digits, nested deeper than DEPTH_LIMIT.
    """
    try:
        document = json.loads(
            body.decode("utf-8"),
            object_pairs_hook=_unique,
            parse_constant=_no_constant,
            parse_int=_integer,
            parse_float=_finite,
        )
    except RecursionError:
        raise ValueError(f"nested deeper than {DEPTH_LIMIT}") from None
    if not isinstance(document, dict):
        raise ValueError("not a JSON object")
    _check_depth(document)
    return document


def _unique(pairs: list[tuple[str, Any]]) -> dict[str, Any]:
    document = dict(pairs)
    if len(document) != len(pairs):
        raise ValueError("a key stands twice in one object")
    return document


def _no_constant(name: str) -> NoReturn:
    raise ValueError(f"{name} is not JSON")


def _integer(digits: str) -> int:
    if len(digits.lstrip("-")) > _INTEGER_DIGITS:
        raise ValueError(f"an integer has more than {_INTEGER_DIGITS} digits")
    return int(digits)


def _finite(text: str) -> float:
    number = float(text)
    if not math.isfinite(number):
        raise ValueError(f"{text[:32]} is no finite number")
    return number


def _check_depth(document: dict[str, Any]) -> None:
    level: list[Any] = [document]
    for _ in range(DEPTH_LIMIT + 1):
        level = [child for parent in level for child in _children(parent) if isinstance(child, dict | list)]
        if not level:
            return
    raise ValueError(f"nested deeper than {DEPTH_LIMIT}")


def _children(parent: dict[str, Any] | list[Any]) -> Any:
    return parent.values() if isinstance(parent, dict) else parent
