"""When the keys of an issuer are read, and how long they are good. The clock is the test's, the server is real."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import pytest
import trio
from structlog.testing import capture_logs
from trio.testing import wait_all_tasks_blocked

from registry.service.issuers import Issuers, TokenRefused
from registry.store.hops import Hops
from tests.tools.jwts import key_set, make, policy, signer
from tests.tools.key_server import KeyServer, key_server

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

    from trio.testing import MockClock

    from tests.tools.jwts import Signer

OLD, NEW = signer("old-P-256", "P-256"), signer("new-P-256", "P-256")
DAY = 24 * 3600


@pytest.fixture
def server() -> Iterator[KeyServer]:
    with key_server() as server:
        server.give(key_set(OLD))
        yield server


@pytest.fixture
def issuers(server: KeyServer, mock_clock: MockClock) -> Issuers:
    return Issuers([policy(server.url)], Hops())


async def is_good(issuers: Issuers, by: Signer = OLD) -> bool:
    try:
        await issuers.verify(make(by, "ES256"))
    except TokenRefused as error:
        if "ci has no key" not in error.reason:
            raise
        return False
    return True


async def test_keys_are_fetched_with_the_first_token_and_kept(issuers: Issuers, server: KeyServer) -> None:
    assert server.requests == []
    for _ in range(3):
        assert await is_good(issuers)
    [head] = server.requests
    assert head.startswith(b"GET /keys?x=1 HTTP/1.1\r\nHost: 127.0.0.1:")


async def test_a_token_that_fits_nothing_is_refused_without_asking(issuers: Issuers, server: KeyServer) -> None:
    headers: list[dict[str, Any]] = [{"alg": "HS256"}, {"kid": None}, {"crit": []}]
    for changes in headers:
        with pytest.raises(TokenRefused):
            await issuers.verify(make(OLD, "ES256", **changes))
    assert server.requests == []


async def test_keys_are_fresh_for_five_minutes(issuers: Issuers, server: KeyServer, mock_clock: MockClock) -> None:
    assert await is_good(issuers)
    server.give(key_set(NEW))
    mock_clock.jump(299)
    assert await is_good(issuers)
    mock_clock.jump(1)
    assert not await is_good(issuers)
    assert await is_good(issuers, NEW)
    assert len(server.requests) == 2


async def test_an_unknown_key_is_looked_for_once_in_thirty_seconds(
    issuers: Issuers, server: KeyServer, mock_clock: MockClock
) -> None:
    assert await is_good(issuers)
    mock_clock.jump(29)
    for number in range(50):
        with pytest.raises(TokenRefused):
            await issuers.verify(make(OLD, "ES256", kid=f"garbage-{number}"))
    assert len(server.requests) == 1
    server.give(key_set(OLD, NEW))
    mock_clock.jump(1)
    assert await is_good(issuers, NEW)
    assert await is_good(issuers)
    for number in range(50):
        with pytest.raises(TokenRefused):
            await issuers.verify(make(OLD, "ES256", kid=f"garbage-{number}"))
    assert len(server.requests) == 2


async def test_many_who_wait_for_the_first_keys_make_one_request(issuers: Issuers, server: KeyServer) -> None:
    server.gate.clear()
    good = []

    async def ask() -> None:
        good.append(await is_good(issuers))

    async with trio.open_nursery() as nursery:
        for _ in range(5):
            nursery.start_soon(ask)
        await trio.to_thread.run_sync(server.wait_until_asked)
        for _ in range(5):
            nursery.start_soon(ask)
        await wait_all_tasks_blocked()
        assert good == []
        server.gate.set()
    assert (good, len(server.requests)) == ([True] * 10, 1)


async def test_who_has_a_known_key_does_not_wait_for_who_reads_again(
    issuers: Issuers, server: KeyServer, mock_clock: MockClock
) -> None:
    assert await is_good(issuers)
    server.wait_until_asked()
    server.gate.clear()
    mock_clock.jump(300)
    good = []

    async def ask() -> None:
        good.append(await is_good(issuers))

    async with trio.open_nursery() as nursery:
        nursery.start_soon(is_good, issuers)
        await trio.to_thread.run_sync(server.wait_until_asked)
        nursery.start_soon(ask)
        await wait_all_tasks_blocked()
        assert good == [True]
        server.gate.set()


async def test_a_client_that_goes_away_does_not_keep_the_keys_from_being_read(
    issuers: Issuers, server: KeyServer
) -> None:
    server.gate.clear()
    async with trio.open_nursery() as nursery:
        nursery.start_soon(is_good, issuers)
        await trio.to_thread.run_sync(server.wait_until_asked)
        nursery.cancel_scope.cancel()
        server.gate.set()
    assert await is_good(issuers)
    assert len(server.requests) == 1


async def test_keys_that_were_good_are_good_for_a_day(
    issuers: Issuers, server: KeyServer, mock_clock: MockClock
) -> None:
    assert await is_good(issuers)
    server.give(b"", "503 Service Unavailable")
    with capture_logs() as log:
        for _ in range(3):
            mock_clock.jump((DAY - 1) / 3)
            assert await is_good(issuers)
        assert [(entry["event"], entry["error"]) for entry in log] == [("keys can't be read", "answered with 503")]
        mock_clock.jump(1)
        assert not await is_good(issuers)
        server.give(key_set(OLD))
        mock_clock.jump(30)
        assert await is_good(issuers)
        assert log[-1]["event"] == "keys can be read again"


async def test_an_issuer_that_was_never_reached_is_asked_again_after_thirty_seconds(
    issuers: Issuers, server: KeyServer, mock_clock: MockClock
) -> None:
    server.give(b"", "404 Not Found")
    for _ in range(3):
        assert not await is_good(issuers)
    server.give(key_set(OLD))
    assert not await is_good(issuers)
    mock_clock.jump(30)
    assert await is_good(issuers)
    assert len(server.requests) == 2


async def test_an_empty_set_takes_all_keys_away(issuers: Issuers, server: KeyServer, mock_clock: MockClock) -> None:
    assert await is_good(issuers)
    server.give(b'{"keys": []}')
    mock_clock.jump(300)
    assert not await is_good(issuers)


async def test_a_file_is_read_again_when_it_changes(tmp_path: Path, mock_clock: MockClock) -> None:
    file = tmp_path / "keys.json"
    issuers = Issuers([policy(file)], Hops())
    with capture_logs() as log:
        assert not await is_good(issuers)
    assert "No such file" in log[0]["error"]
    for keys, good in ((key_set(OLD), OLD), (key_set(NEW), NEW), (key_set(OLD), OLD)):
        file.write_bytes(keys)
        mock_clock.jump(1)
        assert await is_good(issuers, good)
        assert not await is_good(issuers, NEW if good is OLD else OLD)


@pytest.mark.parametrize("content", [b"", b'{"keys": [', b"x" * (2**20 + 1), None])
async def test_a_file_that_went_bad_leaves_the_last_keys_for_a_day(
    tmp_path: Path, mock_clock: MockClock, content: bytes | None
) -> None:
    file = tmp_path / "keys.json"
    file.write_bytes(key_set(OLD))
    issuers = Issuers([policy(file)], Hops())
    assert await is_good(issuers)
    file.unlink()
    if content is not None:
        file.write_bytes(content)
    mock_clock.jump(DAY - 1)
    assert await is_good(issuers)
    mock_clock.jump(1)
    assert not await is_good(issuers)
