from __future__ import annotations

from collections import Counter
from contextlib import contextmanager
from typing import TYPE_CHECKING

import pytest

from tests.faults import broken, strace
from tests.faults.kill import Kills, points_of, spread
from tests.faults.strace import Point, count_calls

if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence
    from pathlib import Path

needs_strace = pytest.mark.skipif(strace.missing() is not None, reason=str(strace.missing()))


@contextmanager
def kills_of(folder: Path, prefix: Sequence[str] = ()) -> Iterator[Kills]:
    kills = Kills(folder, prefix)
    try:
        yield kills
    finally:
        kills.abandon()


@needs_strace
def test_a_kill_is_seen_and_loses_nothing(tmp_path: Path) -> None:
    with kills_of(tmp_path) as kills:
        assert kills.kill_serving(Point("rename", 2))
        assert kills.kill_starting(Point("pwrite64", 2))
        assert not kills.kill_serving(Point("rename", 999))
        kills.end()
    assert (kills.report.states, kills.report.lost) == (2, [])
    assert kills.report.acknowledged > 40


@needs_strace
def test_a_kill_of_the_very_first_start_is_seen_and_loses_nothing(tmp_path: Path) -> None:
    with kills_of(tmp_path) as kills:
        assert kills.kill_beginning(Point("fdatasync", 2))
        kills.end()
    assert (kills.report.states, kills.report.lost) == (1, [])


@needs_strace
def test_a_kill_of_a_restore_is_seen_and_loses_nothing(tmp_path: Path) -> None:
    with kills_of(tmp_path) as kills:
        assert kills.kill_restoring(Point("rename", 2))
        kills.end()
    assert (kills.report.states, kills.report.lost) == (1, [])


@needs_strace
def test_a_row_before_its_file_is_found(tmp_path: Path) -> None:
    with kills_of(tmp_path, broken.ROW_BEFORE_FILE) as kills:
        assert kills.kill_serving(Point("rename", 1))
        kills.end()
    assert any("has a row with 2000 bytes and a file with None" in sentence for sentence in kills.report.lost)


@needs_strace
def test_an_answer_before_the_commit_is_found(tmp_path: Path) -> None:
    with kills_of(tmp_path, broken.ANSWER_BEFORE_COMMIT) as kills:
        assert kills.kill_serving(Point("pwrite64", 3))  # of the COMMIT of the last manifest that was prepared
        kills.end()
    assert any("manifest" in sentence and "is not there" in sentence for sentence in kills.report.lost)


@needs_strace
def test_a_file_removed_before_its_row_is_found(tmp_path: Path) -> None:
    with kills_of(tmp_path, broken.FILE_GONE_BEFORE_ROW) as kills:
        assert kills.kill_serving(Point("unlink", 2))  # the second one of the thread that collects garbage
        kills.end()
    assert any("bytes and a file with None" in sentence for sentence in kills.report.lost)


def test_the_busiest_thread_counts(tmp_path: Path) -> None:
    lines = ["10 write(1, ...) = 1", "11 write(2, ...) = 1", "11 rename(...) = 0", "12  rename(...) = 0"]
    lines += ["12 rename( <unfinished ...>", "12 <... rename resumed>) = 0", "12 +++ exited with 0 +++"]
    (tmp_path / "calls").write_text("\n".join(lines))
    counts = count_calls(tmp_path / "calls", main=10)
    assert counts == Counter(write=1, rename=2)
    assert points_of(counts) == [Point("write", 1), Point("rename", 1), Point("rename", 2)]


@pytest.mark.parametrize("count", [1, 2, 3, 10, 100, 586])
def test_points_are_spread_and_none_is_left_out(count: int) -> None:
    order = list(spread(range(count)))
    assert sorted(order) == list(range(count))
    tenths = {number * 10 // count for number in order[: len(order) // 4]}
    assert count < 100 or tenths == set(range(10))
