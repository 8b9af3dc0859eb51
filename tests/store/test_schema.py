"""Migrations: what a database of an earlier release holds is kept, and marked as garbage collection needs it."""

from __future__ import annotations

import sqlite3
from contextlib import closing
from importlib import resources
from typing import TYPE_CHECKING

import pytest
from sqlite_utils import Database as Utils
from sqlite_utils.migrations import Migrations

from registry.oci.digests import Digest
from registry.service.garbage import Totals
from registry.store import check, manifests, schema
from tests.store.conftest import opened
from tests.tools.content import CONFIG, digest_of, image, index
from tests.tools.life import DAY, Life

if TYPE_CHECKING:
    from pathlib import Path

CACHE = b"listed by an index"
BLOBS = {b: number for number, b in enumerate((CONFIG, b"layer", b"unused", b"unlinked", b"elsewhere", CACHE), 1)}
BASE = image(b"layer")
BASE_DIGEST = Digest.of(BASE)
SPARSE = image(b"elsewhere", b"nowhere")
ALL = index(BASE)
LINKS = [(1, CONFIG), (1, b"layer"), (1, b"unused"), (2, CONFIG), (2, b"elsewhere"), (2, b"layer"), (1, CACHE)]
EDGES = [
    (1, "config", CONFIG, CONFIG),
    (1, "layer", b"layer", b"layer"),
    (2, "config", CONFIG, CONFIG),
    (2, "layer", b"elsewhere", b"elsewhere"),  # the registry has it, this repository does not
    (2, "layer", b"nowhere", None),
    (3, "child", BASE, None),
    (3, "child", CACHE, CACHE),
]
UPLOAD = "11111111-2222-4333-8444-555555555555"


def write_first_schema(path: Path) -> None:
    """A database as the release with the first migration alone left it."""
    with closing(sqlite3.connect(path)) as connection:
        migrations = Migrations("cargohold")

        @migrations(name="0001_core")
        def core(database: Utils) -> None:
            schema._run_script(resources.files("registry.migrations").joinpath("0001_core.sql").read_text(), database)

        migrations.apply(Utils(connection))
        connection.execute("UPDATE commit_counter SET commits = 41")
        connection.executemany("INSERT INTO repository VALUES (?, ?, 1)", [(1, "team/app"), (2, "other/app")])
        for content, number in BLOBS.items():
            connection.execute("INSERT INTO blob VALUES (?, ?, ?, 1)", (number, digest_of(content), len(content)))
        for repository, content in LINKS:
            connection.execute("INSERT INTO repository_blob VALUES (?, ?, 1)", (repository, BLOBS[content]))
        for number, body in enumerate((BASE, SPARSE, ALL), 1):
            values = (number, digest_of(body), "application/x", len(body))
            connection.execute("INSERT INTO manifest VALUES (?, 1, ?, ?, ?, NULL, NULL, NULL, 1)", values)
            connection.execute("INSERT INTO manifest_body VALUES (?, ?)", (number, body))
        for manifest, kind, content, bound in EDGES:
            blob = None if bound is None else BLOBS[bound]
            connection.execute("INSERT INTO edge VALUES (?, ?, ?, ?)", (manifest, kind, digest_of(content), blob))
        connection.executemany("INSERT INTO tag VALUES (1, ?, ?)", [("1", 1), ("sparse", 2)])
        connection.execute("INSERT INTO tag_history VALUES (1, 1, '1', 5, 'me', NULL, ?)", (digest_of(BASE),))
        connection.execute("INSERT INTO upload VALUES (?, 'team/app', 'anybody', 'sha256', 4, 1, 1)", (UPLOAD,))
        connection.commit()
        connection.execute("PRAGMA journal_mode = WAL")


def rows(path: Path, sql: str) -> list[tuple[object, ...]]:
    with closing(sqlite3.connect(path)) as connection:
        return connection.execute(sql).fetchall()


