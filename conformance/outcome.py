"""What came of a run, for every kind of report."""

from __future__ import annotations

from collections import Counter
from dataclasses import dataclass, field
from enum import Enum
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from pathlib import Path

    from conformance.case import Case
    from conformance.exchange import Exchange


class Status(Enum):
    PASSED = "passed"
    FAILED = "failed"
    SKIPPED = "skipped"
    ERROR = "error"
    """The kit itself is at fault."""


@dataclass(frozen=True, slots=True)
class Outcome:
    """``reason`` says why a case did not pass."""

    case: Case
    status: Status
    reason: str
    seconds: float
    exchanges: tuple[Exchange, ...]

    @property
    def is_bad(self) -> bool:
        return self.status in {Status.FAILED, Status.ERROR}


@dataclass(frozen=True, slots=True)
class OfficialResult:
    """What the official suite counted in one profile; its own reports are in ``folder``."""

    profile: str
    switches: tuple[str, ...]
    counts: Counter[str]
    seconds: float
    folder: Path

    @property
    def is_bad(self) -> bool:
        return bool(self.counts["failed"] or self.counts["error"] or not self.counts["passed"])


@dataclass(frozen=True, slots=True)
class Report:
    """``registry`` says what was tested, ``faults`` what the booted daemon logged as its own."""

    registry: str
    switches: tuple[str, ...]
    outcomes: tuple[Outcome, ...]
    official: tuple[OfficialResult, ...] = ()
    faults: tuple[str, ...] = field(default=())

    @property
    def bad(self) -> list[Outcome]:
        return [outcome for outcome in self.outcomes if outcome.is_bad]

    @property
    def has_failed(self) -> bool:
        return bool(self.bad or self.faults or any(result.is_bad for result in self.official))

    def groups(self) -> dict[str, list[Outcome]]:
        grouped: dict[str, list[Outcome]] = {}
        for outcome in self.outcomes:
            grouped.setdefault(outcome.case.group, []).append(outcome)
        return grouped


def count(outcomes: list[Outcome] | tuple[Outcome, ...]) -> Counter[str]:
    return Counter(outcome.status.value for outcome in outcomes)


def readable(text: str) -> str:
    """Text that any report can hold."""
    return "".join(each if each.isprintable() or each in "\n\t" else "\N{REPLACEMENT CHARACTER}" for each in text)


def readable_body(body: bytes) -> str:
    """What is no text is told by its size."""
    try:
        return readable(body.decode())
    except UnicodeDecodeError:
        return f"({len(body)} bytes that are no text)"


def transcript(exchange: Exchange) -> str:
    """Request and answer, as they went over the wire, with the beginning of each body."""
    lines: list[str] = []
    for message in (exchange.request, exchange.answer):
        if message is None:
            lines.append(f"no answer: {exchange.error}")
            continue
        lines.append(readable(message.head))
        lines += [readable(f"{name}: {value}") for name, value in message.headers]
        cut = f"\n... ({message.size} bytes)" if message.size > len(message.body) else ""
        lines.append(f"\n{readable_body(message.body)}{cut}\n" if message.body else "")
    return "\n".join(lines)
