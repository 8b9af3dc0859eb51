"""The express lane and what goes on beside it: other settings, a cancellation, a daemon that stops."""

from __future__ import annotations

import socket
from contextlib import asynccontextmanager
from typing import TYPE_CHECKING

import trio
import trio.testing

from registry.http.exchange import Exchange
from registry.http.express import Express, Lane
from registry.http.limits import RequestLimit
from registry.http.proxies import TrustedProxies
from registry.http.repeats import Repeats
from registry.http.routes import LANE_ROUTES
from registry.http.wire import Wire
from registry.oci.names import RepositoryName
from registry.service.principals import ANONYMOUS
from tests.tools.content import digest_of
from tests.tools.raw import connect, request
from tests.tools.sites import serving

if TYPE_CHECKING:
    from collections.abc import AsyncIterator
    from pathlib import Path
    from typing import Any

    from registry.service.registry import Registry
    from tests.tools.sites import Sites

CHECK = request("GET", "/v2/")


@asynccontextmanager
async def open_lane(peer: str | None = "192.0.2.1") -> AsyncIterator[tuple[Lane, socket.socket]]:
    """A lane, and its client; without an address it is one on a unix socket."""
    ours, client = socket.socketpair()
    scope = {"client": peer and (peer, 1), "server": None, "scheme": "http"}
    with client:
        async with trio.SocketStream(trio.socket.from_stdlib_socket(ours)) as stream:
            yield Lane(Wire(stream, 60, lambda: None), scope, lambda: None), client


def make_express(registry: Registry, burst: int = 0) -> Express:
    async def nobody(_scope: Any, _receive: Any, _send: Any) -> None: ...

    limit = RequestLimit(nobody, 0.0001, burst) if burst else None
    return Express(Exchange(registry), TrustedProxies(()), LANE_ROUTES, Repeats(registry), limit)


async def test_each_request_is_answered_by_the_settings_of_its_moment(registry: Registry) -> None:
    settings = [make_express(registry), *[make_express(registry, burst=2)] * 4]
    async with open_lane() as (lane, _):
        assert await lane.serve(lambda: settings.pop(0), CHECK * 5) == CHECK * 2


async def test_a_client_that_asks_without_end_can_be_cancelled(registry: Registry) -> None:
    async with open_lane() as (lane, client):
        with trio.CancelScope() as scope:
            scope.cancel()
            await lane.serve(lambda: make_express(registry), CHECK * 1000)
        assert scope.cancelled_caught
        assert client.recv(1 << 20).count(b"HTTP/1.1 200") == 1


async def test_what_a_cancelled_upload_has_sent_is_counted(registry: Registry) -> None:
    upload = await registry.uploads.begin(RepositoryName("a"), ANONYMOUS)
    express = make_express(registry)
    head = request("PATCH", f"/v2/a/blobs/uploads/{upload.id}", "Content-Length: 1000000")
    async with open_lane() as (lane, client), trio.open_nursery() as nursery:
        client.send(b"x" * 3000)
        nursery.start_soon(lane.serve, lambda: express, head + b"x" * 1000)
        await trio.testing.wait_all_tasks_blocked()
        nursery.cancel_scope.cancel()
    assert registry.uploads.find(upload.repository, ANONYMOUS, upload.id).offset == 4000
    counted = express.exchange.monitor.traffic.handled["blob_upload_chunk"]
    assert (counted.request_bytes.total, counted.in_flight) == (4000, 0)


async def test_what_follows_an_answer_is_not_begun_once_the_daemon_stops(registry: Registry) -> None:
    """The client may send its request again, elsewhere."""
    async with open_lane() as (lane, client):

        def settings() -> Express:
            lane.stopping = True
            return make_express(registry)

        assert await lane.serve(settings, CHECK + request("POST", "/v2/a/blobs/uploads/", body=b"x")) == b""
        received = client.recv(1 << 20)
        assert (received.count(b"HTTP/1.1 "), received.count(b"connection: close")) == (1, 1)


def stop(sites: Sites) -> None:
    async def stop_now() -> None:
        sites.server.stop()
        await trio.testing.wait_all_tasks_blocked()

    sites.call(stop_now)


def test_the_first_request_of_one_who_came_at_a_stop_is_answered_whole(tmp_path: Path) -> None:
    """Also where the lane leaves it to Hypercorn, and where it comes in pieces."""
    content = b"content" * 1000
    push = request("POST", f"/v2/a/blobs/uploads/?digest={digest_of(content)}", body=content)
    catalog = request("GET", "/v2/_catalog")
    for first, rest, status in ((push, b"", 201), (push[:-10], push[-10:], 201), (catalog[:9], catalog[9:], 200)):
        with serving(tmp_path / f"data-{len(first)}") as sites, connect(sites.both) as client:
            stop(sites)
            client.send(first)
            client.send(rest)
            answer = client.answer()
            assert (answer.status, answer.closes) == (status, True)
            assert client.ended()
