"""Connections that other processes serve, as the server sees them."""

from __future__ import annotations

import socket
from typing import Any

import trio

from registry.http.connection import Limits
from registry.http.dealing import Dealt
from registry.http.limits import Places
from registry.http.server import Server, Site


class Keeper:
    """A dealer who has passed on every connection, and of whom nothing is heard."""

    def __init__(self) -> None:
        self.kept: list[tuple[socket.socket, Dealt]] = []
        self.has_one = trio.Event()

    def deal(self, stream: trio.SocketStream, dealt: Dealt, _served_here: int) -> bool:
        self.kept.append((socket.socket(fileno=socket.dup(stream.socket.fileno())), dealt))
        dealt.enter(lambda: None)
        self.has_one.set()
        return True

    def finish(self) -> None: ...

    async def wait_finished(self) -> None:
        await trio.sleep_forever()


async def nobody(_scope: Any, _receive: Any, _send: Any) -> None: ...


async def test_a_connection_that_comes_back_too_late_is_closed() -> None:
    [listener] = await trio.open_tcp_listeners(0, host="127.0.0.1")
    keeper, server = Keeper(), Server(Limits(drain_seconds=0))
    async with trio.open_nursery() as nursery:
        nursery.start_soon(server.run, [Site(listener, nobody, dealer=keeper)])
        client = await trio.open_tcp_stream(*listener.socket.getsockname())
        await keeper.has_one.wait()
        server.stop()
    [(raw, dealt)] = keeper.kept
    dealt.come_back(trio.SocketStream(trio.socket.from_stdlib_socket(raw)), b"GET ")
    assert await client.receive_some() == b""
    await client.aclose()


def dealt_at(places: Places) -> Dealt:
    assert places.make_room("client")
    dealt = Dealt(places, "client", lambda _stream, _received: None)
    dealt.enter(lambda: None)
    return dealt


def test_one_that_was_busy_when_it_had_to_give_way_counts_until_it_has_ended() -> None:
    """What is said of it comes a moment late."""
    places = Places(100, client_limit=1)
    busy = dealt_at(places)
    new = dealt_at(places)
    busy.turn(idle=False)
    new.turn(idle=False)
    assert len(places) == 2
    new.leave()
    assert not places.make_room("client")
    busy.turn(idle=True)
    busy.leave()
    assert len(places) == 0
    dealt_at(places)
