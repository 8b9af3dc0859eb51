"""The express lane: the same answers as Hypercorn and Quart give, and nothing taken that is not understood."""

from __future__ import annotations

import os
from contextlib import suppress
from typing import TYPE_CHECKING, Literal

import pytest
import trio
import trio.lowlevel

from registry.service.policy import AccessPolicy, Policy, ScrubPolicy
from registry.store import accounts, rules
from tests.http.access_columns import PASSWORD, basic, weak
from tests.http.express_requests import (
    LARGE,
    NOT_UNDERSTOOD,
    TAKEN,
    fill,
    two_ways,
)
from tests.tools.content import digest_of
from tests.tools.raw import connect, request
from tests.tools.sites import NOT_TAKEN, serving

if TYPE_CHECKING:
    from pathlib import Path

    from registry.store.transactions import WriteTx
    from tests.tools.raw import Answer, Connection
    from tests.tools.sites import Sites


def ask(client: Connection, message: bytes) -> Answer | None:
    """None where the connection ends instead of an answer."""
    client.send(message)
    try:
        return client.answer(message.split(b" ", 1)[0].decode("latin-1"))
    except EOFError:
        return None


def shown(answer: Answer | None) -> object:
    """What has to be the same: all but the id and the time, and whether an answer came before the body's end."""
    if answer is None:
        return None
    different = {"x-request-id", "date", "connection"}
    headers = [(name, value) for name, value in answer.headers.items() if name not in different]
    return answer.status, headers, answer.body


@pytest.mark.parametrize("message", TAKEN.values(), ids=TAKEN)
def test_an_answer_is_the_one_that_quart_gives(sites: Sites, message: bytes) -> None:
    with connect(sites.lane_alone) as lane, two_ways(sites) as (quick, slow):
        answer = ask(lane, message)
        assert answer is not None
        assert answer.status != NOT_TAKEN
        assert shown(answer) == shown(ask(quick, message)) == shown(ask(slow, message))


READS = {name: message for name, message in TAKEN.items() if message.startswith((b"GET ", b"HEAD "))}


@pytest.mark.parametrize("message", READS.values(), ids=READS)
def test_what_is_asked_again_and_again_is_answered_as_by_quart(sites: Sites, message: bytes) -> None:
    """One after the other, and all at once."""
    with two_ways(sites) as (quick, slow):
        expected = shown(ask(slow, message))
        assert [shown(ask(quick, message)) for _ in range(3)] == [expected] * 3
        quick.send(message * 5)
        method = message.split(b" ", 1)[0].decode()
        assert [shown(quick.answer(method)) for _ in range(5)] == [expected] * 5


@pytest.mark.parametrize("message", NOT_UNDERSTOOD.values(), ids=NOT_UNDERSTOOD)
def test_what_is_out_of_the_ordinary_is_left_to_hypercorn(sites: Sites, message: bytes) -> None:
    with connect(sites.lane_alone) as lane, two_ways(sites) as (quick, slow):
        answer = ask(lane, message)
        assert answer is None or answer.status in {NOT_TAKEN, 400, 431, 501, 505}
        assert shown(ask(quick, message)) == shown(ask(slow, message))


def test_reads_and_pushes_take_turns_on_one_connection(sites: Sites) -> None:
    with connect(sites.both) as client:
        for number in range(20):
            content = b"%d" % number
            target = f"/v2/turns/blobs/uploads/?digest={digest_of(content)}"
            client.send(request("POST", target, body=content))
            assert client.answer().status == 201
            client.send(request("GET", f"/v2/turns/blobs/{digest_of(content)}"))
            assert client.answer().body == content


def test_a_small_request_behind_a_large_body_is_heard(sites: Sites) -> None:
    """Of the body, much at once was waited for."""
    with connect(sites.lane_alone) as client:
        message = request("POST", f"/v2/a/blobs/uploads/?digest={digest_of(LARGE)}", "Expect: 100-continue", body=LARGE)
        client.send(message[: -len(LARGE)])
        assert client.answer().status == 100
        client.send(LARGE)
        assert client.answer().status == 201
        client.send(request("GET", "/v2/"))
        assert client.answer().status == 200


def test_pipelined_requests_are_answered_in_their_order(sites: Sites) -> None:
    content = b"pipelined"
    push = request("POST", f"/v2/pipe/blobs/uploads/?digest={digest_of(content)}", body=content)
    read = request("GET", f"/v2/pipe/blobs/{digest_of(content)}")
    with connect(sites.both) as client:
        for message, status in ((read + push + read, [404, 201, 200]), (read * 100 + push, [200] * 100 + [201])):
            client.send(message)
            assert [client.answer().status for _ in status] == status


def test_a_head_that_comes_in_pieces_is_left_to_hypercorn(sites: Sites) -> None:
    with connect(sites.lane_alone) as client:
        client.send(request("GET", "/v2/") + b"GET /v2/ HT")
        assert client.answer().status == 200
        client.send(b"TP/1.1\r\nHost: registry\r\n\r\n")
        assert client.answer().status == NOT_TAKEN


