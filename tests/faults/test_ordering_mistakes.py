"""Each mistake in the order of writes and syncs is seen by construction, by ``sync_order``; without one nothing is."""

from __future__ import annotations

from typing import TYPE_CHECKING

import pytest

from tests.faults import mistakes, strace, sync_order
from tests.faults.report import Report

if TYPE_CHECKING:
    from collections.abc import Callable
    from pathlib import Path

pytestmark = pytest.mark.skipif(strace.missing() is not None, reason=str(strace.missing()))

SEEN = {
    mistakes.file_is_not_synced: "before its bytes were synced",
    mistakes.directory_is_not_synced: "blobs/sha256 was not synced before the answer",
    mistakes.row_comes_before_the_rename: "was written before the file had its name for good",
    mistakes.commit_is_not_synced: "the commit was not synced before the answer",
    mistakes.unlink_comes_before_the_commit: "was unlinked before registry.db-wal was written and synced",
}


@pytest.mark.parametrize("mistake", mistakes.MISTAKES)
def test_the_mistake_is_seen(mistake: Callable[[], None], tmp_path: Path) -> None:
    report, prefix = Report("sync_order"), mistakes.command(mistake)
    sync_order.judge(report, sync_order.record(tmp_path, prefix), tmp_path / "data")
    sync_order.judge_collection(report, sync_order.record_collection(tmp_path, prefix), tmp_path / "collected")
    assert any(SEEN[mistake] in sentence for sentence in report.lost), report.lost


def test_without_a_mistake_nothing_is_seen(tmp_path: Path) -> None:
    report = sync_order.run(tmp_path, full=False)
    assert report.lost == []
    assert report.acknowledged > 15
