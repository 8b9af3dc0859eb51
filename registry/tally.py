"""How often and how much: what a histogram of Prometheus needs, at the price of an addition.

It is plain and stands alone, so that the store can count what it does and HTTP what it answers. All of it is used on
the event loop only.
"""

from __future__ import annotations

from bisect import bisect_left
from itertools import accumulate
from math import inf
from typing import TYPE_CHECKING, Final

if TYPE_CHECKING:
    from collections.abc import Sequence

SECONDS: Final = (0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1.0, 2.5, 5.0, 10.0, 25.0, 60.0)
"""Upper bounds for times of requests, those of docker/go-metrics."""

QUICK_SECONDS: Final = (0.0001, 0.00025, 0.0005, 0.001, 0.0025, *SECONDS)
"""For what a disk does, and often takes far less."""

BYTES: Final = tuple(float(1024 << doublings) for doublings in range(22))
"""Upper bounds for sizes of bodies, 1 KiB to 2 GiB, those of docker/go-metrics."""


class Histogram:
    """``bounds`` rise; what is above them all is counted too."""

    __slots__ = ("_bounds", "_counts", "total")

    def __init__(self, bounds: Sequence[float]) -> None:
        self._bounds = bounds
        self._counts = [0] * (len(bounds) + 1)
        self.total = 0.0

    def observe(self, value: float) -> None:
        self._counts[bisect_left(self._bounds, value)] += 1
        self.total += value

    @property
    def count(self) -> int:
        return sum(self._counts)

    def buckets(self) -> list[tuple[float, int]]:
        """Each upper bound, the last one infinite, and how many values are not above it."""
        return list(zip([*self._bounds, inf], accumulate(self._counts), strict=True))

    def take(self) -> tuple[list[int], float]:
        """What was observed, for ``add`` of another histogram of these bounds; this one begins at nothing then."""
        taken = self._counts, self.total
        self._counts, self.total = [0] * len(self._counts), 0.0
        return taken

    def add(self, taken: tuple[list[int], float]) -> None:
        counts, total = taken
        self._counts = [one + other for one, other in zip(self._counts, counts, strict=True)]
        self.total += total
