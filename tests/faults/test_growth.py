"""The kind catches a registry that keeps files, pages or memory."""

from __future__ import annotations

from typing import TYPE_CHECKING

import pytest

from tests.faults.growth import KIND, Amount, grow
from tests.faults.injection import with_mistake
from tests.faults.report import Report

if TYPE_CHECKING:
    from pathlib import Path

LITTLE = Amount(uploads=40, moves=640, age_seconds=1, patience_seconds=5)

KEEPS_FILES = """
from registry.store.files import Files
Files.remove_upload = lambda self, upload_id: None
"""

KEEPS_MEMORY = """
from registry.store import tags
kept, point = [], tags.point
def keep(*args):
    kept.append(b"k" * 60_000)
    point(*args)
tags.point = keep
"""

KEEPS_PAGES = """
from dataclasses import replace
from registry.store import garbage, tags
garbage.give_back_pages = lambda tx, pages: None
record = tags._record
def pad(tx, repository, tag, author, old, new):
    record(tx, repository, tag, replace(author, principal=author.principal * 3000), old, new)
tags._record = pad
"""


@pytest.mark.parametrize(
    ("mistake", "found"),
    [(KEEPS_FILES, "files: "), (KEEPS_MEMORY, "memory: "), (KEEPS_PAGES, "database: ")],
    ids=["files", "memory", "pages"],
)
def test_what_is_kept_is_found(tmp_path: Path, mistake: str, found: str) -> None:
    report = Report(KIND)
    grow(tmp_path, report, LITTLE, with_mistake(tmp_path / "mistake", mistake))
    assert found in "\n".join(report.lost)
    assert report.acknowledged > 640
