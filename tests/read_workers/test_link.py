"""Messages between processes: whole, in order, with their files, however slowly they are taken."""

from __future__ import annotations

import os
import socket
from contextlib import contextmanager
from typing import TYPE_CHECKING

import pytest
import trio
from trio.testing import wait_all_tasks_blocked

from registry.read_workers.link import Link

if TYPE_CHECKING:
    from collections.abc import Iterator


@contextmanager
def linked() -> Iterator[tuple[Link, Link]]:
    one, other = map(Link, socket.socketpair(socket.AF_UNIX, socket.SOCK_SEQPACKET))
    try:
        yield one, other
    finally:
        one.close()
        other.close()


async def test_a_message_with_bytes_and_a_file() -> None:
    with linked() as (one, other):
        reading, writing = os.pipe()
        assert one.try_send({"a": [1, "\n"]}, b"\n\0" * 30_000, [writing])
        message = await other.receive()
        assert message is not None
        assert (message.document, message.data) == ({"a": [1, "\n"]}, b"\n\0" * 30_000)
        os.write(message.files[0], b"through")
        assert os.read(reading, 10) == b"through"
        assert not os.get_inheritable(message.files[0])
        for descriptor in (reading, writing, *message.files):
            os.close(descriptor)


async def test_what_has_no_room_waits_and_nothing_overtakes_it() -> None:
    with linked() as (one, other):
        async with trio.open_nursery() as nursery:
            nursery.start_soon(one.run)
            for number in range(500):
                one.post({"number": number, "more": "x" * 10_000})
            assert not one.try_send({"number": -1})
            nursery.start_soon(one.send, {"number": 500})
            await wait_all_tasks_blocked()
            for number in range(501):
                message = await other.receive()
                assert message is not None
                assert message.document["number"] == number
            nursery.cancel_scope.cancel()


async def test_the_other_end_goes() -> None:
    with linked() as (one, other):
        other.close()
        assert not one.try_send({})
        one.post({})
        with pytest.raises(trio.BrokenResourceError):
            await one.send({})
        assert await one.receive() is None


async def test_the_other_end_goes_while_something_waits() -> None:
    with linked() as (one, other):
        async with trio.open_nursery() as nursery:
            for _ in range(500):
                one.post({"more": "x" * 10_000})
            nursery.start_soon(one.run)
            await wait_all_tasks_blocked()
            other.close()
        assert await one.receive() is None


async def test_an_end_is_closed_while_somebody_waits_for_a_message() -> None:
    with linked() as (one, _):
        received = []
        async with trio.open_nursery() as nursery:

            @nursery.start_soon
            async def receive() -> None:
                received.append(await one.receive())

            await wait_all_tasks_blocked()
            one.close()
            one.close()
        assert received == [None]
