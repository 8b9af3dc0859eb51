"""What of a file can be sent without waiting for a disk."""

from __future__ import annotations

import os
from time import monotonic
from typing import TYPE_CHECKING

import pytest

from registry.http import resident
from registry.http.resident import is_in_memory, was_in_memory

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

PAGE = 4096
SIZE = 64 * PAGE


@pytest.fixture
def descriptor(tmp_path: Path) -> Iterator[int]:
    """Of a file whose last page but one was never written or read, so that it is in no memory."""
    number = os.open(tmp_path / "file", os.O_RDWR | os.O_CREAT)
    try:
        os.pwrite(number, os.urandom(SIZE - 2 * PAGE), 0)
        os.pwrite(number, os.urandom(PAGE), SIZE - PAGE)
        yield number
    finally:
        os.close(number)


@pytest.mark.parametrize(
    ("start", "length", "expected"),
    [
        (0, SIZE - 2 * PAGE, True),
        (5, 10, True),
        (PAGE - 1, 2, True),
        (SIZE - PAGE, PAGE, True),
        (SIZE - 1, 1, True),
        (0, SIZE, False),
        (0, SIZE - 2 * PAGE + 1, False),
        (SIZE - PAGE - 1, 2, False),
        (SIZE - 1, 2 + PAGE, False),
        (SIZE + PAGE, 1, False),
    ],
)
def test_one_page_that_is_missing_is_seen(descriptor: int, start: int, length: int, *, expected: bool) -> None:
    assert is_in_memory(descriptor, start, length) is expected


def test_what_was_in_memory_is_not_looked_at_for_a_second(descriptor: int, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(resident, "_seen", {})
    monkeypatch.setattr(resident, "_SEEN", 2)
    now = monotonic()
    monkeypatch.setattr(resident, "monotonic", lambda: now)
    assert [was_in_memory("a", descriptor, 0, SIZE) for _ in range(2)] == [False] * 2
    os.pwrite(descriptor, b"x", SIZE - 2 * PAGE)
    assert was_in_memory("a", descriptor, 0, SIZE)
    assert was_in_memory("a", -1, 0, SIZE)  # nothing was asked of a file
    assert not was_in_memory("b", -1, 0, SIZE)
    assert not was_in_memory("a", -1, PAGE, SIZE - PAGE)
    now += 1.1
    assert not was_in_memory("a", -1, 0, SIZE)
    for name in "abc":
        assert was_in_memory(name, descriptor, 0, SIZE)
    assert [was_in_memory(name, -1, 0, SIZE) for name in "abc"] == [False, True, True]
