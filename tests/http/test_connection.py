"""A connection that is told to end while a request is on its way."""

from __future__ import annotations

import socket
from typing import TYPE_CHECKING

import pytest
import trio
from hypercorn.app_wrappers import ASGIWrapper
from trio.testing import wait_all_tasks_blocked

from registry.http.app import make_app
from registry.http.connection import Connection, Limits
from registry.http.exchange import Exchange
from registry.http.express import Express
from registry.http.limits import Places
from registry.http.proxies import TrustedProxies
from registry.http.repeats import Repeats
from registry.http.routes import LANE_ROUTES
from registry.http.traffic import Traffic
from tests.tools.content import digest_of
from tests.tools.raw import request

if TYPE_CHECKING:
    from collections.abc import Callable

    from registry.service.registry import Registry

PUSH = request("POST", f"/v2/a/blobs/uploads/?digest={digest_of(b'content')}", body=b"content")


class AtItsStep(trio.abc.Instrument):
    """Calls a function when a task is about to run: what it waited for has come, and can't be cancelled any more."""

    def __init__(self, task: trio.lowlevel.Task, function: Callable[[], None]) -> None:
        self._task = task
        self._function = function

    def before_task_step(self, task: trio.lowlevel.Task) -> None:
        if task is self._task:
            trio.lowlevel.remove_instrument(self)
            self._function()


@pytest.mark.parametrize("with_lane", [True, False])
@pytest.mark.parametrize("order", ["stop", "finish"])
async def test_a_request_that_has_come_is_answered(registry: Registry, order: str, *, with_lane: bool) -> None:
    express, places = Express(Exchange(registry), TrustedProxies(()), LANE_ROUTES, Repeats(registry)), Places()
    ours, client = socket.socketpair()
    client.setblocking(False)
    tasks = []
    with client:
        connection = Connection(
            ASGIWrapper(make_app(registry)),
            Limits(),
            trio.SocketStream(trio.socket.from_stdlib_socket(ours)),
            places,
            Traffic(),
            (lambda: express) if with_lane else None,
        )
        places.enter(connection, None)

        async def run() -> None:
            tasks.append(trio.lowlevel.current_task())
            await connection.run()

        async with trio.open_nursery() as nursery:
            nursery.start_soon(run)
            await wait_all_tasks_blocked()
            trio.lowlevel.add_instrument(AtItsStep(tasks[0], getattr(connection, order)))
            client.send(PUSH)
        answer = client.recv(65536)
    assert answer.startswith(b"HTTP/1.1 201 ")
    assert b"connection: close" in answer.lower()
