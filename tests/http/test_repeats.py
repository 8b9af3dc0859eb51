"""What is asked for again in the same words gets the same answer: as long as that stands, and not a moment longer."""

from __future__ import annotations

import json
import os
from dataclasses import replace
from time import monotonic
from typing import TYPE_CHECKING, Any

import pytest

from registry import request_log
from registry.http.answers import Answer
from registry.http.exchange import Exchange
from registry.http.express import Express
from registry.http.heads import Head
from registry.http.proxies import TrustedProxies
from registry.http.repeats import Asked, Repeats
from registry.http.routes import LANE_ROUTES
from registry.service.policy import AccessPolicy, ScrubPolicy
from registry.store import rules
from registry.store.readers import Readers
from tests.http.access_columns import basic
from tests.http.test_lane import open_lane
from tests.tools.content import CONFIG, digest_of, push_blob, push_image
from tests.tools.raw import request

if TYPE_CHECKING:
    import socket
    from collections.abc import AsyncIterator
    from pathlib import Path

    from registry.http.express import Lane
    from registry.service.registry import Registry
    from registry.store.transactions import WriteTx
    from tests.tools.asgi import Client

DATA = request("GET", "/v2/a/manifests/v1")
SETTLED = Answer(200, (("ETag", '"x"'),), b"content", is_settled=True)


def asked(**more: str) -> Asked:
    return Asked(Head("GET", "/v2/a/manifests/v1", b"", {"host": "x", **more}), LANE_ROUTES["manifest"], {"name": "a"})


def keep(
    repeats: Repeats,
    head_bytes: bytes = DATA,
    answer: Answer = SETTLED,
    principal: str = "anonymous",
    headers: dict[str, str] = {},  # noqa: B006
) -> None:
    repeats.find(head_bytes)
    repeats.keep(head_bytes, asked(**headers), principal, answer, repeats.moment)


def touch(tx: WriteTx) -> None:
    """A commit that changes nothing that anybody asks for."""
    tx.execute("SELECT 1")


async def test_an_answer_stands_until_something_is_committed(registry: Registry) -> None:
    repeats = Repeats(registry)
    keep(repeats)
    found = repeats.find(DATA)
    assert found is not None
    assert (found.answer, found.asked, found.principal) == (SETTLED, asked(), "anonymous")
    assert repeats.find(DATA + b"x") is None
    await registry.database.write(touch)
    assert repeats.find(DATA) is None


async def test_what_another_process_commits_counts_where_none_is_committed_here(registry: Registry) -> None:
    """As in a read worker, whose database is the readers' half of one."""
    assert Readers.version_now(registry.database) == (before := Readers.version_now(registry.database))
    await registry.database.write(touch)
    assert Readers.version_now(registry.database) != before


async def test_other_decisions_of_the_operator_count_at_once(registry: Registry) -> None:
    repeats = Repeats(registry)
    keep(repeats)
    registry.follow(replace(registry.policy, access=AccessPolicy(mode="basic")))
    assert repeats.find(DATA) is None


async def test_what_was_committed_while_it_was_answered_is_in_doubt(registry: Registry) -> None:
    repeats = Repeats(registry)
    repeats.find(DATA)
    before = repeats.moment
    await registry.database.write(touch)
    for _ in range(2):  # also if somebody else has asked meanwhile
        repeats.keep(DATA, asked(), "anonymous", SETTLED, before)
        assert repeats.find(DATA) is None


async def test_what_was_decided_while_it_was_answered_counts_too(registry: Registry) -> None:
    repeats = Repeats(registry)
    repeats.find(DATA)
    before = repeats.moment
    registry.follow(replace(registry.policy, access=AccessPolicy(mode="basic")))
    for _ in range(2):
        repeats.keep(DATA, asked(), "anonymous", SETTLED, before)
        assert repeats.find(DATA) is None


async def test_nothing_stands_for_longer_than_a_second(registry: Registry, monkeypatch: pytest.MonkeyPatch) -> None:
    repeats = Repeats(registry)
    keep(repeats)
    now = monotonic()
    monkeypatch.setattr("registry.http.repeats.monotonic", lambda: now + 0.9)
    assert repeats.find(DATA) is not None
    monkeypatch.setattr("registry.http.repeats.monotonic", lambda: now + 1.1)
    assert repeats.find(DATA) is None


