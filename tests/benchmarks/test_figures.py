"""Rates, ratios and their spread."""

from __future__ import annotations

from benchmarks.figures import Figure, Run, Spread
from benchmarks.work import Work
from tests.benchmarks.runs import BIG, GET, a_run


def test_a_figure_is_what_was_done_in_a_second_and_what_one_cost() -> None:
    figure = Figure.of(GET, "cargohold", 1, Work(400, 2, 1.9), 0.5, 0)
    assert figure.rate == 200
    assert figure.cpu_of_one == 0.5 / 400


def test_a_client_that_had_no_cpu_left_is_seen() -> None:
    assert Figure.of(GET, "cargohold", 1, Work(400, 2, 1.9), 0.5, 0).is_held_back
    assert not Figure.of(GET, "cargohold", 1, Work(400, 2, 1.7), 0.5, 0).is_held_back


def test_a_rate_is_the_median_with_the_least_and_the_most() -> None:
    assert a_run().rate(GET, "cargohold") == Spread(2000, 1000, 3000)


def test_a_ratio_is_taken_in_each_round_before_the_median_is() -> None:
    """The medians of the rates, 2000 and 500, would give 4."""
    assert a_run().ratio(GET, "a <peer>") == Spread(3, 2, 10)


def test_a_ratio_leaves_out_the_rounds_without_both() -> None:
    run = a_run()
    assert run.ratio(BIG, "a <peer>") == Spread(2, 2, 2)
    run.figures = [each for each in run.figures if each.registry == "cargohold"]
    assert run.ratio(BIG, "a <peer>") is None


def test_what_failed_in_each_round_has_no_rate() -> None:
    assert Run({}, [(GET, "requests")], ["cargohold"]).rate(GET, "cargohold") is None
