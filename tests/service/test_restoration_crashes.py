"""Starts that are cut short between their writes: nothing is taken for a restoration, and none is forgotten."""

from __future__ import annotations

import shutil
from typing import TYPE_CHECKING, Any

import pytest

from registry.store import mark
from registry.store.hops import Hops
from tests.service.test_restoration import NAME, is_restored, take_snapshot
from tests.tools.content import push_blob
from tests.tools.life import Life

if TYPE_CHECKING:
    from collections.abc import Callable
    from pathlib import Path


class Crash(Exception):
    pass


class _CrashingHops(Hops):
    """Ends the start behind a certain hop, as a crash there would."""

    def __init__(self, function: Callable[..., Any], times: int) -> None:
        super().__init__(inline=True)
        self._function = function
        self._times = times

    async def __call__(self, function: Any, *args: Any, **kwargs: Any) -> Any:
        result = await super().__call__(function, *args, **kwargs)
        if function is self._function:
            self._times -= 1
            if not self._times:
                raise Crash
        return result


async def crash(life: Life, function: Callable[..., Any], times: int) -> None:
    with pytest.raises(ExceptionGroup) as caught:
        async with life.opened(hops=_CrashingHops(function, times)):
            pass
    assert caught.group_contains(Crash)


HOPS = [(mark.read, 1), (mark.write, 1), (mark.write, 2)]
"""Behind which hop it ends; a start that finds a restoration has no second write, so that it ends in the stop."""


@pytest.mark.parametrize(("function", "times"), HOPS)
async def test_a_crash_between_the_writes_of_a_start_is_no_restoration(
    life: Life, function: Callable[..., Any], times: int
) -> None:
    assert not await is_restored(life)
    await crash(life, function, times)
    await crash(life, function, times)
    assert not await is_restored(life)


@pytest.mark.parametrize(("function", "times"), HOPS)
async def test_a_crash_in_the_very_first_start_is_no_restoration(
    life: Life, function: Callable[..., Any], times: int
) -> None:
    await crash(life, function, times)
    assert not await is_restored(life)


@pytest.mark.parametrize(("function", "times"), HOPS)
async def test_a_crash_in_the_start_does_not_hide_another_folders_database(
    life: Life, tmp_path: Path, function: Callable[..., Any], times: int
) -> None:
    other = Life(tmp_path / "other")
    assert not await is_restored(other)
    assert not await is_restored(life)
    shutil.copy(other.data / "registry.db", life.data / "registry.db")
    await crash(life, function, times)
    assert await is_restored(life)


@pytest.mark.parametrize(("function", "times"), HOPS)
async def test_a_crash_in_the_start_does_not_hide_a_snapshot(
    life: Life, function: Callable[..., Any], times: int
) -> None:
    async with life.opened() as opened:
        await push_blob(opened.client, NAME, b"1")
        await take_snapshot(opened)
        await push_blob(opened.client, NAME, b"2")
        died = life.died()
    died.restore()
    await crash(died, function, times)
    assert await is_restored(died)
