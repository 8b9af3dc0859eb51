"""What those who watch the daemon are told."""

from __future__ import annotations

import sqlite3
import threading
from typing import TYPE_CHECKING

import pytest
import trio

from registry.service.policy import Policy

if TYPE_CHECKING:
    from pathlib import Path

    from registry.service.registry import Registry
    from tests.tools.asgi import Client, Reply


async def test_a_healthy_registry(client: Client) -> None:
    for path, body in (("/live", b"OK"), ("/healthz", b'{"status":"ok"}'), ("/ready", b"OK"), ("/ready?push", b"OK")):
        reply = await client("GET", path)
        assert (reply.status, reply.body) == (200, body)
        assert (await client("HEAD", path)).status == 200
    assert (await client("GET", "/ready?verbose")).json() == {"ready": True, "degraded": []}


async def test_a_folder_that_can_not_be_written_fails_the_push_probe_only(client: Client, tmp_path: Path) -> None:
    (tmp_path / "data/uploads").rename(tmp_path / "data/elsewhere")
    (tmp_path / "data/uploads").touch()
    assert (await client("GET", "/ready")).status == 200
    reply = await client("GET", "/ready?push")
    assert reply.status == 503
    assert b"disk: [Errno 20] Not a directory" in reply.body
    assert (await client("GET", "/ready?push&verbose")).json()["ready"] is False


async def test_one_probe_at_a_time_and_its_answer_is_kept_for_a_second(
    client: Client, registry: Registry, monkeypatch: pytest.MonkeyPatch
) -> None:
    probes = []
    real = registry.files.probe
    monkeypatch.setattr(registry.files, "probe", lambda: (probes.append(1), real()))
    async with trio.open_nursery() as nursery:
        for _ in range(20):
            nursery.start_soon(client, "GET", "/ready?push")
    assert len(probes) == 1


async def test_a_database_that_can_not_be_read_is_not_ready(client: Client, registry: Registry) -> None:
    class Broken:
        def execute(self, _sql: str) -> None:
            raise sqlite3.OperationalError("disk I/O error")

    real, registry.database._loop_reader = registry.database._loop_reader, Broken()  # type: ignore[assignment]
    reply = await client("GET", "/ready")
    registry.database._loop_reader = real
    assert (reply.status, reply.body) == (503, b"database: disk I/O error")


class TestStall:
    @pytest.fixture
    def policy(self) -> Policy:
        return Policy(stall_seconds=0.01)

    async def test_a_call_that_does_not_return_turns_readiness_off_until_it_does(
        self, client: Client, registry: Registry
    ) -> None:
        disk_answers = threading.Event()

        def hanging_call() -> None:
            disk_answers.wait()

        async with trio.open_nursery() as nursery:
            nursery.start_soon(registry.hops, hanging_call)
            reply = await _wait_for(client, 503)
            assert b"hanging_call has taken" in reply.body
            assert (await client("GET", "/ready?push")).status == 503
            disk_answers.set()
        await _wait_for(client, 200)


async def _wait_for(client: Client, status: int) -> Reply:
    """Ask until the answer has this status; the health is looked at every second."""
    with trio.fail_after(30):
        while (reply := await client("GET", "/ready")).status != status:  # noqa: ASYNC110 (asking is what is tested)
            await trio.sleep(0.05)
    return reply
