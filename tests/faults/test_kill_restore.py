from __future__ import annotations

from typing import TYPE_CHECKING

import pytest

from tests.faults import strace
from tests.faults.kill_restore import Kills
from tests.faults.strace import Point

if TYPE_CHECKING:
    from pathlib import Path

pytestmark = pytest.mark.skipif(strace.missing() is not None, reason=str(strace.missing()))

WAL_FORGOTTEN = """
from registry import cli
from registry.store import backups
def keep(database, aside):
    aside.hardlink_to(database)
    return [aside]
backups._keep = keep
cli.main()
"""
"""The -wal is not kept before the snapshot stands in the place of its database."""


def test_a_kill_is_seen_and_loses_nothing(tmp_path: Path) -> None:
    kills = Kills(tmp_path)
    last = Point("unlink", kills.counts()["unlink"])
    assert kills.kill(Point("link", 2), is_repeated=False)
    assert kills.kill(last, is_repeated=True)
    assert not kills.kill(Point("link", 99), is_repeated=False)
    assert (kills.report.states, kills.report.lost) == (2, [])


def test_a_wal_that_is_not_kept_with_its_database_is_found(tmp_path: Path) -> None:
    kills = Kills(tmp_path, ("-c", WAL_FORGOTTEN))
    assert kills.kill(Point("rename", 3), is_repeated=True)
    assert any("of the database before there is" in sentence for sentence in kills.report.lost)
