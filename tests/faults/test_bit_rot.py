"""The kind catches a registry that serves what it did not verify, and a check that does not look."""

from __future__ import annotations

import random
from typing import TYPE_CHECKING

from tests.faults.bit_rot import KIND, VERIFYING, Shelf, rot_content, rot_pages
from tests.faults.injection import with_mistake
from tests.faults.report import Report

if TYPE_CHECKING:
    from collections.abc import Mapping
    from pathlib import Path

TRUSTING = {**VERIFYING, "CARGOHOLD_SCRUB__VERIFIED_SECONDS": "1000000"}

DOES_NOT_LOOK = """
from registry.service.check import Check
async def nothing(self, row):
    return None
Check._check_content = nothing
"""

KEEPS_THE_BAD_FILE = """
import os
from registry.store.files import Files
publish = Files.publish
def keep(self, publications):
    for publication in publications:
        if self._blob_path(publication.digest).exists():
            publication.file.keep()
            os.unlink(publication.file.path)
            publication.is_durable = True
        else:
            publish(self, [publication])
Files.publish = keep
"""


def lost(folder: Path, settings: Mapping[str, str]) -> str:
    report = Report(KIND)
    with Shelf(folder / "data", random.Random(5), {**VERIFYING, **settings}) as shelf:
        rot_content(shelf, report, 20)
    assert report.states == 20
    return "\n".join(report.lost)


def test_content_that_is_not_verified(tmp_path: Path) -> None:
    assert "is answered with 200 b'" in lost(tmp_path, TRUSTING)


def test_a_check_that_does_not_look(tmp_path: Path) -> None:
    assert "is not found by fsck" in lost(tmp_path, with_mistake(tmp_path / "mistake", DOES_NOT_LOOK))


def test_a_push_that_does_not_heal(tmp_path: Path) -> None:
    found = lost(tmp_path, with_mistake(tmp_path / "mistake", KEEPS_THE_BAD_FILE))
    assert "pushed again, is answered with" in found


def test_a_database_that_nobody_checks(tmp_path: Path) -> None:
    blind = "from registry.service import check\ncheck.Check.step = lambda self, *_, **__: nothing()\n"
    blind += "async def nothing():\n    return check.Step()\n"
    report = Report(KIND)
    with Shelf(tmp_path / "data", random.Random(5), with_mistake(tmp_path / "mistake", blind)) as shelf:
        rot_pages(shelf, report, 6)
    assert "and fsck finds nothing" in "\n".join(report.lost)
