"""The kind catches a registry that holds in memory what passes through it."""

from __future__ import annotations

from typing import TYPE_CHECKING

from tests.faults.crowd import KIND, gather
from tests.faults.injection import with_mistake
from tests.faults.report import Report

if TYPE_CHECKING:
    from pathlib import Path

KEEPS_BODIES = """
from registry.store.upload_files import UploadFile
append = UploadFile.append
kept = []
def keep(self, piece, content_hash):
    kept.append(bytes(piece))
    append(self, piece, content_hash)
UploadFile.append = keep
"""

MIXES_PULLS_UP = """
from registry.http.wire import Wire
send_file = Wire.send_file
def wrong(self, descriptor, start, length):
    return send_file(self, descriptor, max(start - 4096, 0), length)
Wire.send_file = wrong
"""

MIB = 1024 * 1024


def lost(folder: Path, mistake: str, size: int) -> str:
    report = Report(KIND)
    gather(folder / "data", report, size, with_mistake(folder / "mistake", mistake))
    return "\n".join(report.lost)


def test_bodies_that_are_kept(tmp_path: Path) -> None:
    found = lost(tmp_path, KEEPS_BODIES, 4 * MIB)
    assert "most is 256 MiB" in found or "the daemon ended" in found or "is not answered" in found


def test_pulls_of_other_bytes(tmp_path: Path) -> None:
    assert "is wrong" in lost(tmp_path, MIXES_PULLS_UP, MIB)
