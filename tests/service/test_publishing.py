"""Who waits while a group of files is brought to the disk is in the next one."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import pytest
import trio
import trio.testing

from registry.oci.digests import ContentHash
from registry.service.publishing import Publisher
from registry.store.files import Files
from registry.store.hops import Hops
from registry.store.upload_files import Publication

if TYPE_CHECKING:
    from collections.abc import Sequence
    from pathlib import Path


class Groups(Hops):
    """Hops that wait until they may go on, and note which files they are for."""

    def __init__(self) -> None:
        super().__init__(inline=True)
        self.seen: list[list[str]] = []
        self.go_on = trio.Semaphore(0)
        self.fails = False

    async def __call__(self, function: Any, *args: Any, **kwargs: Any) -> Any:
        publications: Sequence[Publication] = args[0]
        self.seen.append([each.file.path.name for each in publications])
        await self.go_on.acquire()
        if self.fails:
            raise OSError("no thread")
        return await super().__call__(function, *args, **kwargs)


async def publish(files: Files, publisher: Publisher, name: str) -> None:
    file, running = files.new_upload(name, lambda _: None), ContentHash("sha256")
    file.hold(name.encode(), running)
    await publisher.publish(Publication(file, running.digest()))


async def test_those_who_wait_are_published_together(tmp_path: Path) -> None:
    files, hops = Files(tmp_path), Groups()
    files.prepare()
    publisher = Publisher(files, hops)
    async with trio.open_nursery() as nursery:
        for name in "abcd":
            nursery.start_soon(publish, files, publisher, name)
            await trio.testing.wait_all_tasks_blocked()
        hops.go_on.release()
        await trio.testing.wait_all_tasks_blocked()
        nursery.start_soon(publish, files, publisher, "e")
        await trio.testing.wait_all_tasks_blocked()
        hops.go_on.release()
        hops.go_on.release()
    assert hops.seen == [["a"], ["b", "c", "d"], ["e"]]
    assert len(list((tmp_path / "blobs/sha256").iterdir())) == 5


async def test_a_group_that_was_not_tried_is_durable_for_nobody(tmp_path: Path) -> None:
    files, hops = Files(tmp_path), Groups()
    files.prepare()
    publisher, told = Publisher(files, hops), []

    async def publish_and_note(name: str) -> None:
        with pytest.raises((OSError, RuntimeError)) as raised:
            await publish(files, publisher, name)
        told.append(raised.type)

    hops.fails = True
    async with trio.open_nursery() as nursery:
        for name in "abc":
            nursery.start_soon(publish_and_note, name)
            await trio.testing.wait_all_tasks_blocked()
        for _ in "ab":
            hops.go_on.release()
    assert sorted(kind.__name__ for kind in told) == ["OSError", "OSError", "RuntimeError"]
    assert list((tmp_path / "blobs/sha256").iterdir()) == []
