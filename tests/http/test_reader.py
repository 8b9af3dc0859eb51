"""A connection in a read worker: it ends at any moment with no answer too few or too many, and with nothing else."""

from __future__ import annotations

import socket
from contextlib import asynccontextmanager
from typing import TYPE_CHECKING

import pytest
import structlog
import trio
from trio.testing import wait_all_tasks_blocked

from registry.http.exchange import Exchange
from registry.http.express import Express
from registry.http.proxies import TrustedProxies
from registry.http.read_routes import READ_ROUTES
from registry.http.reader import Reader, ReadingExchange
from registry.http.repeats import Repeats
from registry.service.known_passwords import KnownPasswords
from registry.service.policy import Policy
from registry.service.reading import Reading
from tests.tools.raw import request

if TYPE_CHECKING:
    from collections.abc import AsyncIterator, Callable
    from pathlib import Path

    from registry.service.registry import Registry

CHECK = request("GET", "/v2/")


@asynccontextmanager
async def running(express: Callable[[], Express]) -> AsyncIterator[tuple[Reader, socket.socket, list[bytes]]]:
    """A reader, its client, and what it has left when it has ended."""
    ours, client = socket.socketpair()
    client.setblocking(False)
    scope = {"client": ("192.0.2.1", 1), "server": None, "scheme": "http"}
    left: list[bytes] = []
    with client:
        async with trio.SocketStream(trio.socket.from_stdlib_socket(ours)) as stream, trio.open_nursery() as nursery:
            reader = Reader(stream, scope, 60, express, lambda: None)

            @nursery.start_soon
            async def run() -> None:
                left.append(await reader.run())

            await wait_all_tasks_blocked()
            yield reader, client, left
            nursery.cancel_scope.cancel()


def served(registry: Registry) -> Callable[[], Express]:
    express = Express(Exchange(registry), TrustedProxies(()), READ_ROUTES, Repeats(registry))
    return lambda: express


async def test_a_request_that_comes_as_its_connection_is_to_end_is_answered_once(registry: Registry) -> None:
    async with running(served(registry)) as (reader, client, left):
        client.send(CHECK)
        await wait_all_tasks_blocked()
        assert client.recv(65536).startswith(b"HTTP/1.1 200 ")
        client.send(CHECK)  # of this and of the end, the reader hears at the same moment
        reader.finish()
        await wait_all_tasks_blocked()
        assert client.recv(65536).count(b"HTTP/1.1 200 ") == 1
        assert left == [b""]


async def test_the_first_request_of_one_who_came_at_the_end_is_answered(registry: Registry) -> None:
    async with running(served(registry)) as (reader, client, left):
        reader.finish()
        client.send(CHECK)
        await wait_all_tasks_blocked()
        assert b"connection: close" in client.recv(65536)
        assert left == [b""]


async def test_what_nobody_expects_ends_the_connection_alone() -> None:
    def fail() -> Express:
        raise ZeroDivisionError

    with structlog.testing.capture_logs() as logs:
        async with running(fail) as (_, client, left):
            client.send(CHECK)
            await wait_all_tasks_blocked()
            assert left == [b""]
    assert [entry["event"] for entry in logs] == ["connection failed"]


@pytest.mark.parametrize("target", ["/v2/a/manifests/v1", "/healthz"])
async def test_what_can_not_be_read_here_is_left_to_the_main_process(
    registry: Registry, tmp_path: Path, target: str
) -> None:
    reading = Reading(tmp_path / "data", Policy(), registry.database.clock, KnownPasswords(), trio.sleep)  # type: ignore[arg-type]
    reading.database.open_readers()
    reading.database.close_readers()
    express = Express(ReadingExchange(reading.registry), TrustedProxies(()), READ_ROUTES, Repeats(reading.registry))
    asked = request("GET", target)
    async with running(lambda: express) as (_, client, left):
        client.send(asked)
        await wait_all_tasks_blocked()
    assert left == [asked]
