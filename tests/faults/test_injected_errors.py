"""The kind catches a registry that acknowledges what it could not store, and one that does not heal."""

from __future__ import annotations

import re
from typing import TYPE_CHECKING

import pytest

from tests.faults import injection, strace
from tests.faults.acts import ACTS
from tests.faults.injected_errors import KIND, sweep
from tests.faults.report import Report

if TYPE_CHECKING:
    from pathlib import Path

pytestmark = pytest.mark.skipif(strace.missing() is not None, reason=str(strace.missing()))

SYNC_ERRORS_IGNORED = """
import os
from registry.store.upload_files import UploadFile
def keep(self):
    self._write_held()
    try:
        os.fdatasync(self._file())
    except OSError:
        pass
    self._kept = self.offset
UploadFile.keep = keep
"""

FAILED_COMMIT_ACKNOWLEDGED = """
from registry.store import writer
writer.fail_all = lambda jobs, error, kind: None
"""

ENDS_AT_AN_ERROR = """
import os
from registry.http import exchange
exchange.shortage = lambda error: os._exit(1)
"""


def lost(folder: Path, act: str, mistake: str) -> str:
    acts = [each for each in ACTS if each.name == act]
    report = Report(KIND)
    settings = injection.with_mistake(folder / "mistake", mistake)
    sweep(folder, report, acts, full=False, settings=settings, names={"fdatasync"})
    return "\n".join(report.lost)


def test_a_sync_whose_error_is_ignored(tmp_path: Path) -> None:
    assert "acknowledged with 201, and fdatasync of" in lost(tmp_path, "push", SYNC_ERRORS_IGNORED)


def test_a_commit_whose_error_is_ignored(tmp_path: Path) -> None:
    found = lost(tmp_path, "delete-tag", FAILED_COMMIT_ACKNOWLEDGED)
    assert re.search(r"delete-tag/\d+: tag one names sha256:\w+, not None", found)


def test_a_daemon_that_ends(tmp_path: Path) -> None:
    assert "the daemon ended" in lost(tmp_path, "begin", ENDS_AT_AN_ERROR)
