"""registry_http_*: what is counted of requests, whatever becomes of them."""

from __future__ import annotations

import json
import os
import time
from typing import TYPE_CHECKING

import pytest
from prometheus_client.parser import text_string_to_metric_families

from registry.http.access_log import ClientGone
from registry.http.app import make_app
from registry.http.limits import RequestLimit
from registry.http.monitor import Monitor
from registry.http.routes import ROUTES
from registry.http.traffic import HANDLERS, Traffic
from registry.service.damage import BlobDamaged
from tests.tools.asgi import Client, _scope
from tests.tools.content import CONFIG, begin_upload, digest_of, push_blob, push_image
from tests.tools.daemon import running
from tests.tools.raw import connect, request

if TYPE_CHECKING:
    from collections.abc import AsyncGenerator
    from pathlib import Path

    from registry.service.registry import Registry
    from registry.store.transactions import WriteTx
    from tests.tools.daemon import Daemon

BIG = os.urandom(16 * 1024 * 1024)
"""More than the buffers of two sockets hold."""


class Counts:
    """What /metrics says of requests."""

    def __init__(self, text: bytes) -> None:
        families = text_string_to_metric_families(text.decode())
        samples = [sample for each in families if each.name.startswith("registry_http_") for sample in each.samples]
        self.labels = {(name, value) for sample in samples for name, value in sample.labels.items() if name != "le"}
        self.in_flight = {
            sample.labels["handler"]: sample.value
            for sample in samples
            if sample.name == "registry_http_in_flight_requests" and sample.value
        }
        self.requests = {
            (sample.labels["handler"], sample.labels["method"], sample.labels["code"]): sample.value
            for sample in samples
            if sample.name == "registry_http_requests_total"
        }
        self._sums = {
            (each.name, each.labels.get("handler"), each.labels.get("method")): each.value for each in samples
        }

    def sum(self, what: str, handler: str, method: str | None = None) -> float:
        return self._sums[f"registry_http_{what}", handler, method]


@pytest.fixture
def monitor() -> Monitor:
    return Monitor()


@pytest.fixture
def client(registry: Registry, monitor: Monitor) -> Client:
    return Client(make_app(registry, monitor=monitor))


async def counts(registry: Registry, monitor: Monitor) -> Counts:
    """By another application: its requests are counted together with those of the first."""
    return Counts((await Client(make_app(registry, monitor=monitor))("GET", "/metrics")).body)


async def test_requests_by_end_point_method_and_code(client: Client, registry: Registry, monitor: Monitor) -> None:
    manifest = await push_image(client, "team/app", "1", b"layer")
    for method, target in (
        ("GET", "/v2/team/app/manifests/1"),
        ("HEAD", "/v2/team/app/manifests/1"),
        ("GET", "/v2/team/app/manifests/1"),
        ("GET", "/v2/team/app/manifests/2"),
        ("GET", f"/v2/team/app/blobs/{digest_of(b'layer')}"),
        ("GET", "/v2/"),
        ("GET", "/v2/_catalog"),
        ("GET", "/v2/team/app/tags/list"),
        ("GET", f"/v2/team/app/referrers/{digest_of(manifest)}"),
        ("GET", "/live"),
        ("GET", "/ready"),
    ):
        await client(method, target)
    found = await counts(registry, monitor)
    assert found.requests == {
        ("manifest", "put", "201"): 1,
        ("manifest", "get", "200"): 2,
        ("manifest", "head", "200"): 1,
        ("manifest", "get", "404"): 1,
        ("blob", "get", "200"): 1,
        ("blob_upload", "post", "201"): 2,
        ("base", "get", "200"): 1,
        ("catalog", "get", "200"): 1,
        ("tags", "get", "200"): 1,
        ("referrers", "get", "200"): 1,
    }
    assert found.in_flight == {}
    assert found.sum("request_size_bytes_sum", "manifest") == len(manifest)
    assert found.sum("request_size_bytes_sum", "blob_upload") == len(b"layer") + len(CONFIG)
    assert found.sum("response_size_bytes_sum", "blob") == len(b"layer")
    unknown = len((await client("GET", "/v2/team/app/manifests/2")).body)
    assert found.sum("response_size_bytes_sum", "manifest") == 2 * len(manifest) + unknown
    assert found.sum("request_duration_seconds_count", "manifest", "get") == 3
    assert found.sum("request_duration_seconds_sum", "manifest", "get") > 0


