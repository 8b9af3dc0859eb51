"""The drills find a collector that does not keep to the horizon."""

from __future__ import annotations

from typing import TYPE_CHECKING

import trio

from tests.faults import drills
from tests.faults.drills import Drill

if TYPE_CHECKING:
    from pathlib import Path


def test_nothing_is_missing_within_the_horizon(tmp_path: Path) -> None:
    report = drills.run(tmp_path, full=False)
    assert (report.states, report.lost) == (12, [])


def test_a_collector_that_does_not_wait(tmp_path: Path) -> None:
    found = [trio.run(Drill(tmp_path / f"{seed}", seed, horizon_seconds=0.001).run) for seed in range(20)]
    assert any("is not there" in sentence for sentences in found for sentence in sentences)