@pytest.mark.parametrize(
    "different",
    [
        {"answer": SETTLED._replace(is_settled=False)},
        {"principal": "user"},
        {"headers": {"authorization": "Basic Og=="}},
        {"answer": SETTLED._replace(body=b"x" * 16385)},
        {"head_bytes": DATA + b"x" * 2048},
        {"headers": {f"x{number}": "" for number in range(32)}},
        {"head_bytes": request("POST", "/v2/a/blobs/uploads/")},
    ],
    ids=["not settled", "somebody", "credentials", "a large body", "many bytes", "many fields", "no read"],
)
async def test_what_is_not_given_again(registry: Registry, different: dict[str, Any]) -> None:
    repeats = Repeats(registry)
    keep(repeats, **different)
    assert repeats.find(different.get("head_bytes", DATA)) is None


async def test_only_so_much_is_kept_and_the_first_goes_first(registry: Registry) -> None:
    repeats = Repeats(registry, all_bytes=20_000)
    heads = [request("GET", f"/v2/a/manifests/v{number}") for number in range(50)]
    for data in heads:
        keep(repeats, data)
    kept = [data for data in heads if repeats.find(data)]
    assert kept == heads[-len(kept) :]
    assert 3 <= len(kept) <= 6
    for _ in range(20):  # what takes the place of another counts once
        keep(repeats, heads[-1])
    assert [data for data in heads if repeats.find(data)] == kept


class Asking:
    """A client of a lane, which counts what is answered by what is kept."""

    def __init__(self, express: Express, lane: Lane, client: socket.socket) -> None:
        self._express = express
        self._lane = lane
        self._client = client
        self.ids: list[str] = []

    async def ask(self, method: str, target: str, *headers: str) -> tuple[int, bool, bytes]:
        """Status, whether it was an answer that is given again, and the body."""
        data = request(method, target, *headers)
        is_known = self._express.repeats.find(data) is not None
        assert await self._lane.serve(lambda: self._express, data) == b""
        head, _, body = self._client.recv(1 << 20).partition(b"\r\n\r\n")
        (request_id,) = [line for line in head.split(b"\r\n") if line.startswith(b"x-request-id: ")]
        self.ids.append(request_id.removeprefix(b"x-request-id: ").decode())
        return int(head.split(b" ")[1]), is_known, body


@pytest.fixture
async def asking(registry: Registry) -> AsyncIterator[Asking]:
    express = Express(Exchange(registry), TrustedProxies(()), LANE_ROUTES, Repeats(registry))
    async with open_lane() as (lane, client):
        yield Asking(express, lane, client)


async def test_what_is_said_again_is_said_logged_and_counted_each_time(
    asking: Asking, client: Client, monkeypatch: pytest.MonkeyPatch
) -> None:
    manifest = await push_image(client, "a", "v1", b"layer")
    logged: list[request_log.Values] = []
    monkeypatch.setattr(request_log.requests, "write", lambda _level, values: logged.append(values))
    target = "/v2/a/manifests/v1"
    assert [await asking.ask("GET", target) for _ in range(3)] == [(200, n > 0, manifest) for n in range(3)]
    assert [await asking.ask("HEAD", target) for _ in range(2)] == [(200, n > 0, b"") for n in range(2)]
    same = f'If-None-Match: "{digest_of(manifest)}"'
    assert [await asking.ask("GET", target, same) for _ in range(2)] == [(304, n > 0, b"") for n in range(2)]
    assert [values[-1] for values in logged] == asking.ids
    assert len(set(asking.ids)) == 7
    fields = [values[:7] for values in logged]
    assert fields == [
        *[("GET", target, "anonymous", "a", "v1", 200, len(manifest))] * 3,
        *[("HEAD", target, "anonymous", "a", "v1", 200, 0)] * 2,
        *[("GET", target, "anonymous", "a", "v1", 304, 0)] * 2,
    ]
    counted = asking._express.exchange.monitor.traffic.handled["manifest"]
    assert {method: codes for method, (codes, _) in counted.methods.items()} == {
        "get": {200: 3, 304: 2},
        "head": {200: 2},
    }
    assert (counted.in_flight, counted.response_bytes.total) == (0, 3 * len(manifest))


async def test_a_tag_that_moved_or_went_is_never_answered_as_it_was(asking: Asking, client: Client) -> None:
    target = "/v2/a/manifests/v1"
    for number in range(3):
        manifest = await push_image(client, "a", "v1", b"%d" % number)
        assert [await asking.ask("GET", target) for _ in range(2)] == [(200, n > 0, manifest) for n in range(2)]
    await client("DELETE", target)
    assert [(await asking.ask("GET", target))[:2] for _ in range(2)] == [(404, False)] * 2


