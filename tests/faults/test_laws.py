from __future__ import annotations

import sqlite3
from contextlib import closing
from typing import TYPE_CHECKING

import pytest

from tests.faults.laws import broken_laws
from tests.faults.ledger import Ledger
from tests.tools.content import digest_of
from tests.tools.daemon import running

if TYPE_CHECKING:
    from pathlib import Path

BLOB = b"some content"


@pytest.fixture
def data(tmp_path: Path) -> Path:
    """Left by a killed daemon, which had one blob and one upload of five bytes."""
    with running(tmp_path / "data") as daemon:
        ledger = Ledger(daemon)
        session = ledger.begin("name")
        assert session is not None
        assert (ledger.push("name", BLOB), ledger.append(session, b"12345")) == (201, 202)
    return tmp_path / "data"


def test_a_killed_daemon_leaves_what_is_right(data: Path) -> None:
    before = sorted(path.name for path in data.iterdir())
    assert broken_laws(data) == []
    assert sorted(path.name for path in data.iterdir()) == before
    assert broken_laws(data / "nothing") == []


def test_a_row_without_its_file_is_found(data: Path) -> None:
    path = data / "blobs" / digest_of(BLOB).replace(":", "/")
    path.write_bytes(b"")
    assert broken_laws(data) == [f"blob {digest_of(BLOB)} has a row with 12 bytes and a file with 0"]
    path.unlink()
    assert broken_laws(data) == [f"blob {digest_of(BLOB)} has a row with 12 bytes and a file with None"]


def test_an_upload_shorter_than_its_row_is_found(data: Path) -> None:
    (path,) = (data / "uploads").iterdir()
    path.write_bytes(b"1234")
    assert broken_laws(data) == [f"upload {path.name} is at 5 in 4 bytes"]


def test_damage_is_found(data: Path) -> None:
    with closing(sqlite3.connect(data / "registry.db")) as opened:
        opened.execute("PRAGMA wal_checkpoint(TRUNCATE)")
    database = bytearray((data / "registry.db").read_bytes())
    database[3 * 4096 : 4 * 4096] = b"?" * 4096
    (data / "registry.db").write_bytes(database)
    assert any("registry.db: " in sentence for sentence in broken_laws(data))
