"""junit.xml: one test suite for each group."""

from __future__ import annotations

from typing import TYPE_CHECKING
from xml.etree import ElementTree as ET

from conformance.outcome import Status, count, readable, transcript

if TYPE_CHECKING:
    from conformance.outcome import Outcome, Report

_ELEMENTS = {Status.FAILED: "failure", Status.ERROR: "error", Status.SKIPPED: "skipped"}


def render(report: Report) -> str:
    suites = ET.Element("testsuites", _totals("conformance", report.outcomes))
    for group, outcomes in report.groups().items():
        suite = ET.SubElement(suites, "testsuite", _totals(group, tuple(outcomes)))
        for outcome in outcomes:
            _add_case(suite, outcome)
    ET.indent(suites)
    return ET.tostring(suites, encoding="unicode", xml_declaration=True) + "\n"


def _add_case(suite: ET.Element, outcome: Outcome) -> None:
    case = outcome.case
    attributes = {"name": case.id, "classname": f"conformance.{case.group}", "time": f"{outcome.seconds:.3f}"}
    element = ET.SubElement(suite, "testcase", attributes)
    if outcome.status in _ELEMENTS:
        ET.SubElement(element, _ELEMENTS[outcome.status], {"message": readable(outcome.reason)})
    where = f"{case.level.value}; {case.section}; {case.endpoint}\n{case.title}\n\n"
    ET.SubElement(element, "system-out").text = where + "\n".join(map(transcript, outcome.exchanges))


def _totals(name: str, outcomes: tuple[Outcome, ...]) -> dict[str, str]:
    counts = count(outcomes)
    return {
        "name": name,
        "tests": str(len(outcomes)),
        "failures": str(counts["failed"]),
        "errors": str(counts["error"]),
        "skipped": str(counts["skipped"]),
        "time": f"{sum(outcome.seconds for outcome in outcomes):.3f}",
    }
