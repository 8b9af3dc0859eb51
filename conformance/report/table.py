"""The run on a terminal: progress, what failed and what to look at, and a table."""

from __future__ import annotations

from typing import TYPE_CHECKING

from conformance.outcome import Status, count

if TYPE_CHECKING:
    from collections import Counter
    from collections.abc import Iterator

    from conformance.exchange import Exchange
    from conformance.outcome import Outcome, Report

_MARKS = {Status.PASSED: ".", Status.FAILED: "F", Status.SKIPPED: "s", Status.ERROR: "E"}
_LAST_EXCHANGES = 4
_WIDTH = 18
_URL_WIDTH = 160


def progress(outcome: Outcome, previous_group: str) -> str:
    """What to print after a case: its mark, on a line of its group."""
    group = outcome.case.group
    start = "" if group == previous_group else f"\n{group:{_WIDTH}}"
    return start + _MARKS[outcome.status]


def failures(report: Report, again: str) -> Iterator[str]:
    """Each failure with its place in the spec, what came, and how to see more. ``again`` runs the same registry."""
    for outcome in report.bad:
        case = outcome.case
        where = ", ".join(part for part in (case.level.value, case.endpoint, f'"{case.section}"') if part)
        yield f"{outcome.status.value.upper()} {case.group}: {case.id} ({where})"
        yield f"    {case.title}"
        yield f"    {outcome.reason}"
        yield from (f"      {_short(exchange)}" for exchange in outcome.exchanges[-_LAST_EXCHANGES:])
        if case.link:
            yield f"    the spec: {case.link}"
        yield f"    look closer: {again} --case {case.id} --trace"
        yield ""
    for line in report.faults:
        yield f"FAULT in the daemon's log: {line}"


def _short(exchange: Exchange) -> str:
    """Some registries keep the state of a session in its URL."""
    head = exchange.request.head
    head = head if len(head) <= _URL_WIDTH else f"{head[:_URL_WIDTH]}..."
    return f"{head} -> {exchange.answer.head if exchange.answer else exchange.error}"


def skips(report: Report) -> Iterator[str]:
    for outcome in report.outcomes:
        if outcome.status is Status.SKIPPED:
            yield f"skipped {outcome.case.group}: {outcome.case.id}: {outcome.reason}"


def table(report: Report) -> Iterator[str]:
    yield f"{'':{_WIDTH}}{'passed':>8}{'failed':>8}{'error':>8}{'skipped':>8}{'seconds':>9}"
    for group, outcomes in report.groups().items():
        yield _row(group, count(outcomes), sum(outcome.seconds for outcome in outcomes))
    if report.outcomes:
        yield _row("all cases", count(report.outcomes), sum(outcome.seconds for outcome in report.outcomes))
    for result in report.official:
        yield _row(f"official, {result.profile}", result.counts, result.seconds)
        if result.counts["disabled"]:
            yield f"{'':{_WIDTH}}{result.counts['disabled']} disabled by the suite itself"


def _row(name: str, counts: Counter[str], seconds: float) -> str:
    columns = "".join(f"{counts[status.value]:>8}" for status in (Status.PASSED, Status.FAILED, Status.ERROR))
    return f"{name:{_WIDTH}}{columns}{counts['skipped']:>8}{seconds:>9.1f}"
