"""The kind catches a registry that keeps what it refused, that takes what does not fit, and that gives up."""

from __future__ import annotations

from typing import TYPE_CHECKING

import pytest

from tests.faults import full_disk
from tests.faults.descriptors import exhaust
from tests.faults.injection import with_mistake
from tests.faults.report import Report
from tests.faults.small_disk import why_not

if TYPE_CHECKING:
    from pathlib import Path

KEEPS_WHAT_WAS_REFUSED = """
from registry.store.files import Files
Files.remove_upload = lambda self, upload_id: None
"""

TAKES_WHAT_DOES_NOT_FIT = """
from registry.service.space import Space
async def require(self, length=0):
    pass
Space.require = require
"""

ENDS_WITHOUT_DESCRIPTORS = """
import errno, os
from registry.store.upload_files import UploadFile
file = UploadFile._file
def give_up(self):
    try:
        return file(self)
    except OSError as error:
        os._exit(1 if error.errno == errno.EMFILE else 2)
UploadFile._file = give_up
"""


def lost(folder: Path, mistake: str) -> str:
    if (reason := why_not(folder)) is not None:
        pytest.skip(reason)
    report = Report(full_disk.KIND)
    full_disk.fill(folder / "disk", report, 1, with_mistake(folder / "mistake", mistake), [full_disk.by_a_file])
    return "\n".join(report.lost)


def test_a_file_that_stays(tmp_path: Path) -> None:
    found = lost(tmp_path, KEEPS_WHAT_WAS_REFUSED)
    assert "uploads/" in found
    assert "is left" in found


def test_uploads_that_take_the_last_byte(tmp_path: Path) -> None:
    found = lost(tmp_path, TAKES_WHAT_DOES_NOT_FIT)
    assert "a push whose Content-Length does not fit is answered with b'HTTP/1.1 100 " in found


def test_a_daemon_that_gives_up(tmp_path: Path) -> None:
    report = Report(full_disk.KIND)
    exhaust(tmp_path, report, rounds=1, settings=with_mistake(tmp_path / "mistake", ENDS_WITHOUT_DESCRIPTORS))
    assert "the daemon ended with 1" in "\n".join(report.lost)
