"""Byte ranges of a download (RFC 9110, section 14) and of an upload (distribution-spec, "Pushing a blob in chunks").

On the wire both ends are inclusive; a ``ByteRange`` is half-open.
"""

from __future__ import annotations

import re
from dataclasses import dataclass

from registry.oci.errors import BlobUploadInvalid, RangeNotSatisfiable

_RANGE = re.compile(r"bytes=[ \t]*([0-9]*)-([0-9]*)[ \t]*", re.IGNORECASE)
_CONTENT_RANGE = re.compile(r"([0-9]{1,19})-([0-9]{1,19})")


@dataclass(frozen=True, slots=True)
class ByteRange:
    """The bytes from ``start`` up to, not including, ``stop``."""

    start: int
    stop: int

    @property
    def length(self) -> int:
        return self.stop - self.start


def parse_range(header: str, size: int) -> ByteRange | None:
    """Read a Range header against a representation of ``size`` bytes.

    ``None`` means: answer the whole representation (another unit, several ranges, bad syntax; RFC 9110, 14.2).
    Raises RangeNotSatisfiable where the range is understood and lies outside, or ends before it starts.
    """
    match = _RANGE.fullmatch(header.strip())
    if match is None or match.group(1) == match.group(2) == "":
        return None
    first, last = match.groups()
    if first == "":
        length = _bounded(last, size)
        if length == 0:
            raise RangeNotSatisfiable(size)
        return ByteRange(size - length, size)
    start = _bounded(first, size)
    if last == "":
        stop = size
    elif _less(last, first):
        raise RangeNotSatisfiable(size)
    else:
        stop = min(_bounded(last, size) + 1, size)
    if start >= size:
        raise RangeNotSatisfiable(size)
    return ByteRange(start, stop)


def parse_content_range(header: str) -> ByteRange:
    """Read the Content-Range of a chunk, ``^[0-9]+-[0-9]+$``. Raises BlobUploadInvalid."""
    match = _CONTENT_RANGE.fullmatch(header.strip())
    if match is None or int(match.group(2)) < int(match.group(1)):
        raise BlobUploadInvalid(
            "Content-Range of a chunk is <first byte>-<last byte>, both inclusive, such as 0-1023",
            {"content-range": header[:64]},
        )
    return ByteRange(int(match.group(1)), int(match.group(2)) + 1)


def _bounded(digits: str, limit: int) -> int:
    """The number, or ``limit`` where it is larger; a hostile run of digits is never converted."""
    digits = digits.lstrip("0") or "0"
    return limit if len(digits) > len(str(limit)) else min(int(digits), limit)


def _less(left: str, right: str) -> bool:
    left, right = left.lstrip("0"), right.lstrip("0")
    return (len(left), left) < (len(right), right)
