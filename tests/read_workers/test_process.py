"""A read worker, told of its connections by hand."""

from __future__ import annotations

import socket
from contextlib import asynccontextmanager
from typing import TYPE_CHECKING

import pytest
import trio
from trio.testing import wait_all_tasks_blocked

from registry import request_log
from registry.config import Settings
from registry.read_workers.link import Link, Message
from registry.read_workers.process import ReadWorker
from registry.read_workers.settings import ReadSettings
from tests.tools.raw import request

if TYPE_CHECKING:
    from collections.abc import AsyncIterator
    from pathlib import Path

    from registry.service.registry import Registry

VERSION = request("GET", "/v2/")


class Told:
    """A worker that is told everything at one moment."""

    def __init__(self, worker: ReadWorker, other: Link, nursery: trio.Nursery) -> None:
        self._worker = worker
        self._other = other
        self._nursery = nursery

    def tell(self, document: dict[str, object], *files: int) -> None:
        self._worker._obey(Message(document, b"", list(files)), self._nursery)

    async def said(self) -> object:
        message = await self._other.receive()
        return message and message.document


@pytest.fixture
async def told(tmp_path: Path, registry: Registry, monkeypatch: pytest.MonkeyPatch) -> AsyncIterator[Told]:
    monkeypatch.setattr(request_log.requests, "write", request_log.requests.write)  # which its settings change
    async with working(tmp_path / "data", registry) as told:
        yield told


@asynccontextmanager
async def working(data: Path, registry: Registry) -> AsyncIterator[Told]:
    link, other = map(Link, socket.socketpair(socket.AF_UNIX, socket.SOCK_SEQPACKET))
    begin = {"data": str(data), "key": "00", "clock_ahead_ms": 0, "is_restored": False}
    worker = ReadWorker(link, {**begin, "settings": ReadSettings.of(Settings()).encoded()})
    async with trio.open_nursery() as nursery:
        yield Told(worker, other, nursery)
        nursery.cancel_scope.cancel()
    worker._reading.database.close_readers()
    link.close()
    other.close()


async def test_a_connection_that_is_to_end_as_soon_as_it_has_come(told: Told) -> None:
    ours, client = socket.socketpair()
    with client:
        told.tell({"connection": 7}, ours.detach())
        told.tell({"stop": 7})
        await wait_all_tasks_blocked()
        client.setblocking(False)
        assert client.recv(1) == b""
        assert await told.said() == {"left": 7}


async def test_a_connection_that_came_as_the_daemon_stops_may_ask_once(told: Told) -> None:
    ours, client = socket.socketpair()
    with client:
        told.tell({"connection": 7}, ours.detach())
        told.tell({"finish": True})
        client.send(VERSION)
        await wait_all_tasks_blocked()
        assert b"connection: close" in client.recv(65536)
        assert await told.said() == {"left": 7}


async def test_a_connection_for_which_there_is_no_descriptor(told: Told) -> None:
    told.tell({"connection": 7})
    assert await told.said() == {"left": 7}
