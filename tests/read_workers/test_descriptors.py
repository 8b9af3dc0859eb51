"""Where a process has no descriptor left for a connection, it loses that one, and nothing else."""

from __future__ import annotations

import resource
from contextlib import ExitStack, contextmanager, suppress
from typing import TYPE_CHECKING

import pytest

from tests.tools.raw import connect, request
from tests.tools.team import answered_by, ask, running

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

VERSION = request("GET", "/v2/")
CATALOG = request("GET", "/v2/_catalog")
_TRIES = 20


@contextmanager
def without_room(process: int) -> Iterator[None]:
    """It opens nothing, and keeps what it has."""
    before = resource.prlimit(process, resource.RLIMIT_NOFILE)
    resource.prlimit(process, resource.RLIMIT_NOFILE, (3, before[1]))
    try:
        yield
    finally:
        resource.prlimit(process, resource.RLIMIT_NOFILE, before)


def test_a_connection_that_comes_back(tmp_path: Path) -> None:
    with running(tmp_path / "data", 1) as team:
        with team.one_to_each() as clients, without_room(team.process.pid):
            [client] = clients.values()
            client.send(CATALOG)
            assert client.ended()
        assert team.request("GET", "/v2/_catalog")[0] == 200
        assert team.stop() == 0


def test_a_connection_that_is_dealt(tmp_path: Path) -> None:
    with running(tmp_path / "data", 1) as team, team.one_to_each() as clients, ExitStack() as stack:
        [(worker, client)] = clients.items()
        with without_room(team.workers[worker]):
            for _ in range(_TRIES):
                new = stack.enter_context(connect(team.port))
                with suppress(ConnectionError):
                    new.send(VERSION)
                if new.ended():
                    break
            else:
                pytest.fail("none was dealt to the worker")
            assert answered_by(ask(client, VERSION)) == worker
        with team.one_to_each() as others:
            assert set(others) == {worker}
