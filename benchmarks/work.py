"""What a load came to."""

from __future__ import annotations

from dataclasses import dataclass


class LoadFailed(Exception):
    """A load could not be measured; the message says what came instead of an answer."""


@dataclass(frozen=True, slots=True)
class Latency:
    """How long one operation took, in seconds: half of them, and 99 of 100, took no longer."""

    half: float
    most: float


@dataclass(frozen=True, slots=True)
class Work:
    """What was done in how many seconds, and what it cost the client; the latency where it was measured."""

    operations: float
    seconds: float
    client_cpu_seconds: float
    latency: Latency | None = None
