"""The commands that look after the database file, on a running daemon and where none runs."""

from __future__ import annotations

import os
import sqlite3
from contextlib import closing
from typing import TYPE_CHECKING

import pytest

from tests.test_accounts import cargohold, document, said
from tests.tools.content import index
from tests.tools.daemon import running

if TYPE_CHECKING:
    from pathlib import Path

KEPT = 128 * 4096
TYPE = {"Content-Type": "application/vnd.oci.image.index.v1+json"}


@pytest.mark.parametrize("is_running", [True, False], ids=["running", "none"])
def test_what_is_unused_is_given_back(tmp_path: Path, is_running: bool) -> None:
    with running(tmp_path / "data") as daemon:
        before = document(daemon.data, "db", "size")
        for number in range(3):
            manifest = index(annotations={"n": os.urandom(1_000_000).hex()})
            assert daemon.request("PUT", f"/v2/team/app/manifests/{number}", manifest, TYPE)[0] == 201
        full = document(daemon.data, "db", "size")
        assert full["manifest_bytes"] > 6_000_000
        assert 3_000_000 < full["stored_bytes"] < 3_500_000
        assert full["rows"]["tag"] == 3
        assert "stored in 3," in said(daemon.data, "db", "size")
        said(daemon.data, "repo", "delete", "team/app", "--yes")
        unused = document(daemon.data, "db", "size")
        assert unused["unused_bytes"] > 3_000_000
        if not is_running:
            daemon.stop()
        after = document(daemon.data, "db", "vacuum")
        assert KEPT // 2 <= after["unused_bytes"] <= KEPT == after["kept_bytes"]
        assert after["bytes"] <= before["bytes"] + KEPT
        assert document(daemon.data, "db", "vacuum") == after
        assert said(daemon.data, "db", "check") == "the database is sound\n"


def test_a_schema_that_is_not_ours_is_found(tmp_path: Path) -> None:
    data = tmp_path / "data"
    assert said(data, "db", "check") == "the database is sound\n"
    with closing(sqlite3.connect(data / "registry.db")) as connection:
        connection.execute("CREATE INDEX more ON blob (size)")
    done = cargohold(data, "db", "check")
    assert (done.exit_code, done.stdout) == (1, "more is not as the schema of this release has it\n")
