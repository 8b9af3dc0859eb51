"""The questions of fsck to the database alone."""

from __future__ import annotations

import sqlite3
from contextlib import closing
from typing import TYPE_CHECKING

from registry.oci.digests import Digest
from registry.oci.names import RepositoryName
from registry.oci.upload import Upload
from registry.store import blobs, check, damage, uploads
from registry.store.check import BlobRow, Finding
from tests.store.conftest import opened
from tests.tools.content import digest_of

if TYPE_CHECKING:
    from pathlib import Path

    from registry.store.database import Database

NAME = RepositoryName.parse("team/app")


async def test_an_empty_database_is_as_this_release_makes_it(database: Database, tmp_path: Path) -> None:
    assert check.sqlite_findings(tmp_path / "registry.db") == []
    assert await database.read(check.row_findings) == []
    assert await database.read(check.totals) == (0, 0)


async def test_a_schema_that_was_changed_is_named(tmp_path: Path) -> None:
    path = tmp_path / "registry.db"
    async with opened(path):
        pass
    with closing(sqlite3.connect(path)) as connection:
        connection.executescript("DROP INDEX manifest_unreachable; CREATE TABLE more (x); DROP TABLE tag_history")
    assert {finding.subject for finding in check.sqlite_findings(path)} == {
        "manifest_unreachable",
        "more",
        "tag_history",
        "tag_history_by_tag",
    }


def test_what_is_no_database_is_a_finding(tmp_path: Path) -> None:
    path = tmp_path / "registry.db"
    path.write_bytes(b"x" * 8192)
    assert check.sqlite_findings(path) == [Finding("registry.db", "file is not a database")]


async def test_blobs_come_in_pages_of_all_there_are(database: Database) -> None:
    digests = sorted(digest_of(b"%d" % number) for number in range(1203))

    def add(tx: object) -> None:
        for digest in digests:
            blobs.add(tx, NAME, Digest.parse(digest), 2, lease_ms=0)  # type: ignore[arg-type]

    await database.write(add)
    await database.write(damage.set_damage, Digest.parse(digests[0]), "missing")
    await database.write(blobs.unlink, NAME, Digest.parse(digests[1]))
    found: list[BlobRow] = []
    while page := await database.read(check.list_blobs, after=str(found[-1].digest) if found else ""):
        found += page
    assert [str(row.digest) for row in found] == digests
    assert [(row.size, row.damage, row.is_condemned) for row in found[:3]] == [
        (2, "missing", False),
        (2, None, True),
        (2, None, False),
    ]
    assert await database.read(check.find_blob, found[1].digest) == found[1]
    assert await database.read(check.find_blob, Digest.parse(digest_of(b"none"))) is None
    assert await database.read(check.totals) == (1203, 2406)


async def test_sessions_without_bytes_need_no_file(database: Database) -> None:
    for upload_id, offset in (("a", 0), ("b", 7)):
        await database.write(uploads.add, Upload(upload_id, NAME, "sha256", offset), "anybody")
    assert await database.read(check.list_uploads) == [("b", 7)]
