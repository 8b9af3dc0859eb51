"""Hops into threads: a few at a time, none given up, each with its own outcome."""

from __future__ import annotations

import threading

import pytest
import trio
import trio.testing

from registry.store.hops import Hops


async def test_each_call_has_its_own_outcome() -> None:
    hops = Hops()

    def divide(one: int, *, by: int) -> tuple[int, bool]:
        return one // by, threading.current_thread() is threading.main_thread()

    assert await hops(divide, 6, by=2) == (3, False)
    with pytest.raises(ZeroDivisionError):
        await hops(divide, 6, by=0)
    assert [(name.rpartition(".")[2], times.count) for name, times in hops.times.items()] == [("divide", 2)]
    assert hops.slowest() is None


async def test_a_call_under_way_is_not_given_up() -> None:
    hops, go_on = Hops(), threading.Event()
    told: list[bool] = []

    async def wait(scope: trio.CancelScope) -> None:
        with scope:
            told.append(await hops(go_on.wait))

    async with trio.open_nursery() as nursery:
        scope = trio.CancelScope()
        nursery.start_soon(wait, scope)
        while (slowest := hops.slowest()) is None:  # the thread has to begin
            await trio.lowlevel.checkpoint()
        scope.cancel()
        await trio.testing.wait_all_tasks_blocked()
        told_before = [*told]
        go_on.set()
    assert (slowest[0], told_before, told) == ("Event.wait", [], [True])


async def test_no_more_calls_at_a_time_than_threads_and_one_that_waits_can_be_cancelled() -> None:
    hops, go_on = Hops(threads=2), threading.Event()
    begun: list[int] = []

    def hold(number: int) -> None:
        begun.append(number)
        go_on.wait()

    async with trio.open_nursery() as nursery:
        for number in range(2):
            nursery.start_soon(hops, hold, number)
        while len(begun) < 2:
            await trio.lowlevel.checkpoint()
        with trio.move_on_after(0):
            await hops(hold, 2)
        nursery.start_soon(hops, hold, 3)
        await trio.testing.wait_all_tasks_blocked()
        begun_before = sorted(begun)
        go_on.set()
    assert (begun_before, sorted(begun)) == ([0, 1], [0, 1, 3])
