"""The audit as it is read."""

from __future__ import annotations

from typing import TYPE_CHECKING

import pytest

from registry.oci.errors import GarbagePaused
from registry.service import audit
from registry.store import audit as store_audit
from registry.store.audit import Author

if TYPE_CHECKING:
    from registry.service.registry import Registry
    from registry.store.transactions import WriteTx
    from tests.tools.life import Life

AUTHOR = Author("operator", "", "unix uid 7")


def _record_many(tx: WriteTx, count: int) -> None:
    for number in range(count):
        store_audit.record(tx, AUTHOR, "tested", subject=str(number))


async def test_page_after_page_holds_every_entry_once(registry: Registry) -> None:
    await registry.database.write(_record_many, 2 * audit.PAGE_LIMIT)
    subjects: list[str | None] = []
    after_id, has_more, pages = 0, True, 0
    while has_more:
        page = await audit.read(registry, since_ms=0, after_id=after_id)
        subjects += [entry.subject for entry in page.entries]
        after_id, has_more, pages = page.next_after_id, page.has_more, pages + 1
    assert subjects == [str(number) for number in range(2 * audit.PAGE_LIMIT)]
    assert pages == 3
    await registry.database.write(_record_many, 1)
    assert [entry.subject for entry in (await audit.read(registry, since_ms=0, after_id=after_id)).entries] == ["0"]


async def test_entries_from_before_are_left_out_and_not_looked_at_again(registry: Registry) -> None:
    await registry.database.write(_record_many, 3)
    [*_, last] = (await audit.read(registry, since_ms=0, after_id=0)).entries
    later = await audit.read(registry, since_ms=last.at_ms + 1, after_id=0)
    assert (later.entries, later.next_after_id, later.has_more) == ([], last.id, False)
    assert len((await audit.read(registry, since_ms=last.at_ms, after_id=0)).entries) == 3


async def test_entries_that_are_too_old_are_forgotten(life: Life) -> None:
    async with life.opened() as opened:
        registry = opened.registry
        await registry.database.write(_record_many, audit.PAGE_LIMIT + 1)
        life.go_on(registry.policy.access.audit_seconds)
        await registry.database.write(_record_many, 1)
        await audit.prune(registry)
        first = await audit.read(registry, since_ms=0, after_id=0)
        assert (len(first.entries), first.has_more) == (audit.PAGE_LIMIT, True)
        life.go_on(0.001)
        await audit.prune(registry)
        assert [entry.subject for entry in (await audit.read(registry, since_ms=0, after_id=0)).entries] == ["0"]


async def test_an_empty_audit(registry: Registry) -> None:
    page = await audit.read(registry, since_ms=0, after_id=0)
    assert (page.entries, page.next_after_id, page.has_more) == ([], 0, False)


async def test_a_collection_by_hand_is_written_down_and_one_by_itself_is_not(registry: Registry) -> None:
    await registry.garbage.run()
    await registry.garbage.dry_run(now=True)
    await registry.garbage.run_by_hand(AUTHOR, now=False)
    await registry.garbage.run_by_hand(AUTHOR, now=True)
    found = (await audit.read(registry, since_ms=0, after_id=0)).entries
    assert [(each.action, each.after, each.address) for each in found] == [
        ("gc run", None, "unix uid 7"),
        ("gc run", "without grace", "unix uid 7"),
    ]


async def test_a_restoration_and_its_end_are_written_down_once(life: Life) -> None:
    async with life.opened():
        pass
    (life.data / "blobs/mark").unlink()
    (life.data / "registry.db").replace(life.data / "old.db")
    async with life.opened():
        pass
    (life.data / "old.db").replace(life.data / "registry.db")
    async with life.opened() as opened:
        assert opened.registry.restoration.is_open
        with pytest.raises(GarbagePaused):
            await opened.registry.garbage.run_by_hand(AUTHOR, now=True)
        await opened.registry.restoration.recover(AUTHOR)
        await opened.registry.restoration.recover(AUTHOR)
        found = (await audit.read(opened.registry, since_ms=0, after_id=0)).entries
        assert [(each.action, each.principal) for each in found] == [
            ("restoration recognised", "daemon"),
            ("restoration ended", "operator"),
        ]
