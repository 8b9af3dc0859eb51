"""The tables and the JSON."""

from __future__ import annotations

import json
from dataclasses import replace

import pytest

from benchmarks import report
from benchmarks.figures import Failure
from benchmarks.work import Latency
from tests.benchmarks.runs import BIG, GET, a_run


def rows(text: str) -> dict[str, list[list[str]]]:
    """The cells of each row of all tables, by the first."""
    found: dict[str, list[list[str]]] = {}
    for line in text.splitlines():
        if line.startswith("| "):
            first, *cells = line.strip("| ").split(" | ")
            found.setdefault(first, []).append(cells)
    return found


def test_each_figure_stands_with_its_cpu_and_memory() -> None:
    [figures, _] = rows(report.markdown(a_run()))[GET]
    assert figures == ["requests", "2,000; 250 µs; 64 MiB", "500; 1.0 ms; 64 MiB"]


def test_large_blobs_cost_cpu_by_the_gibibyte() -> None:
    [figures, _] = rows(report.markdown(a_run()))[BIG]
    assert figures[1] == "1,200; 0.45 s/GiB; 64 MiB"


def test_a_ratio_stands_with_its_spread() -> None:
    assert rows(report.markdown(a_run()))[GET][1] == ["3.00 (2.00 to 10.00)"]


def test_each_table_has_as_many_cells_in_every_row() -> None:
    lines = report.markdown(a_run()).splitlines()
    tables = "\n".join(line if line.startswith("|") else "" for line in lines).split("\n\n")
    counts = [{line.count("|") for line in table.split("\n") if line} for table in tables]
    assert [len(each) for each in counts if each] == [1, 1, 1]


def test_a_registry_alone_has_no_ratios() -> None:
    run = a_run()
    run.registries = ["cargohold"]
    assert "times as fast" not in report.markdown(run)
    assert "times as fast" in report.markdown(a_run())


def test_what_could_not_be_measured_is_said() -> None:
    run = a_run()
    run.figures = [each for each in run.figures if (each.load, each.registry) != (BIG, "a <peer>")]
    run.failures.append(Failure("a <peer>", 3, "refused"))
    text = report.markdown(run)
    assert rows(text)[BIG] == [["MB", "1,200; 0.45 s/GiB; 64 MiB", "-"], ["-"]]
    assert "* a <peer>, round 3: refused" in text


def test_a_figure_that_the_client_held_back_is_marked() -> None:
    run = a_run()
    run.figures[0] = replace(run.figures[0], client_cpu_seconds=2)
    assert rows(report.markdown(run))[GET][0][1] == "2,000\\*; 250 µs; 64 MiB"
    assert "the registry might do more" in report.markdown(run)


def test_latencies_are_medians_of_the_rounds_and_stand_where_they_were_measured() -> None:
    run = a_run()
    assert "99 of 100" not in report.markdown(run)
    for ours, half in zip(run.of(GET, "cargohold"), (0.001, 0.005, 0.002), strict=True):
        run.figures[run.figures.index(ours)] = replace(ours, latency=Latency(half, 10 * half))
    assert "99 of 100" in report.markdown(run)
    assert rows(report.markdown(run))[GET][2] == ["2.0 ms; 20.0 ms", "-"]
    assert len(rows(report.markdown(run))[BIG]) == 2


def test_memory_is_the_median_of_the_rounds() -> None:
    found = rows(report.markdown(a_run()))
    assert found["cargohold"] == [["50", "60", "70"]]
    assert found["a <peer>"] == [["-", "-", "-"]]


def test_json_keeps_every_round_and_the_ratios() -> None:
    document = json.loads(report.to_json(a_run()))
    assert document["about"]["CPU"] == "a CPU"
    assert [each["rate"] for each in document["figures"] if each["load"] == GET] == [1000, 500, 3000, 1000, 2000, 200]
    assert document["ratios"][0] == {"load": GET, "peer": "a <peer>", "median": 3, "least": 2, "most": 10}


@pytest.mark.parametrize(
    ("seconds", "text"), [(0.0000314, "31 µs"), (0.0314, "31.4 ms"), (3.14, "3.14 s")], ids=["us", "ms", "s"]
)
def test_durations_have_a_fitting_unit(seconds: float, text: str) -> None:
    assert report.duration(seconds) == text


@pytest.mark.parametrize(("value", "text"), [(12345.6, "12,346"), (12.345, "12.3"), (1.2345, "1.23")])
def test_numbers_have_three_digits_at_least(value: float, text: str) -> None:
    assert report.number(value) == text
