"""The high-water mark in the blob folder, and what its comparison with the database says."""

from __future__ import annotations

from typing import TYPE_CHECKING

import pytest

from registry.store import mark
from registry.store.clock import AHEAD_MS, Clock
from registry.store.mark import Mark, State
from registry.store.transactions import count_commits
from tests.store.conftest import opened

if TYPE_CHECKING:
    from pathlib import Path

    from registry.store.database import Database


def test_it_is_written_in_place_and_read_again(tmp_path: Path) -> None:
    assert mark.read(tmp_path) is None
    for written in (Mark("a" * 32, 10**15, "b" * 32), Mark("b" * 32, 1), Mark(None, 0, is_final=True)):
        mark.write(tmp_path, written)
        assert mark.read(tmp_path) == written
        [path] = tmp_path.iterdir()
        assert path.stat().st_size == 512


@pytest.mark.parametrize("content", [b"", b"\0" * 512, b"{}", b'{"start_id": "a"}', b"[]", b'{"x": 1}', b"\xff"])
def test_one_that_can_not_be_read_is_none(tmp_path: Path, content: bytes) -> None:
    mark.write(tmp_path, Mark("a", 1))
    (tmp_path / "mark").write_bytes(content)
    assert mark.read(tmp_path) is None


def state(start_id: str | None, commits: int) -> State:
    return State(start_id, commits, restored_ms=None, restorable_since_ms=0, clock_ms=1_000_000)


@pytest.mark.parametrize(
    ("known", "found", "live", "snapshot"),
    [
        (None, state(None, 5), False, False),
        (None, state("a", 5), True, True),
        (Mark("a", 5), state(None, 5), True, True),
        (Mark(None, 5, next_id="a"), state(None, 5), False, False),
        (Mark(None, 5, next_id="a"), state("a", 6), False, True),
        (Mark("a", 5), state("a", 5), False, True),
        (Mark("a", 5), state("a", 6), False, True),
        (Mark("a", 5), state("a", 4), True, True),
        (Mark("a", 5, is_final=True), state("a", 5), False, False),
        (Mark("a", 5, is_final=True), state("a", 6), False, False),
        (Mark("a", 5, is_final=True), state("a", 4), True, True),
        (Mark("b", 5, is_final=True), state("a", 5), True, True),
        (Mark("b", 5), state("a", 50), True, True),
        (Mark("a", 5, next_id="b"), state("a", 5), False, True),
        (Mark("a", 5, next_id="b"), state("b", 6), False, True),
        (Mark("a", 5, next_id="b"), state("c", 6), True, True),
        (Mark("a", 5, clock_ms=2_000_000), state("a", 6), False, True),
        (Mark("a", 5, clock_ms=400_000), state("a", 6), False, True),
        (Mark("a", 5, clock_ms=399_999), state("a", 6), True, True),
        (Mark("a", 5, is_final=True, clock_ms=399_999), state("a", 6), True, True),
    ],
)
def test_what_is_older_than_the_folder_or_another_ones(
    known: Mark | None, found: State, live: bool, snapshot: bool
) -> None:
    assert mark.is_restored(known, found, is_snapshot=False) == live
    assert mark.is_restored(known, found, is_snapshot=True) == snapshot


async def test_the_database_does_not_save_a_clock_far_ahead_of_the_mark(tmp_path: Path) -> None:
    shown_ms = 0
    async with opened(tmp_path / "registry.db", Clock(lambda: shown_ms)) as database:
        shown_ms = 8 * 3600 * 1000  # the machine has slept
        await database.write(count_commits)
        assert database.read_now(mark.state).clock_ms == AHEAD_MS
        database.clock.note_mark(shown_ms)
        await database.write(count_commits)
        assert database.read_now(mark.state).clock_ms == shown_ms == database.clock.now_ms()


async def test_a_start_is_written_into_the_database(database: Database) -> None:
    await database.write(mark.begin, "first", restored=False)
    found = database.read_now(mark.state)
    assert (found.start_id, found.restored_ms, found.restorable_since_ms) == ("first", None, 0)
    await database.write(mark.begin, "second", restored=True)
    await database.write(mark.begin, "third", restored=False)
    restored = database.read_now(mark.state)
    assert restored.start_id == "third"
    assert restored.restored_ms is not None
    assert restored.commits > found.commits
    await database.write(mark.end_restoration)
    assert database.read_now(mark.state).restored_ms is None
