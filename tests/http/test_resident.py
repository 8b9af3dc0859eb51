"""What of a file can be sent without waiting for a disk."""

from __future__ import annotations

import os
from typing import TYPE_CHECKING

import pytest

from registry.http.resident import is_in_memory

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
