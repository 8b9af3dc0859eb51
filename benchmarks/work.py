"""What a load came to."""

from __future__ import annotations

from dataclasses import dataclass


class LoadFailed(Exception):
    """A load could not be measured; the message says what came instead of an answer."""


@dataclass(frozen=True, slots=True)
class Work:
    """What was done in how many seconds, and what it cost the client."""

    operations: float
    seconds: float
    client_cpu_seconds: float
