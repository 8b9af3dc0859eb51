"""Who waits while a group of files is brought to the disk is in the next one."""

from __future__ import annotations

import sqlite3
from contextlib import asynccontextmanager
from pathlib import Path
from typing import TYPE_CHECKING, Any

import trio
import trio.testing

from registry.oci.digests import ContentHash
from registry.service.publishing import Publisher
from registry.store.files import Files
from registry.store.hops import Hops
from registry.store.upload_files import Publication
from tests.store.conftest import add, names, opened

if TYPE_CHECKING:
    from collections.abc import AsyncIterator, Sequence

    from registry.store.database import Database
    from registry.store.transactions import WriteTx


class Groups(Hops):
    """Hops that wait until they may go on, and note which files they are for."""

    def __init__(self) -> None:
        super().__init__(inline=True)
        self.seen: list[list[str]] = []
        self.go_on = trio.Semaphore(0)
        self.fails = False

    async def __call__(self, function: Any, *args: Any, **kwargs: Any) -> Any:
        publications: Sequence[Publication] = args[0]
        self.seen.append([Path(each.file.path).name for each in publications])
        await self.go_on.acquire()
        if self.fails:
            raise OSError("no thread")
        return await super().__call__(function, *args, **kwargs)


class Desk:
    """A publisher and its database; what came of each name that was published."""

    def __init__(self, folder: Path, database: Database) -> None:
        self.hops = Groups()
        self.database = database
        self.files = Files(folder)
        self.files.prepare()
        self.publisher = Publisher(self.files, self.hops, database)
        self.told: dict[str, Exception | None] = {}

    async def publish(self, name: str, record: Any = None) -> None:
        file, running = self.files.new_upload(name, lambda _: None), ContentHash("sha256")
        file.hold(name.encode(), running)
        try:
            await self.publisher.publish(Publication(file, running.digest()), record or add_row, name)
        except Exception as error:  # noqa: BLE001 (a test looks at it)
            self.told[name] = error
        else:
            self.told[name] = None


def add_row(tx: WriteTx, name: str) -> None:
    add(tx, name)


@asynccontextmanager
async def desk_in(folder: Path) -> AsyncIterator[tuple[Desk, trio.Nursery]]:
    async with opened(folder / "registry.db") as database:
        desk = Desk(folder, database)
        async with trio.open_nursery() as background:
            background.start_soon(desk.publisher.run)
            async with trio.open_nursery() as nursery:
                yield desk, nursery
            background.cancel_scope.cancel()


async def test_those_who_wait_are_published_together(tmp_path: Path) -> None:
    async with desk_in(tmp_path) as (desk, nursery):
        for name in "abcd":
            nursery.start_soon(desk.publish, name)
            await trio.testing.wait_all_tasks_blocked()
        desk.hops.go_on.release()
        await trio.testing.wait_all_tasks_blocked()
        nursery.start_soon(desk.publish, "e")
        await trio.testing.wait_all_tasks_blocked()
        desk.hops.go_on.release()
        desk.hops.go_on.release()
    assert desk.hops.seen == [["a"], ["b", "c", "d"], ["e"]]
    assert desk.told == dict.fromkeys("abcde")
    assert len(list((tmp_path / "blobs/sha256").iterdir())) == 5


async def test_each_learns_of_its_own_transaction(tmp_path: Path) -> None:
    def refuse(tx: WriteTx, name: str) -> None:
        add(tx, name)
        raise ValueError(name)

    async with desk_in(tmp_path) as (desk, nursery):
        for name in "abc":
            nursery.start_soon(desk.publish, name, refuse if name == "b" else None)
        desk.hops.go_on.release()
        desk.hops.go_on.release()
        desk.hops.go_on.release()
    assert (desk.told["a"], desk.told["c"]) == (None, None)
    assert isinstance(desk.told["b"], ValueError)


async def test_nobody_has_a_row_whose_group_was_not_tried(tmp_path: Path) -> None:
    async with desk_in(tmp_path) as (desk, nursery):
        desk.hops.fails = True
        for name in "abc":
            nursery.start_soon(desk.publish, name)
            await trio.testing.wait_all_tasks_blocked()
        desk.hops.go_on.release()
        desk.hops.go_on.release()
        await trio.testing.wait_all_tasks_blocked()
        desk.hops.fails = False
        nursery.start_soon(desk.publish, "d")
        desk.hops.go_on.release()
    assert {name: str(error) for name, error in desk.told.items()} == {**dict.fromkeys("abc", "no thread"), "d": "None"}
    async with opened(tmp_path / "registry.db") as database:
        assert database.read_now(names) == ["d"]
    assert len(list((tmp_path / "blobs/sha256").iterdir())) == 1


async def test_who_is_cancelled_while_the_file_is_published_learns_what_came_of_it(tmp_path: Path) -> None:
    async with desk_in(tmp_path) as (desk, nursery):
        scope = trio.CancelScope()

        async def publish_in_scope() -> None:
            with scope:
                await desk.publish("a")

        nursery.start_soon(publish_in_scope)
        await trio.testing.wait_all_tasks_blocked()
        scope.cancel()
        await trio.testing.wait_all_tasks_blocked()
        assert desk.told == {}
        desk.hops.go_on.release()
    assert desk.told == {"a": None}


async def test_what_waits_when_the_publisher_ends_is_told_so(tmp_path: Path) -> None:
    async with desk_in(tmp_path) as (desk, _):
        publisher = Publisher(desk.files, desk.hops, desk.database)
        desk.publisher = publisher
        async with trio.open_nursery() as nursery:
            nursery.start_soon(desk.publish, "a")
            await trio.testing.wait_all_tasks_blocked()
            with trio.CancelScope() as scope:
                scope.cancel()
                await publisher.run()
        await desk.publish("b")
    assert {name: type(error) for name, error in desk.told.items()} == dict.fromkeys("ab", sqlite3.OperationalError)
