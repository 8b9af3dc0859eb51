"""How many connections and requests there may be."""

from __future__ import annotations

import json
from contextlib import ExitStack
from typing import TYPE_CHECKING, Any

from registry.http.limits import Places, RequestLimit
from registry.http.proxies import TrustedProxies
from tests.tools.asgi import Client
from tests.tools.daemon import Daemon, running
from tests.tools.raw import Connection, connect, request
from tests.tools.tls import Pair

if TYPE_CHECKING:
    from pathlib import Path

CHECK = request("GET", "/v2/")


class Guest:
    def __init__(self, places: Places, client: str | None = None) -> None:
        self.is_stopped = False
        self.places = places
        self.is_in = places.make_room(client)
        if self.is_in:
            places.enter(self, client)

    def stop(self) -> None:
        self.is_stopped = True


def test_the_longest_idle_gives_way_first() -> None:
    places = Places(limit=3)
    first, second, third = (Guest(places) for _ in range(3))
    places.turn(first, idle=False)
    places.turn(first, idle=True)
    places.turn(third, idle=False)
    assert Guest(places).is_in
    assert (first.is_stopped, second.is_stopped, third.is_stopped) == (False, True, False)
    places.turn(second, idle=True)
    places.leave(second)
    assert len(places) == 3
    assert Guest(places).is_in
    assert first.is_stopped


def test_where_none_is_idle_nobody_comes_in() -> None:
    places = Places(limit=2)
    guests = [Guest(places), Guest(places)]
    for guest in guests:
        places.turn(guest, idle=False)
    assert not Guest(places).is_in
    places.leave(guests[0])
    assert Guest(places).is_in
    assert len(places) == 2


def test_a_client_has_a_limit_of_its_own() -> None:
    places = Places(limit=10, client_limit=2)
    busy, idle = Guest(places, "a"), Guest(places, "a")
    other = Guest(places, "b")
    places.turn(busy, idle=False)
    latest = Guest(places, "a")
    assert latest.is_in
    assert (busy.is_stopped, idle.is_stopped, other.is_stopped) == (False, True, False)
    places.turn(latest, idle=False)
    assert not Guest(places, "a").is_in
    assert all(Guest(places).is_in for _ in range(5))


def test_nothing_is_kept_of_who_has_left() -> None:
    places = Places(limit=10, client_limit=2)
    for number in range(1000):
        guest = Guest(places, f"client {number}")
        assert guest.is_in
        if number % 2:
            places.leave(guest)
    assert (len(places), len(places._clients), len(places._everybody.idle)) == (9, 9, 9)


def test_proxies_and_unix_sockets_have_no_limit_of_their_own() -> None:
    places = Places(10, 1, TrustedProxies(["10.0.0.0/8"]))
    assert [places.client_of(peer) for peer in (None, "10.1.1.1", "192.0.2.1")] == [None, None, "192.0.2.1"]
    assert places.client_of("2001:db8::1") == places.client_of("2001:db8::ffff")


def busy(daemon: Daemon, location: str) -> Connection:
    """A connection whose request is in flight: its handler has begun to read.

    A client may see an answer before the daemon has taken note that the connection is idle: then there is no place yet.
    """
    while True:
        connection = Connection(daemon.port)
        connection.send(request("PATCH", location, "Expect: 100-continue", "Content-Length: 3"))
        if (status := connection.answer().status) == 100:
            return connection
        assert status == 503
        connection.close()


def test_idle_connections_give_way_and_others_go_on(tmp_path: Path) -> None:
    with running(tmp_path / "data", {"CARGOHOLD_HTTP__CONNECTION_LIMIT": "3"}) as daemon, ExitStack() as stack:
        locations = [daemon.request("POST", "/v2/a/blobs/uploads/")[1]["location"] for _ in range(3)]
        idle = [stack.enter_context(connect(daemon.port)) for _ in range(3)]
        for client in idle:
            client.send(CHECK)
            assert client.answer().status == 200
        working = [busy(daemon, location) for location in locations]
        for client in idle:
            assert client.rest() == b""
        with connect(daemon.port) as refused:
            refused.send(CHECK)
            answer = refused.answer()
            assert (answer.status, answer.closes, answer.headers["retry-after"]) == (503, True, "1")
            assert json.loads(answer.body)["errors"][0]["code"] == "TOOMANYREQUESTS"
            assert refused.rest() == b""
        for client in working:
            client.send(b"abc")
            assert client.answer().status == 202
        assert daemon.request("GET", "/v2/")[0] == 200
        [entry] = [entry for entry in daemon.entries() if entry["level"] == "warning"]
        assert (entry["event"].split(":")[0], entry["count"]) == ("connections were refused", 1)
        for client in working:
            client.close()
        assert daemon.stop() == 0


