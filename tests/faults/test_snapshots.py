"""Snapshots of a registry that is written to; the kind finds one that is older than it has to be."""

from __future__ import annotations

from typing import TYPE_CHECKING

from tests.faults import snapshots
from tests.faults.injection import with_mistake

if TYPE_CHECKING:
    from pathlib import Path

TAKES_ONE_AND_NO_MORE = """
from registry.service.backup import Backup
take = Backup.take_if_changed
async def once(self, **limits):
    return self.target.exists() or await take(self, **limits)
Backup.take_if_changed = once
"""


def test_none_is_corrupt_or_old(tmp_path: Path) -> None:
    report = snapshots.take(tmp_path, 5)
    assert (report.states, report.lost) == (5, [])


def test_one_that_is_not_taken_anew(tmp_path: Path) -> None:
    report = snapshots.take(tmp_path, 5, with_mistake(tmp_path / "mistake", TAKES_ONE_AND_NO_MORE))
    assert any("was acknowledged before" in sentence for sentence in report.lost)
