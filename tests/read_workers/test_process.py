"""A read worker, told of its connections by hand."""

from __future__ import annotations

import signal
import socket
import sys
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


async def test_what_was_answered_as_the_daemon_went_is_logged(tmp_path: Path, registry: Registry) -> None:
    """All of it comes at one moment, as the worker is stopped meanwhile."""
    ours, theirs = socket.socketpair(socket.AF_UNIX, socket.SOCK_SEQPACKET)
    link, log = Link(ours), tmp_path / "log"
    with log.open("wb") as file, theirs:
        command = [sys.executable, "-P", "-m", "registry.read_workers", str(theirs.fileno())]
        process = await trio.lowlevel.open_process(command, pass_fds=[theirs.fileno()], stderr=file)
    settings = ReadSettings.of(Settings()).encoded() | {"format": "json", "level": "info"}
    begin = {"data": str(tmp_path / "data"), "key": "00", "clock_ahead_ms": 0, "is_restored": False}
    link.post({**begin, "settings": settings})
    assert await link.receive() is not None
    clients = []
    for number in range(10):
        theirs, client = socket.socketpair()
        with theirs:
            await link.send({"connection": number}, b"", [theirs.fileno()])
        client.send(VERSION)
        assert client.recv(65536).startswith(b"HTTP/1.1 200 ")
        clients.append(client)
    process.send_signal(signal.SIGSTOP)
    for client in clients:
        client.send(VERSION)
    link.close()
    process.send_signal(signal.SIGCONT)
    await process.wait()
    answered = len(clients) + sum(map(_is_answered, clients))
    assert log.read_text().count('"event": "request"') == answered


def _is_answered(client: socket.socket) -> bool:
    with client:
        try:
            return client.recv(65536).startswith(b"HTTP/1.1 200 ")
        except ConnectionResetError:
            return False
