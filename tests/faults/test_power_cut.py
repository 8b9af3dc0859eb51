"""The kind can fail: a daemon whose commits or files are not synced loses what it acknowledged."""

from __future__ import annotations

from random import Random
from typing import TYPE_CHECKING

import pytest

from tests.faults import devices, mistakes
from tests.faults.power_cut import PowerCuts
from tests.faults.report import Report
from tests.tools.daemon import Daemon

if TYPE_CHECKING:
    from collections.abc import Callable
    from pathlib import Path

pytestmark = pytest.mark.skipif(devices.missing("mkfs.ext4") is not None, reason=str(devices.missing("mkfs.ext4")))


def cut_twice(place: Path, make_daemon: Callable[[Path], Daemon]) -> Report:
    report = Report("power_cut")
    PowerCuts(place, "ext4", make_daemon, report, Random(1)).run(cuts=2, least=40, most=60)
    return report


@pytest.mark.parametrize("mistake", [mistakes.commit_is_not_synced, mistakes.file_is_not_synced])
def test_a_missing_sync_is_seen(mistake: Callable[[], None], tmp_path: Path) -> None:
    def make_daemon(data: Path) -> Daemon:
        daemon = Daemon(data)
        daemon.prefix = mistakes.command(mistake)
        return daemon

    assert cut_twice(tmp_path, make_daemon).lost


def test_without_a_mistake_nothing_is_lost(tmp_path: Path) -> None:
    report = cut_twice(tmp_path, Daemon)
    assert report.lost == []
    assert report.states == 2
    assert report.acknowledged >= 80