def test_every_end_point_of_the_api_is_counted() -> None:
    assert {route.name for route in ROUTES} - HANDLERS.keys() == {"live", "healthz", "ready", "metrics"}


async def test_what_clients_send_makes_no_label(client: Client, registry: Registry, monitor: Monitor) -> None:
    for number in range(50):
        for target in (
            f"/v2/a{number}/manifests/{number}",
            f"/{number}",
            f"/v2/x/nothing/{number}",
            "/v2/",
            "/metrics",
        ):
            await client(f"BREW{number}", target)
            await client("DELETE", target)
    found = await counts(registry, monitor)
    assert {value for name, value in found.labels if name == "handler"} == {*HANDLERS.values(), "other"}
    assert {value for name, value in found.labels if name == "method"} == {"delete", "unknown"}
    assert found.requests == {
        ("manifest", "delete", "404"): 50,
        ("other", "delete", "404"): 100,
        ("other", "delete", "405"): 100,
        ("other", "unknown", "404"): 100,
        ("other", "unknown", "405"): 150,
    }


async def test_a_client_that_asks_too_often(registry: Registry, monitor: Monitor) -> None:
    app = make_app(registry, monitor=monitor)
    client = Client(RequestLimit(app, requests_per_second=0.001, burst=1, traffic=monitor.traffic))
    assert [(await client("GET", "/v2/")).status for _ in range(3)] == [200, 429, 429]
    found = await counts(registry, monitor)
    assert found.requests == {("base", "get", "200"): 1, ("other", "get", "429"): 2}


async def test_a_request_is_in_flight_until_its_client_goes_away(
    client: Client, registry: Registry, monitor: Monitor
) -> None:
    during: list[Counts] = []

    async def body() -> AsyncGenerator[bytes, None]:
        yield b"begun"
        during.append(await counts(registry, monitor))
        raise ConnectionError

    location = await begin_upload(client, "team/app")
    await client("PATCH", location, body())
    after = await counts(registry, monitor)
    assert (during[0].in_flight, after.in_flight) == ({"blob_upload_chunk": 1}, {})
    assert after.requests["blob_upload_chunk", "patch", "400"] == 1
    assert after.sum("request_size_bytes_sum", "blob_upload_chunk") == len(b"begun")


async def test_a_client_that_has_gone_before_the_answer(client: Client, registry: Registry, monitor: Monitor) -> None:
    await push_blob(client, "team/app", b"content")

    async def receive() -> dict[str, object]:
        return {"type": "http.request", "body": b"", "more_body": False}

    async def send(_message: object) -> None:
        raise ClientGone

    target = f"/v2/team/app/blobs/{digest_of(b'content')}"
    await make_app(registry, monitor=monitor)(_scope("GET", target, []), receive, send)  # type: ignore[arg-type]
    found = await counts(registry, monitor)
    assert (found.requests["blob", "get", "499"], found.in_flight) == (1, {})
    assert found.sum("response_size_bytes_sum", "blob") == 0


async def test_an_answer_that_breaks_off(client: Client, registry: Registry, monitor: Monitor, tmp_path: Path) -> None:
    content = os.urandom(1_000_000)
    await push_blob(client, "team/app", content)
    os.truncate(tmp_path / "data/blobs" / digest_of(content).replace(":", "/"), 600_000)
    with pytest.raises(BlobDamaged):
        await client("GET", f"/v2/team/app/blobs/{digest_of(content)}")
    found = await counts(registry, monitor)
    assert (found.requests["blob", "get", "200"], found.in_flight) == (1, {})
    assert found.sum("response_size_bytes_sum", "blob") == 600_000


async def test_a_fault_of_ours(client: Client, registry: Registry, monitor: Monitor) -> None:
    await push_image(client, "team/app", "1")
    await registry.database.write(_rename, "tag", "elsewhere")
    assert (await client("GET", "/v2/team/app/tags/list")).status == 500
    await registry.database.write(_rename, "elsewhere", "tag")
    found = await counts(registry, monitor)
    assert (found.requests["tags", "get", "500"], found.in_flight) == (1, {})


def _rename(tx: WriteTx, name: str, other: str) -> None:
    tx.execute(f"ALTER TABLE {name} RENAME TO {other}")