def test_a_client_that_sends_no_more_is_answered(sites: Sites) -> None:
    with connect(sites.both) as client:
        client.send(request("GET", f"/v2/a/blobs/{digest_of(LARGE)}") * 3)
        client.end()
        assert [client.answer().body == LARGE for _ in range(3)] == [True] * 3
        assert client.ended()


def test_a_client_that_reads_nothing_is_left(tmp_path: Path) -> None:
    with serving(tmp_path / "data", stall_seconds=0.2) as sites:
        fill(sites)
        with connect(sites.both, receive_bytes=4096) as client:
            client.send(request("GET", f"/v2/a/blobs/{digest_of(LARGE)}") * 50)
            assert client.socket.recv(1)
            wait_until_nobody_is_connected(sites)
            received = 1
            with suppress(ConnectionResetError):
                while piece := client.socket.recv(len(LARGE)):
                    received += len(piece)
            assert received < 50 * len(LARGE)
        assert open_files(LARGE) == 0


def test_a_client_that_goes_away_leaves_nothing_open(sites: Sites) -> None:
    for _ in range(10):
        with connect(sites.both, receive_bytes=4096) as client:
            client.send(request("GET", f"/v2/a/blobs/{digest_of(LARGE)}") * 10)
            assert client.socket.recv(1)
            assert open_files(LARGE) == 1
            client.reset()
    wait_until_nobody_is_connected(sites)
    assert open_files(LARGE) == 0


def wait_until_nobody_is_connected(sites: Sites) -> None:
    async def wait() -> None:
        while sites.server._connections:
            await trio.lowlevel.checkpoint()

    sites.call(wait)


def open_files(content: bytes) -> int:
    """How often the blob is open in this process, where the registry runs too."""
    name, found = digest_of(content).partition(":")[2], 0
    for entry in os.scandir("/proc/self/fd"):
        with suppress(FileNotFoundError):
            found += os.readlink(entry.path).endswith(name)
    return found


def test_who_asks_too_often_is_told_so(tmp_path: Path) -> None:
    with serving(tmp_path / "data", burst=3) as sites:
        for address, statuses in (("192.0.2.1", [200, 200, 200, NOT_TAKEN]), ("192.0.2.2", [200])):
            with connect(sites.lane_alone) as client:
                for status in statuses:
                    client.send(request("GET", "/v2/", f"X-Forwarded-For: {address}"))
                    assert client.answer().status == status


@pytest.mark.parametrize("mode", ["basic", "token"])
def test_rights_are_asked_in_the_lane_at_each_request(tmp_path: Path, mode: Literal["basic", "token"]) -> None:
    def add_user(tx: WriteTx) -> None:
        accounts.add(tx, "alice", "user", weak(PASSWORD))
        rules.put(tx, "alice", "a", "pull push")

    def take_rights(tx: WriteTx) -> None:
        rules.put(tx, "alice", "a", "push")

    with serving(tmp_path / "data", Policy(access=AccessPolicy(mode=mode))) as sites:
        sites.call(sites.registry.database.write, add_user)
        good, bad = (f"Authorization: {basic('alice', word)['Authorization']}" for word in (PASSWORD, "wrong"))
        with connect(sites.lane_alone) as lane, two_ways(sites) as (quick, slow):
            asked = [(), (bad,), ("Authorization: Bearer none",), ("Authorization: Digest x",), (good,)]
            statuses = []
            for headers in asked:
                for target in ("/v2/", "/v2/a/tags/list", "/v2/b/tags/list"):
                    message = request("GET", target, *headers)
                    answer = ask(lane, message)
                    assert answer is not None
                    statuses.append(answer.status)
                    assert shown(answer) == shown(ask(quick, message)) == shown(ask(slow, message))
            assert statuses == [401] * 12 + [200, 404, 403]
            sites.call(sites.registry.database.write, take_rights)
            assert ask(lane, request("GET", "/v2/a/tags/list", good)).status == 403  # type: ignore[union-attr]


@pytest.mark.parametrize("verified_seconds", [0.0, 3600.0])
def test_a_damaged_blob_is_never_answered_whole(tmp_path: Path, verified_seconds: float) -> None:
    """One that is read as a whole is found out by its hash; one that was verified lately, where its end is missing."""
    policy = Policy(scrub=ScrubPolicy(verified_seconds=verified_seconds))
    with serving(tmp_path / "data", policy) as sites:
        fill(sites)
        file = tmp_path / "data" / "blobs" / "sha256" / digest_of(LARGE).partition(":")[2]
        if verified_seconds:
            os.truncate(file, len(LARGE) - 1)
        else:
            with file.open("r+b") as rotten:
                rotten.write(bytes([LARGE[0] ^ 1]))
        target = f"/v2/a/blobs/{digest_of(LARGE)}"
        with connect(sites.lane_alone) as client:
            client.send(request("GET", target) * 2)
            head, _, body = client.rest().partition(b"\r\n\r\n")
            assert head.startswith(b"HTTP/1.1 200 ")
            assert len(body) < len(LARGE)
        with connect(sites.lane_alone) as client:
            assert ask(client, request("HEAD", target)).status == 404  # type: ignore[union-attr]
