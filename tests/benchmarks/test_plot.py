"""The plot is well-formed, and its bars are as long as the figures say."""

from __future__ import annotations

from typing import TYPE_CHECKING
from xml.etree import ElementTree as ET

from benchmarks import plot
from tests.benchmarks.runs import BIG, GET, a_run

if TYPE_CHECKING:
    from benchmarks.figures import Run

_SVG = "{http://www.w3.org/2000/svg}"


def elements(run: Run, name: str) -> list[ET.Element]:
    return ET.fromstring(plot.svg(run)).findall(f"{_SVG}{name}")


def bars(run: Run) -> list[float]:
    """Their lengths; the first rectangle is the ground, then comes the legend."""
    return [float(each.attrib["width"]) for each in elements(run, "rect")[1 + len(run.registries) :]]


def test_the_bars_are_in_proportion_to_the_most_of_a_load() -> None:
    full = plot._BARS_WIDTH
    assert bars(a_run()) == [round(full * share, 1) for share in (2000 / 3000, 500 / 3000, 1, 0.5)]


def test_the_spread_reaches_from_the_least_to_the_most() -> None:
    first = elements(a_run(), "path")[0].attrib["d"]
    start, length = first.removeprefix("M").split(" ")[0], first.partition("h")[2]
    assert float(start) == round(plot._LABELS_WIDTH + plot._BARS_WIDTH / 3, 1)
    assert float(length) == round(plot._BARS_WIDTH * 2 / 3, 1)


def test_names_are_escaped_and_values_have_their_unit() -> None:
    texts = [each.text for each in elements(a_run(), "text")]
    assert "a <peer>" in texts
    assert "2,000 requests/s" in texts
    assert {GET, BIG} <= set(texts)


def test_what_was_not_measured_has_no_bar() -> None:
    run = a_run()
    run.figures = [each for each in run.figures if each.load == GET]
    assert len(bars(run)) == 2
    assert [each.text for each in elements(run, "text")].count("not measured") == 2


def test_all_of_it_lies_inside() -> None:
    run = a_run()
    height = float(ET.fromstring(plot.svg(run)).attrib["height"])
    assert all(float(each.attrib.get("y", 0)) <= height for each in elements(run, "text"))
