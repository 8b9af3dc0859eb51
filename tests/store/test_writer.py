"""The group-committing writer: what it promises to one caller, to many, and when SQLite fails."""

from __future__ import annotations

import sqlite3
import threading
import time
from typing import TYPE_CHECKING, Any

import pytest
import trio
import trio.lowlevel
import trio.testing

from registry.store.database import Database
from registry.store.failures import DatabaseDamaged
from registry.store.hops import Hops
from tests.store.conftest import add, names, opened

if TYPE_CHECKING:
    from pathlib import Path

    from registry.store.transactions import ReadTx, WriteTx


async def test_callers_share_a_commit_and_one_that_fails_rolls_back_alone(database: Database) -> None:
    outcomes: dict[str, Any] = {}

    def add_and_fail(tx: WriteTx, name: str) -> None:
        add(tx, name)
        raise ValueError(name)

    async def write(name: str) -> None:
        try:
            outcomes[name] = await database.write(add_and_fail if name == "bad" else add, name)
        except ValueError as error:
            outcomes[name] = error

    before = database.read_now(commits)
    async with trio.open_nursery() as nursery:
        for name in ("first", "bad", "last"):
            nursery.start_soon(write, name)
    assert isinstance(outcomes["bad"], ValueError)
    assert database.read_now(names) == ["first", "last"]
    assert database.read_now(commits) <= before + 2


async def test_a_job_that_loses_the_whole_transaction_takes_no_success_with_it(database: Database) -> None:
    """SQLITE_FULL ends the transaction, savepoints included; a trigger's ROLLBACK does the same."""

    def lose(tx: WriteTx) -> None:
        tx.execute("CREATE TEMP TRIGGER lose BEFORE INSERT ON repository BEGIN SELECT RAISE(ROLLBACK, 'full'); END")
        add(tx, "lost")

    errors: list[str] = []
    told: list[str] = []

    async def write(function: Any, *args: Any) -> None:
        try:
            await database.write(function, *args)
            told.extend(args)
        except sqlite3.Error as error:
            errors.append(str(error))

    async with trio.open_nursery() as nursery:  # all are queued before the writer runs, in any order
        for name in ("a", "b", "c"):
            nursery.start_soon(write, add, name)
        nursery.start_soon(write, lose)
    assert set(errors) == {"the transaction was lost: full"}
    assert len(errors) + len(told) == 4
    assert database.read_now(names) == sorted(told)


async def test_a_cancelled_caller_has_queued_nothing(database: Database) -> None:
    with trio.CancelScope() as scope:
        scope.cancel()
        await database.write(add, "never")
    assert scope.cancelled_caught
    await database.write(add, "other")
    assert database.read_now(names) == ["other"]


async def test_a_caller_cancelled_while_it_waits_learns_its_outcome(database: Database) -> None:
    token = trio.lowlevel.current_trio_token()
    with trio.CancelScope() as scope:

        def add_and_cancel(tx: WriteTx) -> int:
            trio.from_thread.run_sync(scope.cancel, trio_token=token)
            return add(tx, "there")

        assert await database.write(add_and_cancel) == 1
        assert database.read_now(names) == ["there"]


def commits(tx: ReadTx) -> int:
    return tx.execute("SELECT commits FROM daemon").fetchone()[0]


class _FailingCommit:
    """A connection whose next COMMIT raises, either after it was carried out or instead of it."""

    def __init__(self, real: sqlite3.Connection, *, lands: bool) -> None:
        self._real = real
        self._lands = lands

    def execute(self, sql: str, *parameters: Any) -> sqlite3.Cursor:
        if sql != "COMMIT":
            return self._real.execute(sql, *parameters)
        if self._lands:
            self._real.execute(sql)
        error = sqlite3.OperationalError("disk I/O error")
        error.sqlite_errorcode = sqlite3.SQLITE_IOERR_FSYNC
        raise error

    def __getattr__(self, name: str) -> Any:
        return getattr(self._real, name)


@pytest.mark.parametrize("lands", [True, False])
async def test_a_commit_that_raised_is_asked_for_not_guessed(database: Database, *, lands: bool) -> None:
    await database.write(add, "before")
    assert database.recall_now(names) == ["before"]
    database._writer._connection = _FailingCommit(database._writer._connection, lands=lands)  # type: ignore[assignment]
    if lands:
        assert await database.write(add, "unknown") > 0
    else:
        with pytest.raises(sqlite3.OperationalError, match="disk I/O error"):
            await database.write(add, "unknown")
    assert database.recall_now(names) == database.ask_now(names)
    await database.write(add, "after")
    assert ("unknown" in database.read_now(names)) is lands
    assert {"before", "after"} <= set(database.read_now(names))
    assert database.recall_now(names) == database.ask_now(names)


