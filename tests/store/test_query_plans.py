"""Requests, and the steps of garbage collection, find their rows by an index, however much else there is.

The requests of the table of access, of which there is one at least for each method of each route, are sent, and SQLite
is asked how it runs each statement of theirs, with foreign keys and triggers. Likewise what garbage collection does in
transactions that write: while one runs, no other does.
"""

from __future__ import annotations

import re
import sqlite3
from contextlib import closing
from typing import TYPE_CHECKING, Any

import pytest

from registry.http.app import make_app
from registry.oci.media_types import OCI_IMAGE
from registry.service.policy import AccessPolicy, GarbagePolicy, Policy
from registry.service.principals import OPERATOR
from registry.service.registry import Registry, open_registry
from registry.store import schema
from registry.store.transactions import ReadTx, WriteTx
from tests.http import access_table
from tests.http.access_columns import Columns, principal_of
from tests.http.access_requests import MOUNTED, SOURCE, prepare, request_of
from tests.tools.asgi import Client
from tests.tools.content import CONFIG, descriptor, digest_of, image, index, push_blob, push_image, push_manifest
from tests.tools.life import DAY

if TYPE_CHECKING:
    from collections.abc import AsyncIterator, Iterable, Iterator
    from pathlib import Path

    from tests.tools.life import Life

ROWS = [*access_table.read(access_table.TABLE), *access_table.read(access_table.TOKEN)]

COLUMNS = ("all", "crea", "robo", "limi")
"""A user who may do everything, one whose rights are looked at closely, a robot, and a token."""

ALLOWED = {
    "SCAN CONSTANT ROW": "no table",
    "SCAN daemon": "has one row",
    "SCAN access_state": "has one row",
    "SCAN rule": "all rules are read once after each change of them, and kept",
    "SCAN group_member": "likewise",
    "SCAN upload USING INDEX upload_by_activity": "/metrics counts the uploads that are open",
    "SCAN orphan": "/metrics counts the files without a row",
    "SCAN manifest USING INDEX manifest_damaged": "a partial index: /metrics counts what is damaged",
    "SEARCH blob (damage>?)": "likewise",
    "SEARCH blob (condemned_clock_ms>?)": "a partial index: /metrics counts what goes after the horizon",
    "SEARCH repository_blob (unreferenced_clock_ms>?)": "a partial index: /metrics counts what goes after the grace",
    "SEARCH blob (verified_clock_ms<?)": "/metrics counts what waits for the scrub, seldom where that takes long",
    "SEARCH repository (name>?)": "a page of the catalog, in the order of the index",
    "SEARCH tag (repository_id=? AND name>?)": "a page of tags, in the order of the index",
    "SEARCH tag (repository_id=? AND name>? AND name<?)": "the tags that are about one manifest",
    "SEARCH account (kind=?)": "the time that a login takes whose user there is not is that of some user",
    "USE TEMP B-TREE FOR DISTINCT": "ten manifests that keep a blob from being deleted",
    "SCAN leading": "what leads to one manifest",
    "SCAN held": "what one manifest lists",
    "SCAN broken": "what needs something damaged",
    "SCAN tag_history": "the oldest thousand, by their ids",
}
"""What may be read without looking for one thing, and why that does not grow with the registry, or does no harm."""

NEW = "INSERT INTO repository "
"""SQLite looks for what refers to the new row, by its id alone; there is nothing."""

MANY = {"repository_id=?", "kind=?"}
"""What many rows may have in common."""

Statements = dict[str, tuple[Any, ...]]
"""Parameters by SQL."""


@pytest.fixture
def policy() -> Policy:
    return Policy(access=AccessPolicy(mode="token"))


@pytest.fixture
def _alone(monkeypatch: pytest.MonkeyPatch) -> None:
    """Without background tasks: what these execute belongs to nothing that a test does."""
    monkeypatch.setattr(Registry, "watches", lambda _: ())


@pytest.fixture
async def registry(tmp_path: Path, policy: Policy, _alone: None) -> AsyncIterator[Registry]:
    async with open_registry(tmp_path / "data", policy) as registry:
        yield registry


class Recorded(Statements):
    """What functions of the store execute; ``written`` is that of transactions that may write."""

    def __init__(self) -> None:
        self.written: Statements = {}


@pytest.fixture
def recorded(monkeypatch: pytest.MonkeyPatch) -> Recorded:
    """From now on."""
    found = Recorded()
    execute = ReadTx.execute

    def record(tx: ReadTx, sql: str, *parameters: Any) -> Any:
        found[sql] = parameters
        if isinstance(tx, WriteTx):
            found.written[sql] = parameters
        return execute(tx, sql, *parameters)

    monkeypatch.setattr(ReadTx, "execute", record)
    return found


