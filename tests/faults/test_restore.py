"""The kind catches a stale log that is replayed, a restoration that goes unnoticed, and a sweep that does not wait."""

from __future__ import annotations

import random
from typing import TYPE_CHECKING

import pytest

from tests.faults.injection import with_mistake
from tests.faults.restore import Restoring
from tests.faults.restore_ways import WAYS, at_any_moment, to_the_first_snapshot, while_a_snapshot_is_written

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping
    from pathlib import Path

    from tests.faults.ledger import Ledger

    Way = Callable[[Restoring, str], Ledger]

KEEPS_THE_WAL = """
from registry.store import snapshot
snapshot.set_aside_wal = lambda database: []
"""

NOTICES_NOTHING = """
from registry.store import mark
mark.is_restored = lambda *_, **__: False
"""

SWEEPS_AT_ONCE = """
from registry.service.garbage import Garbage
Garbage._require_unpaused = lambda self: None
"""

WRITES_IN_PLACE = """
import os, sqlite3
from registry.store import snapshot
take = snapshot.take
def in_place(database, target, **limits):
    whole = target.with_name("whole.db")
    take(database, whole, **limits)
    new = target.with_name("registry.db.new")
    new.touch()
    with target.open("wb", buffering=0) as file:
        for byte in range(0, whole.stat().st_size, 512):
            file.write(whole.read_bytes()[byte:byte + 512])
            os.fsync(file.fileno())
    new.unlink()
snapshot.take = in_place
"""


def lost(folder: Path, settings: Mapping[str, str], way: Way) -> str:
    restoring = Restoring(folder / "data", random.Random(3), settings)
    return "\n".join(restoring.round("round", way))


@pytest.mark.parametrize("way", WAYS)
def test_nothing_is_lost(tmp_path: Path, way: Way) -> None:
    assert not lost(tmp_path, {}, way)


def test_a_log_that_is_replayed(tmp_path: Path) -> None:
    found = lost(tmp_path, with_mistake(tmp_path / "mistake", KEEPS_THE_WAL), at_any_moment)
    assert "the start on the snapshot ends" in found


def test_a_restoration_that_goes_unnoticed(tmp_path: Path) -> None:
    found = lost(tmp_path, with_mistake(tmp_path / "mistake", NOTICES_NOTHING), to_the_first_snapshot)
    assert "does not say that it was restored" in found


def test_a_sweep_that_does_not_wait(tmp_path: Path) -> None:
    found = lost(tmp_path, with_mistake(tmp_path / "mistake", SWEEPS_AT_ONCE), to_the_first_snapshot)
    assert "garbage is collected before recover" in found
    assert "swept before recover" in found


def test_a_snapshot_that_is_not_whole(tmp_path: Path) -> None:
    found = lost(tmp_path, with_mistake(tmp_path / "mistake", WRITES_IN_PLACE), while_a_snapshot_is_written)
    assert "the snapshot: " in found
