"""Durations and sizes as people write them."""

from __future__ import annotations

from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from registry.quantities import (
    FORMS,
    Duration,
    OptionalDuration,
    OptionalSize,
    Processes,
    Size,
    is_quantity,
    processes,
    seconds,
    size_bytes,
)


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("90s", 90),
        ("5m", 300),
        ("24h", 86400),
        ("7d", 604800),
        ("1.5h", 5400),
        ("30", 30),
        ("0.5", 0.5),
        ("2 d", 172800),
    ],
)
def test_durations(text: str, expected: float) -> None:
    assert is_quantity(text, Duration)
    assert seconds(text) == expected


@pytest.mark.parametrize(
    ("text", "expected"),
    [("512KiB", 524288), ("20MiB", 20 * 2**20), ("1GiB", 2**30), ("2TiB", 2**41), ("1.5KiB", 1536), ("100", 100)],
)
def test_sizes(text: str, expected: int) -> None:
    assert is_quantity(text, Size)
    assert size_bytes(text) == expected


@pytest.mark.parametrize(
    "text",
    ["-1s", "+1s", "1e3", "s", "1s ", " 1s", "1 s s", "1w", "1KiB", "1S", ".5h", "1,5h", "٣s", "1\n", "0", "0s", "33y"],
)
def test_what_is_no_duration(text: str) -> None:
    assert not is_quantity(text, Duration)
    assert not is_quantity(text, OptionalDuration)


@pytest.mark.parametrize("text", ["-1", "1KB", "1kib", "1K", "1s", "GiB", "1_000", "0x10", "1" * 16])
def test_what_is_no_size(text: str) -> None:
    assert not is_quantity(text, Size)
    assert not is_quantity(text, OptionalSize)


def test_nothing_is_a_quantity_only_where_it_may_be_left_out() -> None:
    assert [is_quantity("", form) for form in (Duration, OptionalDuration, Size, OptionalSize)] == [
        False,
        True,
        False,
        True,
    ]
    assert (is_quantity("0", Size), is_quantity("0", OptionalSize), is_quantity("0.5", Size)) == (False, True, False)


@pytest.mark.parametrize("value", [True, False, None, [], {}, b"1s"])
@pytest.mark.parametrize("form", FORMS)
def test_values_of_other_types_are_none(value: Any, form: Any) -> None:
    assert not is_quantity(value, form)


@pytest.mark.parametrize(("value", "form"), [(5, Duration), (0.5, Duration), (5, Size), (0, OptionalSize)])
def test_plain_numbers_are_seconds_or_bytes(value: float, form: Any) -> None:
    assert is_quantity(value, form)


def test_thirty_years_are_the_longest() -> None:
    assert is_quantity("1000000000", Duration)
    assert not is_quantity("1000000001", Duration)


@given(st.integers(1, 10**9), st.sampled_from("smhd"))
def test_any_whole_number_of_any_unit(number: int, unit: str) -> None:
    expected = number * {"s": 1, "m": 60, "h": 3600, "d": 86400}[unit]
    assert seconds(f"{number}{unit}") == expected
    assert is_quantity(f"{number}{unit}", Duration) == (expected <= 10**9)


@given(st.text(max_size=12))
def test_no_text_is_a_fault(text: str) -> None:
    for form in FORMS:
        if is_quantity(text, form) and text:
            assert seconds(text) >= 0 or size_bytes(text) >= 0


@pytest.mark.parametrize(("text", "cores", "expected"), [("0", 8, 0), (3, 1, 3), ("auto", 8, 7), ("auto", 1, 0)])
def test_processes(text: object, cores: int, expected: int) -> None:
    assert is_quantity(text, Processes)
    assert processes(str(text), cores) == expected


@pytest.mark.parametrize("text", ["", "-1", "1.5", 1.5, True, "Auto", "1 ", "1000", "\u0661"])
def test_what_is_no_number_of_processes(text: object) -> None:
    assert not is_quantity(text, Processes)
