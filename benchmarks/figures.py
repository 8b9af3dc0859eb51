"""The figures of a run: of each load and registry one a round, and how they compare."""

from __future__ import annotations

import statistics
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from collections.abc import Iterable, Sequence

    from benchmarks.work import Latency, Work

_FULL_SHARE = 0.9


@dataclass(frozen=True, slots=True)
class Figure:
    """One load on one registry in one round: the client's view, the registry's CPU and its memory afterwards."""

    load: str
    registry: str
    round: int
    operations: float
    seconds: float
    cpu_seconds: float
    client_cpu_seconds: float
    resident_bytes: int
    latency: Latency | None = None

    @property
    def rate(self) -> float:
        return self.operations / self.seconds

    @property
    def cpu_of_one(self) -> float:
        """CPU seconds of one operation."""
        return self.cpu_seconds / self.operations

    @property
    def is_held_back(self) -> bool:
        """Whether the client had hardly any CPU left: the registry might do more."""
        return self.client_cpu_seconds > _FULL_SHARE * self.seconds

    @staticmethod
    def of(load: str, registry: str, number: int, work: Work, cpu_seconds: float, resident_bytes: int) -> Figure:
        done, client = (work.operations, work.seconds), work.client_cpu_seconds
        return Figure(load, registry, number, *done, cpu_seconds, client, resident_bytes, work.latency)


@dataclass(frozen=True, slots=True)
class Memory:
    """Of one registry in one round: after its start, after all loads, and the most in between."""

    registry: str
    round: int
    idle_bytes: int
    after_bytes: int
    peak_bytes: int


@dataclass(frozen=True, slots=True)
class Failure:
    """What could not be measured of a registry in a round, and why."""

    registry: str
    round: int
    reason: str

    def __str__(self) -> str:
        return f"{self.registry}, round {self.round}: {self.reason}"


@dataclass(frozen=True, slots=True)
class Spread:
    """The median of all rounds, and between what they lie."""

    median: float
    least: float
    most: float

    @staticmethod
    def of(values: Iterable[float]) -> Spread:
        values = list(values)
        return Spread(statistics.median(values), min(values), max(values))


@dataclass(slots=True)
class Run:
    """``loads`` and ``registries`` in the order of the table, ours first; ``about`` says what was measured where."""

    about: dict[str, Any]
    loads: Sequence[tuple[str, str]]
    """Names and units."""
    registries: Sequence[str]
    figures: list[Figure] = field(default_factory=list)
    memory: list[Memory] = field(default_factory=list)
    failures: list[Failure] = field(default_factory=list)

    def of(self, load: str, registry: str) -> list[Figure]:
        """By round; none where it failed."""
        return [each for each in self.figures if (each.load, each.registry) == (load, registry)]

    def rate(self, load: str, registry: str) -> Spread | None:
        figures = self.of(load, registry)
        return Spread.of(each.rate for each in figures) if figures else None

    def ratio(self, load: str, peer: str) -> Spread | None:
        """How many times as fast as the peer this registry is, in the rounds that have both figures."""
        ours = {each.round: each.rate for each in self.of(load, self.registries[0])}
        theirs = {each.round: each.rate for each in self.of(load, peer)}
        ratios = [ours[number] / theirs[number] for number in ours.keys() & theirs.keys()]
        return Spread.of(ratios) if ratios else None