def test_a_download_that_is_cut_off(daemon: Daemon) -> None:
    assert daemon.request("POST", f"/v2/a/blobs/uploads/?digest={digest_of(BIG)}", BIG)[0] == 201
    with connect(daemon.port, receive_bytes=4096) as connection:
        connection.send(request("GET", f"/v2/a/blobs/{digest_of(BIG)}"))
        assert wait_for(daemon, {"blob": 1}).requests == {("blob_upload", "post", "201"): 1}
        connection.reset()
    found = wait_for(daemon, {})
    assert found.requests == {("blob_upload", "post", "201"): 1, ("blob", "get", "200"): 1}
    assert found.sum("request_size_bytes_sum", "blob_upload") == len(BIG)
    assert 0 <= found.sum("response_size_bytes_sum", "blob") < len(BIG)


@pytest.mark.parametrize(
    ("sent", "method", "code"),
    [
        (b"PRI * HTTP/2.0\r\n\r\n", "unknown", "505"),
        (b"get /v2/ HTTP/1.1\r\nHost: registry\r\n\r\n", "unknown", "501"),
        (b"GET * HTTP/1.1\r\nHost: registry\r\n\r\n", "get", "400"),
        (b"no request at all\r\n\r\n", "unknown", "400"),
        (b"GET /" + b"x" * 70_000, "unknown", "431"),
    ],
)
def test_what_is_refused_before_the_application(daemon: Daemon, sent: bytes, method: str, code: str) -> None:
    with connect(daemon.port) as client:
        client.send_what_is_taken(sent)
        assert client.answer().status == int(code)
    assert Counts(daemon.request("GET", "/metrics")[2]).requests == {("other", method, code): 1}


def test_a_body_that_breaks_off_in_nonsense_counts_where_it_belongs(daemon: Daemon) -> None:
    location = daemon.request("POST", "/v2/a/blobs/uploads/")[1]["location"]
    with connect(daemon.port) as client:
        client.send(request("PATCH", location, "Transfer-Encoding: chunked", "Expect: 100-continue"))
        assert client.answer().status == 100
        client.send(b"no chunk\r\n")
        assert client.answer().status == 400
    found = wait_for(daemon, {})
    assert {key[:2]: count for key, count in found.requests.items()} == {
        ("blob_upload", "post"): 1,
        ("blob_upload_chunk", "patch"): 1,
    }


def test_a_connection_without_a_place(tmp_path: Path) -> None:
    with running(tmp_path / "data", {"CARGOHOLD_HTTP__CONNECTION_LIMIT": "1"}) as daemon:
        target = f"/v2/a/blobs/uploads/?digest={digest_of(b'abc')}"
        with connect(daemon.port) as working:
            working.send(request("POST", target, "Expect: 100-continue", "Content-Length: 3"))
            assert working.answer().status == 100
            with connect(daemon.port) as refused:
                refused.send(request("GET", "/v2/"))
                assert refused.answer().status == 503
            working.send(b"abc")
            assert working.answer().status == 201
            working.send(request("GET", "/metrics"))
            found = Counts(working.answer().body)
    assert found.requests == {("blob_upload", "post", "201"): 1, ("other", "get", "503"): 1}


def wait_for(daemon: Daemon, in_flight: dict[str, float]) -> Counts:
    deadline = time.monotonic() + 60
    while (found := Counts(daemon.request("GET", "/metrics")[2])).in_flight != in_flight:
        assert time.monotonic() < deadline, found.in_flight
    return found


async def test_what_other_processes_count_is_summed(registry: Registry, monitor: Monitor) -> None:
    theirs, source = Traffic(), object()
    done, flying, left = (theirs.begin("GET") for _ in range(3))
    for record in (done, flying, left):
        record.route("blob")
    done.end(206, 0, 5000)
    left.drop()
    ours = monitor.traffic.begin("GET")
    ours.route("blob")
    ours.end(206, 0, 1)
    for _ in range(2):  # what was taken once is nothing the second time
        monitor.traffic.add(source, json.loads(json.dumps(theirs.take())))
    found = await counts(registry, monitor)
    assert found.requests == {("blob", "get", "206"): 2}
    assert monitor.traffic.in_flight("blob") == 1
    flying.end(200, 0, 0)
    monitor.traffic.add(source, theirs.take())
    assert monitor.traffic.in_flight("blob") == 0
    theirs.begin("GET").route("blob")
    monitor.traffic.add(source, theirs.take())
    assert monitor.traffic.in_flight("blob") == 1
    monitor.traffic.forget(source)
    assert monitor.traffic.in_flight("blob") == 0
    assert (await counts(registry, monitor)).requests == {("blob", "get", "206"): 2, ("blob", "get", "200"): 1}