async def statements_of(registry: Registry, recorded: Recorded, rows: Iterable[str]) -> dict[str, Statements]:
    """What each row executes, sent by all columns, one of which succeeds."""
    operator, client = Client(make_app(registry, OPERATOR)), Client(make_app(registry))
    await push_image(operator, SOURCE, "v1")
    await push_blob(operator, SOURCE, MOUNTED)
    columns = await Columns.make(registry)
    found: dict[str, Statements] = {}
    for number, row in enumerate(rows):
        statuses = []
        for column in COLUMNS:
            name = f"team/app{number}-{column}"
            upload = await prepare(registry, row, name, principal_of(column))
            headers, sent = await columns.headers(column, name), request_of(row, name, upload)
            body = columns.form(column, headers) if row == "POST token" else sent.body
            recorded.clear()
            more = {"Content-Type": sent.content_type} if sent.content_type else {}
            statuses.append((await client(sent.method, sent.target, body, {**headers, **more})).status)
            found[row] = {**found.get(row, {}), **recorded}
        assert min(statuses) < 300, (row, statuses)
    return found


def faults(found: dict[str, Statements], *, without: str | None = None) -> list[str]:
    """Steps that read more than they look for: the row of the table, the step, the statement."""
    with closing(sqlite3.connect(":memory:", isolation_level=None)) as connection:
        schema.migrate(connection)
        connection.execute("PRAGMA foreign_keys = ON")
        if without is not None:
            connection.execute(f"DROP INDEX {without}")
        return [
            f"{row}: {step}: {sql}"
            for row, statements in found.items()
            for sql, parameters in statements.items()
            for step in steps(connection, sql, parameters)
            if not is_narrow(step, sql)
        ]


def steps(connection: sqlite3.Connection, sql: str, parameters: tuple[Any, ...]) -> Iterator[str]:
    """Without the names of indexes, where rows are looked for in one (https://sqlite.org/eqp.html)."""
    plan = connection.execute(f"EXPLAIN QUERY PLAN {sql}", parameters).fetchall()
    for detail in (row[3] for row in plan):
        step = detail.replace("COVERING ", "")
        if "AUTOMATIC" in step:
            yield step
        elif step.startswith(("SCAN", "SEARCH", "USE")):
            yield re.sub(r"^(SEARCH \w+) USING .*(\(.*\))$", r"\1 \2", step)


def is_narrow(step: str, sql: str) -> bool:
    if step in ALLOWED:
        return True
    if not step.startswith("SEARCH") or "AUTOMATIC" in step:
        return False
    conditions = set(step[step.index("(") + 1 : -1].split(" AND "))
    if sql.startswith(NEW) and conditions <= MANY:
        return True
    return any(condition.endswith("=?") for condition in conditions - MANY)


async def test_no_request_reads_more_than_it_looks_for(registry: Registry, recorded: Recorded) -> None:
    found = await statements_of(registry, recorded, ROWS)
    assert len({sql for statements in found.values() for sql in statements}) > 50
    assert faults(found) == []


MISSED = {
    "edge_by_blob": "DELETE manifest digest",
    "edge_by_digest": "DELETE blob",
    "manifest_by_subject": "GET referrers",
    "repository_blob_by_blob": "POST uploads anywhere",
    "tag_by_manifest": "DELETE manifest digest",
}
"""Indexes, and which request misses each."""


async def test_an_index_that_is_not_there_is_missed(registry: Registry, recorded: Recorded) -> None:
    found = await statements_of(registry, recorded, dict.fromkeys(MISSED.values()))
    assert faults(found) == []
    for name, row in MISSED.items():
        table = name.partition("_by_")[0]
        missed = faults(found, without=name)
        assert [fault for fault in missed if fault.startswith((f"{row}: SCAN {table}", f"{row}: SEARCH {table}"))], (
            index
        )


@pytest.mark.usefixtures("_alone")
async def test_no_step_of_garbage_collection_reads_more_than_it_looks_for(life: Life, recorded: Recorded) -> None:
    garbage = GarbagePolicy(untagged_after_seconds=DAY, collect_orphaned_tags=True, history_seconds=DAY)
    async with life.opened(garbage) as opened:
        child = image(b"1")
        for content in (CONFIG, b"1", b"unused"):
            await push_blob(opened.client, "team/app", content)
        for untagged in (child, index(child), image(b"1", subject=descriptor(child, OCI_IMAGE))):
            await push_manifest(opened.client, "team/app", digest_of(untagged), untagged)
        await push_image(opened.client, "team/app", f"sha256-{'0' * 64}.sig", b"signature")
        recorded.written.clear()
        totals = []
        for _ in range(6):
            life.go_on(30 * DAY)
            totals.append(await opened.registry.garbage.run(walk=True))
    assert sum(each.manifests for each in totals) == 4
    assert sum(each.tags for each in totals) == 1
    assert sum(each.removed_blobs for each in totals) == 4
    found = {"garbage collection": recorded.written}
    assert faults(found) == []
    for name in ("edge_by_blob", "edge_by_digest", "repository_blob_by_blob", "tag_by_manifest"):
        assert faults(found, without=name), name
