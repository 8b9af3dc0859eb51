"""Bodies off the wire: whole, however they come; ended where they end, and told apart from those that break off."""

from __future__ import annotations

import socket
from contextlib import aclosing, asynccontextmanager
from typing import TYPE_CHECKING

import pytest
import trio
import trio.testing
from hypothesis import given
from hypothesis import strategies as st

from registry.http import bodies
from registry.http.bodies import ChunkedBody, SizedBody
from registry.http.wire import Wire
from registry.service.bodies import BodyInterrupted, BodyTooLong, PiecedBody, read

if TYPE_CHECKING:
    from collections.abc import AsyncGenerator, AsyncIterator

LIMIT = 1_000_000
CONTENT = bytes(range(256)) * 20
NEXT = b"GET /v2/ HTTP/1.1\r\n"


@asynccontextmanager
async def open_wire(stall_seconds: float = 60) -> AsyncIterator[tuple[Wire, socket.socket]]:
    """The server's side of a connection, and its client."""
    with socket.create_server(("127.0.0.1", 0)) as listener, socket.socket() as client:
        client.connect(listener.getsockname())
        async with trio.SocketStream(trio.socket.from_stdlib_socket(listener.accept()[0])) as stream:
            yield Wire(stream, stall_seconds, lambda: None), client


def chunked(content: bytes, sizes: list[int], extension: bytes, trailers: bytes) -> bytes:
    pieces, start = [], 0
    for size in [*sizes, len(content)]:
        piece = content[start : start + size]
        start += size
        if piece:
            pieces.append(b"%x%b\r\n%b\r\n" % (len(piece), extension, piece))
    return b"".join(pieces) + b"0\r\n" + trailers + b"\r\n"


async def received_in_pieces(body: SizedBody | ChunkedBody, client: socket.socket, *pieces: bytes) -> bytes:
    """The body, of which each piece is sent when the last one was taken."""
    content, room = b"", memoryview(bytearray(100))

    async def take() -> None:
        nonlocal content
        while await body.arrives():
            while taken := body.take(room):
                content += room[:taken]

    async with trio.open_nursery() as nursery:
        nursery.start_soon(take)
        for piece in pieces:
            await trio.testing.wait_all_tasks_blocked()
            client.sendall(piece)
    return content


FRAGMENTS = st.lists(st.integers(1, 400), max_size=30)


def fragments(data: bytes, sizes: list[int]) -> list[bytes]:
    pieces, start = [], 0
    for size in [*sizes, len(data)]:
        pieces.append(data[start : start + size])
        start += size
    return [piece for piece in pieces if piece]


@given(
    st.integers(0, 600),
    st.lists(st.integers(1, 300), max_size=9),
    st.sampled_from([b"", b";x=1", b'; x="y z"']),
    st.sampled_from([b"", b"A: b\r\n", b"A: b\r\nC:\r\n"]),
    FRAGMENTS,
)
def test_chunks_are_put_together(
    size: int, sizes: list[int], extension: bytes, trailers: bytes, cuts: list[int]
) -> None:
    """The first fragment comes with the head; what follows the body is the next request."""
    content = CONTENT[:size]
    first, *rest = fragments(chunked(content, sizes, extension, trailers) + NEXT, cuts)

    async def run() -> None:
        async with open_wire() as (wire, client):
            body = ChunkedBody(wire, first, is_awaited=False)
            assert await received_in_pieces(body, client, *rest) == content
            assert (body.is_over, body.taken) == (True, size)
            client.shutdown(socket.SHUT_WR)
            assert body.rest + wire.receive_now() == NEXT

    trio.run(run)


@given(st.integers(0, 600), FRAGMENTS)
def test_a_body_ends_where_its_length_says(size: int, cuts: list[int]) -> None:
    content = CONTENT[:size]
    first, *rest = fragments(content + NEXT, cuts)

    async def run() -> None:
        async with open_wire() as (wire, client):
            body = SizedBody(wire, first, size, is_awaited=False)
            assert await received_in_pieces(body, client, *rest) == content
            assert (body.is_over, body.taken) == (True, size)
            client.shutdown(socket.SHUT_WR)
            assert body.rest + wire.receive_now() == NEXT

    trio.run(run)


@pytest.mark.parametrize(
    "broken",
    [
        b"zz\r\n",
        b"\r\n",
        b" 1\r\nx\r\n",
        b"1 \r\nx\r\n",
        b"+1\r\nx\r\n",
        b"0x1\r\nx\r\n",
        b"-1\r\nx\r\n",
        b"1_0\r\nx\r\n",
        b"1\nx\r\n",
        b"1;a\nb\r\nx\r\n",
        b"1;a\rb\r\nx\r\n",
        b"1\r\nxy\r\n",
        b"1\r\nx\n",
        b"1\r\nx\r\r\n",
        b"f" * 16 + b"\r\n",
        b"1;" + b"a" * 20_000,
        b"0\r\nno field\r\n\r\n",
        b"0\r\n: x\r\n\r\n",
        b"0\r\nTransfer-Encoding: identity\r\n\r\n",
        b"0\r\n a: x\r\n\r\n",
        b"0\r\n" + b"a: b\r\n" * 5000 + b"\r\n",
    ],
)
@pytest.mark.parametrize("before", [b"", b"3\r\nabc\r\n"])
async def test_what_are_no_chunks_is_no_body(before: bytes, broken: bytes) -> None:
    """What came before it was taken."""
    async with open_wire() as (wire, client):
        body = ChunkedBody(wire, before, is_awaited=False)
        client.sendall(broken)
        with pytest.raises(BodyInterrupted, match="chunks"):
            await read(body, LIMIT)
        assert not body.is_over
        assert body.taken >= len(b"abc") * bool(before)


