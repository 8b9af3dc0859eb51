"""A database of its own for each test, and two functions to try it with."""

from __future__ import annotations

from contextlib import asynccontextmanager
from typing import TYPE_CHECKING

import pytest
import trio

from registry.store.database import Database
from registry.store.hops import Hops

if TYPE_CHECKING:
    from collections.abc import AsyncIterator
    from pathlib import Path

    from registry.store.clock import Clock
    from registry.store.transactions import ReadTx, WriteTx


@asynccontextmanager
async def opened(path: Path, clock: Clock | None = None, *, checkpoints: bool = True) -> AsyncIterator[Database]:
    database = Database(path, Hops(), clock, checkpoints=checkpoints)
    await database.open()
    async with trio.open_nursery() as nursery:
        nursery.start_soon(database.run)
        yield database
        nursery.cancel_scope.cancel()
    await database.close()


@pytest.fixture
async def database(tmp_path: Path) -> AsyncIterator[Database]:
    async with opened(tmp_path / "registry.db") as database:
        yield database


def add(tx: WriteTx, name: str) -> int:
    return tx.execute(
        "INSERT INTO repository (name, created_ms) VALUES (?, ?) RETURNING id", name, tx.now_ms
    ).fetchone()[0]


def names(tx: ReadTx) -> list[str]:
    return [name for (name,) in tx.execute("SELECT name FROM repository ORDER BY name")]
