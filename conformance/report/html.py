"""report.html: one page without scripts, with every exchange."""

from __future__ import annotations

from html import escape
from typing import TYPE_CHECKING

from conformance.outcome import count, readable, transcript
from conformance.report import markdown

if TYPE_CHECKING:
    from conformance.outcome import Outcome, Report

_STYLE = """
body { font: 15px/1.45 sans-serif; max-width: 70rem; margin: 2rem auto; padding: 0 1rem; color: #1c2733 }
summary { cursor: pointer; padding: .15rem .4rem } pre { background: #f3f5f7; padding: .6rem; overflow-x: auto }
.passed { border-left: .3rem solid #2a9d5c } .skipped { border-left: .3rem solid #c9a227 }
.failed, .error { border-left: .3rem solid #c8372d } td, th { text-align: left; padding: .1rem 1rem .1rem 0 }
small { color: #5b6875 }
"""


def render(report: Report) -> str:
    counts = ", ".join(f"{number} {status}" for status, number in count(report.outcomes).items()) or "no cases"
    groups = "".join(_group(name, outcomes) for name, outcomes in report.groups().items())
    switches = f"<p>Switches: {escape(', '.join(report.switches))}</p>" if report.switches else ""
    official = "".join(f"<li>Official suite, {escape(line)}</li>" for line in markdown.official_lines(report))
    return (
        '<!doctype html><html lang="en"><head><meta charset="utf-8"><title>Conformance</title>'
        f"<style>{_STYLE}</style></head><body><h1>Conformance of {escape(report.registry)}</h1>"
        f"<p>{escape(counts)}</p>{switches}<ul>{official}</ul>{groups}</body></html>\n"
    )


def _group(name: str, outcomes: list[Outcome]) -> str:
    counts = ", ".join(f"{number} {status}" for status, number in count(outcomes).items())
    return f"<h2>{escape(name)} <small>{escape(counts)}</small></h2>" + "".join(map(_case, outcomes))


def _case(outcome: Outcome) -> str:
    case = outcome.case
    section = escape(case.section)
    if case.link:
        section = f'<a href="{escape(case.link)}">{section}</a>'
    reason = f"<p><b>{escape(readable(outcome.reason))}</b></p>" if outcome.reason else ""
    exchanges = "".join(f"<pre>{escape(transcript(exchange))}</pre>" for exchange in outcome.exchanges)
    return (
        f'<details class="{outcome.status.value}"{" open" if outcome.is_bad else ""}>'
        f"<summary>{escape(case.id)} <small>{case.level.value} {escape(case.endpoint)}</small> {escape(case.title)}"
        f"</summary><p>{section}, {outcome.seconds:.3f} s</p>{reason}{exchanges}</details>"
    )
