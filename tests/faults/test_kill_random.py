from __future__ import annotations

from typing import TYPE_CHECKING

from tests.faults import broken
from tests.faults.kill_random import kill_often

if TYPE_CHECKING:
    from pathlib import Path


def test_kills_lose_nothing(tmp_path: Path) -> None:
    report = kill_often(tmp_path, 2, seed=1)
    assert (report.states, report.lost) == (2, [])
    assert report.acknowledged > 0


def test_an_answer_before_the_commit_is_found(tmp_path: Path) -> None:
    report = kill_often(tmp_path, 4, seed=1, prefix=broken.ANSWER_BEFORE_COMMIT)
    assert report.lost