@pytest.mark.parametrize("is_sized", [True, False])
async def test_a_client_that_ends_too_early_is_noticed_once_all_was_taken(*, is_sized: bool) -> None:
    async with open_wire() as (wire, client):
        body = (
            SizedBody(wire, b"ab", 10, is_awaited=False)
            if is_sized
            else ChunkedBody(wire, b"8\r\nab", is_awaited=False)
        )
        room = memoryview(bytearray(10))
        client.sendall(b"c")
        client.shutdown(socket.SHUT_WR)

        async def take_all() -> None:
            while await body.arrives():
                body.take(room[body.taken :])

        with pytest.raises(BodyInterrupted):
            await take_all()
        assert bytes(room[: body.taken]) == b"abc"


@pytest.mark.parametrize("is_sized", [True, False])
async def test_a_client_that_sends_nothing_is_not_waited_for_for_ever(*, is_sized: bool) -> None:
    async with open_wire(stall_seconds=0.01) as (wire, _):
        body = SizedBody(wire, b"", 1, is_awaited=False) if is_sized else ChunkedBody(wire, b"", is_awaited=False)
        with pytest.raises(BodyInterrupted):
            await body.arrives()


async def test_a_slow_client_is_waited_for_as_long_as_something_comes(monkeypatch: pytest.MonkeyPatch) -> None:
    """Less than is wanted at once is taken after a while."""
    monkeypatch.setattr(bodies, "_PATIENCE_SECONDS", 0.001)
    content = CONTENT[:200]
    async with open_wire() as (wire, client):
        body = SizedBody(wire, b"", 100_000, is_awaited=False)
        taken, room = 0, memoryview(bytearray(len(content)))
        for byte in content:
            client.sendall(bytes([byte]))
            assert await body.arrives()
            taken += body.take(room[taken:])
        assert (taken, bytes(room)) == (len(content), content)


async def test_what_is_no_content_is_read_in_small_parts_too() -> None:
    """Else a sender of nothing but the beginnings of chunks could keep a thread, or everybody, for ever."""
    sent = b"1;extension\r\nx\r\n" * 4000
    async with open_wire() as (wire, client):
        body, room = ChunkedBody(wire, b"", is_awaited=False), memoryview(bytearray(1000))
        client.sendall(sent)
        assert await body.arrives()
        body.take(room)
        assert len(wire.receive_now()) > len(sent) - 2 * len(room)


async def test_others_have_their_turn_while_a_body_is_read() -> None:
    turns = 0

    async def count() -> None:
        nonlocal turns
        while True:
            turns += 1
            await trio.lowlevel.checkpoint()

    async with open_wire() as (wire, _), trio.open_nursery() as nursery:
        nursery.start_soon(count)
        await read(SizedBody(wire, bytes(LIMIT), LIMIT, is_awaited=False), LIMIT)
        nursery.cancel_scope.cancel()
    assert turns > 20


async def test_a_body_that_is_too_long_is_not_waited_for() -> None:
    async def pieces() -> AsyncGenerator[bytes, None]:
        for _ in range(3):
            yield b"x" * 10_000
        raise AssertionError("nobody may ask for more")

    async with aclosing(pieces()) as body:
        with pytest.raises(BodyTooLong):
            await read(PiecedBody(body), 16_384)


async def test_a_body_that_nobody_wants_is_over_if_it_is_here() -> None:
    async with open_wire() as (wire, _):
        for body, is_over in (
            (SizedBody(wire, b"abc" + NEXT, 3, is_awaited=False), True),
            (SizedBody(wire, b"abc", 4, is_awaited=False), False),
            (ChunkedBody(wire, b"3\r\nabc\r\n0\r\n\r\n" + NEXT, is_awaited=False), True),
            (ChunkedBody(wire, b"3\r\nabc\r\n0\r\n", is_awaited=False), False),
            (ChunkedBody(wire, b"x\r\n", is_awaited=False), False),
        ):
            body.skip_received()
            assert body.is_over is is_over
            if is_over:
                assert body.rest == NEXT


async def test_a_client_is_told_to_send_once_its_body_is_wanted() -> None:
    async with open_wire() as (wire, client):
        body = SizedBody(wire, b"", 6, is_awaited=True)
        client.setblocking(False)
        with pytest.raises(BlockingIOError):
            client.recv(1)
        client.setblocking(True)

        def send_when_told() -> None:
            for piece in (b"abc", b"def"):
                if piece == b"abc":
                    assert client.recv(100) == b"HTTP/1.1 100 Continue\r\n\r\n"
                client.sendall(piece)

        async with trio.open_nursery() as nursery:
            nursery.start_soon(trio.to_thread.run_sync, send_when_told)
            assert await read(body, LIMIT) == b"abcdef"
        client.setblocking(False)
        with pytest.raises(BlockingIOError):
            client.recv(1)
