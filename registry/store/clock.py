"""The daemon's clock: how long daemons have run on a data folder, downtime left out.

Ages are told on it, so that neither a wrong wall clock nor a nightly shutdown makes anything older than it is.
"""

from __future__ import annotations

import time
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Callable


AHEAD_MS = 5 * 60_000
"""What the database saves of it is at most so far ahead of the mark in the blob folder."""


def wall_ms() -> int:
    """Milliseconds since the epoch, as the machine has them: for display, and for what expires at a moment."""
    return time.time_ns() // 1_000_000


def boottime_ms() -> int:
    """Milliseconds since the machine started, those of its sleep counted (CLOCK_BOOTTIME)."""
    return time.clock_gettime_ns(time.CLOCK_BOOTTIME) // 1_000_000


class Clock:
    """Stands still until ``go_on``; from then on it advances with ``source``."""

    def __init__(self, source: Callable[[], int] = boottime_ms) -> None:
        self._source = source
        self._began_ms: int | None = None
        self._saved_ms = 0
        self._marked_ms = 0

    def go_on(self, saved_ms: int) -> None:
        """Run on from what an earlier daemon saved."""
        self._began_ms, self._saved_ms = self._source(), saved_ms
        self._marked_ms = saved_ms

    def now_ms(self) -> int:
        elapsed = 0 if self._began_ms is None else self._source() - self._began_ms
        return self._saved_ms + elapsed

    def note_mark(self, marked_ms: int) -> None:
        """The mark in the blob folder says so, durably."""
        self._marked_ms = marked_ms

    def savable_ms(self) -> int:
        """What may be saved now: less than ``now_ms`` after a sleep of the machine, or where no mark can be written."""
        return min(self.now_ms(), self._marked_ms + AHEAD_MS)