async def test_a_part_of_a_small_blob_and_a_page_of_tags(asking: Asking, client: Client) -> None:
    await push_image(client, "a", "v1", b"layer")
    for _ in range(2):
        status, _, body = await asking.ask("GET", f"/v2/a/blobs/{digest_of(b'layer')}", "Range: bytes=1-2")
        assert (status, body) == (206, b"ay")
    assert [json.loads((await asking.ask("GET", "/v2/a/tags/list"))[2])["tags"] for _ in range(2)] == [["v1"]] * 2
    assert (await asking.ask("GET", "/v2/a/tags/list?n=1"))[1] is False
    assert (await asking.ask("GET", "/v2/a/tags/list"))[1] is True


async def test_who_is_told_of_a_blob_that_nothing_refers_to_gets_a_lease_each_time(
    asking: Asking, client: Client
) -> None:
    digest = await push_blob(client, "a", b"lonely")
    for method in ("GET", "HEAD"):
        assert [(await asking.ask(method, f"/v2/a/blobs/{digest}"))[:2] for _ in range(2)] == [(200, False)] * 2


async def test_a_right_that_is_gone_is_gone_for_what_was_answered(
    asking: Asking, client: Client, registry: Registry
) -> None:
    await push_image(client, "a", "v1", b"layer")
    registry.follow(replace(registry.policy, access=AccessPolicy(mode="basic")))
    await registry.database.write(rules.put, "anonymous", "a", "pull")
    targets = ["/v2/a/manifests/v1", f"/v2/a/blobs/{digest_of(CONFIG)}", "/v2/a/tags/list"]
    for target in targets:
        assert [(await asking.ask("GET", target))[:2] for _ in range(2)] == [(200, False), (200, True)]
        bad = f"Authorization: {basic('nobody', 'wrong')}"
        assert [(await asking.ask("GET", target, bad))[:2] for _ in range(2)] == [(401, False)] * 2
    await registry.database.write(rules.remove, "anonymous", "a")
    for target in targets:
        assert (await asking.ask("GET", target))[:2] == (401, False)


async def test_each_client_is_logged_by_its_own_address(
    client: Client, registry: Registry, monkeypatch: pytest.MonkeyPatch
) -> None:
    await push_image(client, "a", "v1", b"layer")
    logged: list[str] = []
    monkeypatch.setattr(request_log.requests, "write", lambda _level, values: logged.append(values[8]))
    express = Express(Exchange(registry), TrustedProxies(["192.0.2.9"]), LANE_ROUTES, Repeats(registry))
    data = request("GET", "/v2/a/manifests/v1", "X-Forwarded-For: 203.0.113.7")
    for peer in ("192.0.2.1", "192.0.2.2", "192.0.2.9", None):
        async with open_lane(peer) as (lane, _):
            assert await lane.serve(lambda: express, data) == b""
    assert express.repeats.find(data) is not None
    assert logged == ["192.0.2.1", "192.0.2.2", "203.0.113.7", "unix"]


LARGE = bytes(range(256)) * 400


async def test_the_file_of_a_large_blob_is_opened_each_time(asking: Asking, client: Client, tmp_path: Path) -> None:
    await push_image(client, "a", "v1", LARGE)
    target = f"/v2/a/blobs/{digest_of(LARGE)}"
    before = len(os.listdir("/proc/self/fd"))
    assert [await asking.ask("GET", target) for _ in range(3)] == [(200, n > 0, LARGE) for n in range(3)]
    part = "Range: bytes=70000-99999"
    assert [await asking.ask("GET", target, part) for _ in range(2)] == [
        (206, n > 0, LARGE[70000:100000]) for n in (0, 1)
    ]
    assert len(os.listdir("/proc/self/fd")) == before
    (tmp_path / "data" / "blobs" / digest_of(LARGE).replace(":", "/")).unlink()
    assert (await asking.ask("GET", target))[:2] == (404, True)
    assert (await asking.ask("HEAD", target))[:2] == (404, False)


async def test_what_is_verified_as_it_is_sent_is_verified_each_time(
    asking: Asking, client: Client, registry: Registry
) -> None:
    await push_image(client, "a", "v1", LARGE)
    registry.follow(replace(registry.policy, scrub=ScrubPolicy(verified_seconds=0)))
    for _ in range(2):
        assert await asking.ask("GET", f"/v2/a/blobs/{digest_of(LARGE)}") == (200, False, LARGE)
