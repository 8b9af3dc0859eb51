"""RESULTS.md and OFFICIAL.md: the outcome in short, for a repository. The same outcome gives the same bytes."""

from __future__ import annotations

from typing import TYPE_CHECKING

from conformance.outcome import Status, count, readable

if TYPE_CHECKING:
    from collections.abc import Iterator

    from conformance.outcome import Report


def render(report: Report) -> str:
    return "\n".join(_lines(report)).rstrip() + "\n"


def render_official(report: Report) -> str:
    """What the official suite counted, apart from RESULTS.md: not everybody who runs the kit has the suite."""
    lines = [*_head(report, "Results of the official suite"), *(f"* {line}" for line in official_lines(report))]
    return "\n".join(lines) + "\n"


def official_lines(report: Report) -> Iterator[str]:
    for result in report.official:
        counts = ", ".join(f"{result.counts[status]} {status}" for status in ("passed", "failed", "error", "skipped"))
        own = f" ({result.counts['disabled']} disabled by the suite itself)" if result.counts["disabled"] else ""
        switches = f"; switches: {', '.join(result.switches)}" if result.switches else ""
        yield f"{result.profile}: {counts}{own}{switches}"


def _lines(report: Report) -> Iterator[str]:
    yield from _head(report, "Results")
    if report.outcomes:
        yield from _table(report)
    for outcome in report.outcomes:
        if outcome.status is not Status.PASSED:
            case = outcome.case
            where = f"`{case.id}` ({case.level.value} {case.endpoint})"
            yield f"* {outcome.status.value}: {where}: {_one_line(outcome.reason)}"
    yield from (f"* fault in the daemon's log: {_one_line(line)}" for line in report.faults)


def _head(report: Report, title: str) -> Iterator[str]:
    yield f"# {title}"
    yield ""
    yield "Written by `python -m conformance --report DIR`; don't edit."
    yield ""
    yield f"Registry: {report.registry}. Switches: {', '.join(report.switches) or 'none, as it comes'}."
    yield ""


def _table(report: Report) -> Iterator[str]:
    yield "| group | passed | failed | error | skipped |"
    yield "|---|---|---|---|---|"
    for name, outcomes in [*report.groups().items(), ("**all**", list(report.outcomes))]:
        counts = count(outcomes)
        yield f"| {name} | " + " | ".join(str(counts[status.value]) for status in _COLUMNS) + " |"
    yield ""


_COLUMNS = (Status.PASSED, Status.FAILED, Status.ERROR, Status.SKIPPED)


def _one_line(text: str) -> str:
    return " ".join(readable(text).split())[:300].replace("|", "\\|")