def test_the_admin_socket_has_a_place_when_all_others_are_taken(tmp_path: Path) -> None:
    from registry.admin import connect as connect_as_operator
    from registry.service.policy import Policy

    with running(tmp_path / "data", {"CARGOHOLD_HTTP__CONNECTION_LIMIT": "1"}) as daemon:
        working = busy(daemon, daemon.request("POST", "/v2/a/blobs/uploads/")[1]["location"])
        with connect_as_operator(daemon.data, Policy()) as operator:
            assert operator.is_answered()
        working.close()


def test_by_tls_a_connection_without_a_place_is_closed(tmp_path: Path) -> None:
    pair = Pair(tmp_path)
    listen = f"127.0.0.1:0,unix:{tmp_path}/socket"
    settings = {**pair.settings, "CARGOHOLD_HTTP__CONNECTION_LIMIT": "1", "CARGOHOLD_LISTEN": listen}
    with running(tmp_path / "data", settings) as daemon:
        from tests.tools.tls import Connection as TlsConnection

        working = TlsConnection(daemon.port, pair.client_context())
        working.send(request("POST", "/v2/a/blobs/uploads/", "Content-Length: 0"))
        location = working.answer().headers["location"]
        working.send(request("PATCH", location, "Expect: 100-continue", "Content-Length: 3"))
        assert working.answer().status == 100
        with connect(daemon.port) as refused:
            assert refused.rest() == b""
        working.send(b"abc")
        assert working.answer().status == 202
        working.close()


class Clock:
    now = 0.0

    def __call__(self) -> float:
        return self.now


async def answer_ok(scope: Any, receive: Any, send: Any) -> None:
    await send({"type": "http.response.start", "status": 200, "headers": []})
    await send({"type": "http.response.body", "body": b""})


async def test_who_asks_too_often_is_told_when_to_come_back() -> None:
    clock = Clock()
    client = Client(RequestLimit(answer_ok, requests_per_second=0.5, burst=3, clock=clock))  # type: ignore[arg-type]
    assert [(await client("GET", "/v2/")).status for _ in range(5)] == [200, 200, 200, 429, 429]
    clock.now = 0.5
    refused = await client("GET", "/v2/")
    assert (refused.status, refused.codes) == (429, ["TOOMANYREQUESTS"])
    assert refused.headers["retry-after"] == "2"
    assert refused.headers["x-request-id"]
    clock.now = 2.0
    assert [(await client("GET", "/v2/")).status for _ in range(2)] == [200, 429]
    clock.now = 1000.0
    assert [(await client("GET", "/v2/")).status for _ in range(4)] == [200, 200, 200, 429]


def test_requests_are_limited_by_client_not_by_proxy(tmp_path: Path) -> None:
    settings = {
        "CARGOHOLD_HTTP__TRUSTED_PROXIES": "127.0.0.1",
        "CARGOHOLD_HTTP__CLIENT_REQUESTS_PER_SECOND": "0.001",
        "CARGOHOLD_HTTP__CLIENT_BURST": "2",
    }
    with running(tmp_path / "data", settings) as daemon, connect(daemon.port) as client:
        for address, statuses in (("1.2.3.4", [200, 200, 429, 429]), ("1.2.3.5", [200, 200, 429])):
            for status in statuses:
                client.send(request("GET", "/v2/", f"X-Forwarded-For: 9.9.9.9, {address}"))
                assert client.answer().status == status
        logged = [(entry["status"], entry["client"]) for entry in daemon.entries() if entry["event"] == "request"]
        assert logged[2:6] == [(429, "1.2.3.4"), (429, "1.2.3.4"), (200, "1.2.3.5"), (200, "1.2.3.5")]