class _SlowCommit:
    """A connection whose COMMIT of a repository takes long after it can be read: as where it checkpoints."""

    def __init__(self, real: sqlite3.Connection, go_on: threading.Event) -> None:
        self._real = real
        self._go_on = go_on
        self._has_repository = False

    def execute(self, sql: str, *parameters: Any) -> sqlite3.Cursor:
        cursor = self._real.execute(sql, *parameters)
        self._has_repository |= "INTO repository" in sql
        if sql == "COMMIT" and self._has_repository:
            self._go_on.wait()
        return cursor

    def __getattr__(self, name: str) -> Any:
        return getattr(self._real, name)


async def test_what_can_be_read_already_is_not_recalled_as_it_was(database: Database) -> None:
    go_on = threading.Event()
    database._writer._connection = _SlowCommit(database._writer._connection, go_on)  # type: ignore[assignment]
    assert database.recall_now(names) == []
    async with trio.open_nursery() as nursery:
        nursery.start_soon(database.write, add, "a")
        try:
            while not (read := database.ask_now(names)):
                await trio.lowlevel.checkpoint()
            assert database.recall_now(names) == read == ["a"]
        finally:
            go_on.set()
    assert database.recall_now(names) == ["a"]


async def test_damage_ends_the_writer_and_no_caller_is_told_of_success(tmp_path: Path) -> None:
    outcomes: list[BaseException] = []

    async def write(database: Database, name: str) -> None:
        try:
            await database.write(add, name)
        except sqlite3.Error as error:
            outcomes.append(error)

    async def damage_and_write() -> None:
        async with opened(tmp_path / "registry.db") as database:
            await database.write(_many_rows)
            database._writer._connection.execute("PRAGMA wal_checkpoint(TRUNCATE)")
            _damage(tmp_path / "registry.db")
            database._writer._connection = _FailingCommit(database._writer._connection, lands=True)  # type: ignore[assignment]
            await write(database, "x")

    with pytest.raises(ExceptionGroup) as caught:
        await damage_and_write()
    assert caught.group_contains(DatabaseDamaged, match="registry.db")
    assert [type(outcome.__cause__) for outcome in outcomes] == [DatabaseDamaged]


def _many_rows(tx: WriteTx) -> None:
    for number in range(2000):
        add(tx, f"repository-{number:05}")


def _damage(path: Path) -> None:
    """Overwrite the middle of pages in the middle of the file (its header and schema stay)."""
    with path.open("r+b") as file:
        for page in range(8, path.stat().st_size // 4096 - 2):
            file.seek(page * 4096 + 100)
            file.write(b"\xff" * 200)


async def test_damage_that_a_job_meets_is_looked_at_too(tmp_path: Path) -> None:
    async def read_damaged() -> None:
        async with opened(tmp_path / "registry.db") as database:
            await database.write(_many_rows)
            database._writer._connection.execute("PRAGMA wal_checkpoint(TRUNCATE)")
            _damage(tmp_path / "registry.db")
            database._writer._connection.execute("PRAGMA shrink_memory")
            with pytest.raises(sqlite3.Error):
                await database.write(names)
            await trio.sleep_forever()

    with pytest.raises(ExceptionGroup) as caught:
        await read_damaged()
    assert caught.group_contains(DatabaseDamaged)


async def test_a_group_ends_after_a_while_and_the_rest_goes_on(database: Database) -> None:
    commits_seen: list[int] = []

    def slow(tx: WriteTx, name: str) -> None:
        commits_seen.append(commits(tx))
        time.sleep(0.06)
        add(tx, name)

    async with trio.open_nursery() as nursery:
        for number in range(3):
            nursery.start_soon(database.write, slow, str(number))
    assert database.read_now(names) == ["0", "1", "2"]
    assert len(set(commits_seen)) == 3


async def test_callers_left_behind_when_the_writer_ends_get_an_error(tmp_path: Path) -> None:
    database = Database(tmp_path / "registry.db", Hops())
    await database.open()
    async with trio.open_nursery() as nursery:
        errors = []

        async def write() -> None:
            try:
                await database.write(add, "a")
            except sqlite3.OperationalError as error:
                errors.append(str(error))

        nursery.start_soon(write)
        await trio.testing.wait_all_tasks_blocked()
        with trio.CancelScope() as scope:
            scope.cancel()
            await database.run()
    assert errors == ["the database is closed"]
    await database.close()
