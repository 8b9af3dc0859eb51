"""Lines of requests: gathered, they are written before the event loop waits for anything."""

from __future__ import annotations

import select
from typing import TYPE_CHECKING

import pytest
import trio
import trio.lowlevel

from registry.gathering import Gathering
from registry.request_log import Lines, lines

if TYPE_CHECKING:
    from collections.abc import Iterator


@pytest.fixture
def gathered() -> Iterator[Lines]:
    gathered = Lines()
    gathered.gather()
    yield gathered
    gathered.end()


def test_what_is_not_gathered_is_written_at_once() -> None:
    written: list[str] = []
    Lines().add(written.append, "a line")
    assert written == ["a line"]


def test_what_is_gathered_is_written_together_and_once(gathered: Lines) -> None:
    written: list[str] = []
    for number in range(3):
        gathered.add(written.append, f"line {number}")
    assert written == []
    gathered.write()
    gathered.write()
    assert written == ["line 0\nline 1\nline 2"]
    gathered.add(written.append, "the last one")
    gathered.end()
    gathered.add(written.append, "what follows")
    assert written[1:] == ["the last one", "what follows"]


def test_nothing_is_written_that_another_process_may_write_into(gathered: Lines) -> None:
    """And a line that is longer by itself goes alone."""
    written: list[str] = []
    said = ["x" * length for length in (400, 400, 3290, 5000, 10, 4000, 200, 4095, 1)]
    for line in said:
        gathered.add(written.append, line)
    gathered.write()
    assert "\n".join(written).split("\n") == said
    assert [len(text) + 1 for text in written if len(text) >= select.PIPE_BUF] == [5001]
    assert len(written) == 6


def test_what_counts_are_the_bytes(gathered: Lines) -> None:
    written: list[str] = []
    for _ in range(3):
        gathered.add(written.append, "\u00e9" * 1300)
    gathered.write()
    assert [len(text) for text in written] == [1300] * 3


def test_a_log_that_can_not_be_written_ends_nothing(gathered: Lines) -> None:
    def fail(_text: str) -> None:
        raise OSError("no room")

    written: list[str] = []
    gathered.add(fail, "lost")
    gathered.write()
    gathered.add(written.append, "kept")
    gathered.write()
    assert written == ["kept"]


def test_the_lines_of_a_pass_of_the_event_loop_are_one_write() -> None:
    written: list[str] = []

    async def answer(number: int) -> None:
        lines.add(written.append, f"line {number}")

    async def answer_many() -> None:
        async with trio.open_nursery() as nursery:
            for number in range(5):
                nursery.start_soon(answer, number)
        await trio.lowlevel.checkpoint()
        assert [sorted(text.split("\n")) for text in written] == [[f"line {number}" for number in range(5)]]
        lines.add(written.append, "the last one")

    trio.run(answer_many, instruments=[Gathering()])
    assert written[1:] == ["the last one"]
    lines.add(written.append, "what follows")
    assert written[2:] == ["what follows"]
