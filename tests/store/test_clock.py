"""The daemon's clock: it goes on from what was saved, and only while a daemon runs."""

from __future__ import annotations

import time
from typing import TYPE_CHECKING

from registry.store.clock import Clock, boottime_ms
from registry.store.transactions import ReadTx, count_commits
from tests.store.conftest import opened

if TYPE_CHECKING:
    from pathlib import Path


def test_it_stands_still_until_it_is_told_to_go_on() -> None:
    now = 1000
    clock = Clock(source=lambda: now)
    now = 2000
    assert clock.now_ms() == 0
    clock.go_on(500)
    assert clock.now_ms() == 500
    now = 2250
    assert clock.now_ms() == 750


def test_a_machine_that_was_started_anew_takes_nothing_away() -> None:
    now = 90_000_000
    clock = Clock(source=lambda: now)
    clock.go_on(700)
    now = 90_000_100
    saved = clock.now_ms()
    now = 5
    clock.go_on(saved)
    assert clock.now_ms() == 800


def test_it_follows_the_time_since_the_machine_started() -> None:
    before = time.clock_gettime(time.CLOCK_BOOTTIME)
    assert int(before * 1000) <= boottime_ms() <= time.clock_gettime(time.CLOCK_BOOTTIME) * 1000


async def test_each_commit_saves_it_and_downtime_does_not_count(tmp_path: Path) -> None:
    shown_ms = 0

    def source() -> int:
        return shown_ms

    def saved(tx: ReadTx) -> int:
        return int(tx.execute("SELECT clock_ms FROM daemon").fetchone()[0])

    for life in range(3):
        async with opened(tmp_path / "registry.db", Clock(source)) as database:
            assert database.read_now(saved) == database.clock.now_ms() == life * 100
            shown_ms += 100
            await database.write(count_commits)
            assert database.read_now(saved) == (life + 1) * 100
        shown_ms += 1_000_000
