from __future__ import annotations

import pytest
import trio
import trio.testing

from registry.service.locks import KeyedLocks


async def test_one_holder_a_key_and_none_left_behind() -> None:
    locks: KeyedLocks[str] = KeyedLocks()
    order: list[str] = []

    async def hold(key: str, name: str) -> None:
        async with locks.hold(key):
            order.append(f"{name} in")
            await trio.testing.wait_all_tasks_blocked()
            order.append(f"{name} out")

    async with trio.open_nursery() as nursery, locks.hold("a"):
        nursery.start_soon(hold, "a", "waiting")
        nursery.start_soon(hold, "b", "other key")
        await trio.testing.wait_all_tasks_blocked(0.01)
        assert "waiting in" not in order
        assert "other key in" in order
    assert order[-2:] == ["waiting in", "waiting out"]
    assert len(locks) == 0


async def test_a_waiter_that_gives_up_leaves_nothing() -> None:
    locks: KeyedLocks[str] = KeyedLocks()
    async with locks.hold("a"):
        with trio.CancelScope() as scope:
            scope.cancel()
            async with locks.hold("a"):
                pytest.fail("held twice")
    assert len(locks) == 0


async def test_who_gives_up_early_does_not_take_the_lock_of_others() -> None:
    locks: KeyedLocks[str] = KeyedLocks()
    holders: list[int] = []

    async def hold() -> None:
        async with locks.hold("a"):
            holders.append(1)
            assert len(holders) == 1
            await trio.lowlevel.checkpoint()
            holders.pop()

    async def give_up() -> None:
        with trio.CancelScope() as scope:
            scope.cancel()
            await hold()

    for _ in range(100):
        async with trio.open_nursery() as nursery:
            for act in (hold, give_up, hold, give_up, hold):
                nursery.start_soon(act)