async def test_everything_is_kept_and_marked_right(tmp_path: Path) -> None:
    path = tmp_path / "registry.db"
    write_first_schema(path)
    kept = {
        sql: rows(path, sql)
        for sql in (
            "SELECT * FROM repository",
            "SELECT id, digest, size, created_ms FROM blob",
            "SELECT repository_id, blob_id, linked_ms FROM repository_blob ORDER BY 1, 2",
            "SELECT id, repository_id, digest, media_type, size, pushed_ms FROM manifest",
            "SELECT manifest_id, body FROM manifest_body",
            "SELECT manifest_id, kind, digest FROM edge ORDER BY 1, 2, 3",
            "SELECT repository_id, name, manifest_id FROM tag ORDER BY 1, 2",
            "SELECT id, repository_id, tag, changed_ms, principal, old_digest, new_digest FROM tag_history",
            'SELECT id, repository, principal, algorithm, "offset", created_ms FROM upload',
        )
    }
    async with opened(path) as database:
        assert await database.read(check.row_findings) == []
        assert check.sqlite_findings(path) == []
        assert await database.read(lambda tx: manifests.read_body(tx, 1, BASE_DIGEST, len(BASE))) == BASE
    assert {sql: rows(path, sql) for sql in kept} == kept
    assert rows(path, "SELECT commits FROM daemon") == [(41,)]
    unreferenced = "SELECT repository_id, blob_id FROM repository_blob WHERE unreferenced_clock_ms = 0"
    assert set(rows(path, unreferenced)) == {(1, 3), (2, 1), (2, 2), (2, 5)}
    assert rows(path, "SELECT digest FROM blob WHERE condemned_clock_ms IS NOT NULL") == [(digest_of(b"unlinked"),)]
    bound = "SELECT manifest_id, blob_id FROM edge WHERE blob_id IS NOT NULL ORDER BY 1, 2"
    assert rows(path, bound) == [(1, 1), (1, 2), (2, 1), (3, BLOBS[CACHE])]


async def test_a_snapshot_is_taken_before_and_can_be_put_back(tmp_path: Path) -> None:
    path, kept = tmp_path / "registry.db", tmp_path / "backup" / "registry.db"
    write_first_schema(path)
    async with opened(path):
        pass
    first = kept.read_bytes()
    assert rows(kept, "SELECT commits FROM commit_counter") == [(41,)]
    async with opened(path):
        pass
    assert kept.read_bytes() == first
    path.write_bytes(first)
    async with opened(path) as database:
        assert await database.read(check.row_findings) == []


async def test_a_first_start_that_was_killed_before_the_index_of_the_migrations_is_completed(tmp_path: Path) -> None:
    path = tmp_path / "registry.db"
    with closing(sqlite3.connect(path, isolation_level=None)) as connection:
        Migrations("cargohold").ensure_migrations_table(Utils(connection))
        connection.execute("DROP INDEX idx__sqlite_migrations_migration_set_name")
    for _ in "started", "and started again":
        async with opened(path):
            assert check.sqlite_findings(path) == []


async def test_a_table_of_migrations_that_lost_a_column_is_damage(tmp_path: Path) -> None:
    path = tmp_path / "registry.db"
    async with opened(path):
        pass
    with closing(sqlite3.connect(path, isolation_level=None)) as connection:
        connection.execute("ALTER TABLE _sqlite_migrations RENAME COLUMN applied_at TO applyed_at")
    with pytest.raises(sqlite3.DatabaseError, match="damaged: its table _sqlite_migrations has no column 'applied_at'"):
        async with opened(path):
            pytest.fail("it was opened")


async def test_the_registry_goes_on_with_it(life: Life) -> None:
    life.data.mkdir()
    write_first_schema(life.data / "registry.db")
    for content in BLOBS:
        life.blob(digest_of(content)).parent.mkdir(parents=True, exist_ok=True)
        life.blob(digest_of(content)).write_bytes(content)
    (life.data / "uploads").mkdir()
    (life.data / "uploads" / UPLOAD).write_bytes(b"half")
    async with life.opened() as opened:
        assert not opened.registry.restoration.is_open
        assert (await opened.client("GET", "/v2/team/app/manifests/1")).body == BASE
        life.go_on(DAY - 1)
        assert await opened.registry.garbage.run(walk=True) == Totals()
        life.go_on(1)
        condemned = len(b"unused") + len(b"elsewhere")
        totals = await opened.registry.garbage.run(walk=True)
        assert totals == Totals(links=4, condemned_blobs=2, condemned_bytes=condemned)
        life.go_on(6 * DAY)
        totals = await opened.registry.garbage.run(walk=True)
        assert totals == Totals(removed_blobs=1, removed_bytes=len(b"unlinked"))


async def test_an_old_snapshot_beside_the_blobs_of_the_new_release_is_the_past(life: Life) -> None:
    life.data.mkdir()
    write_first_schema(life.data / "registry.db")
    async with life.opened():
        died = life.died()
    died.restore()
    async with died.opened() as opened:
        assert opened.registry.restoration.is_open
        assert (await opened.client("GET", f"/v2/team/app/manifests/{digest_of(ALL)}")).body == ALL


def test_a_database_of_a_later_release_is_refused(tmp_path: Path) -> None:
    with closing(sqlite3.connect(tmp_path / "registry.db", isolation_level=None)) as connection:
        schema.migrate(connection)
        assert not schema.is_outdated(connection)
        later = Migrations("cargohold")
        later(name="9999_later")(lambda database: None)
        later.apply(Utils(connection))
        with pytest.raises(schema.DatabaseTooNew, match="9999_later"):
            schema.migrate(connection)
