"""Limits, and settings that change: they count over all processes, and for each one's next request."""

from __future__ import annotations

import os
from contextlib import ExitStack
from typing import TYPE_CHECKING

import pytest

from tests.http.express_requests import LAYER
from tests.test_reload import Reloading
from tests.tools.content import digest_of
from tests.tools.raw import Connection, connect, request
from tests.tools.team import WORKERS, Team, answered_by, ask, running

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

VERSION = request("GET", "/v2/")
HUGE = os.urandom(1024 * 1024) * 16


class ReloadingTeam(Reloading, Team):
    """With a file of settings."""


@pytest.fixture
def reloading(tmp_path: Path) -> Iterator[ReloadingTeam]:
    team = ReloadingTeam(tmp_path, {WORKERS: "2"})
    team.start()
    yield team
    if team.process.poll() is None:
        team.kill()


@pytest.mark.parametrize("setting", ["CONNECTION_LIMIT", "CLIENT_CONNECTION_LIMIT"])
def test_the_longest_idle_connection_gives_way_wherever_it_is(tmp_path: Path, setting: str) -> None:
    with running(tmp_path / "data", 2, {f"CARGOHOLD_HTTP__{setting}": "6"}) as team, ExitStack() as stack:
        clients: list[Connection] = []
        for number in range(20):
            client = stack.enter_context(connect(team.port))
            clients.append(client)
            assert ask(client, VERSION).status == 200
            if number >= 6:
                assert clients[number - 6].ended()
        assert len({answered_by(ask(client, VERSION)) for client in clients[-6:]}) == 3


def test_where_all_connections_are_busy_another_one_is_refused(tmp_path: Path) -> None:
    settings = {"CARGOHOLD_HTTP__CONNECTION_LIMIT": "4", "CARGOHOLD_METRICS__LISTEN": "127.0.0.1:0"}
    with running(tmp_path / "data", 2, settings) as team, ExitStack() as stack:
        team.push(LAYER, HUGE)
        for _ in range(4):
            client = stack.enter_context(connect(team.port))
            client.send(request("GET", f"/v2/a/blobs/{digest_of(HUGE)}"))
            assert client.socket.recv(1)
        [address] = team.wait_for("listening")[0]["metrics"]
        with connect(int(address.rpartition(":")[2])) as monitor:  # asks the workers what they do
            assert ask(monitor, request("GET", "/metrics")).status == 200
        with connect(team.port) as late:
            assert ask(late, VERSION).status == 503


def test_the_requests_of_a_client_count_over_all_processes(reloading: ReloadingTeam) -> None:
    with reloading.one_to_each() as clients:
        reloading.set("[http]\nclient_requests_per_second = 0.0001\nclient_burst = 5")
        found = [ask(client, VERSION) for _ in range(4) for client in clients.values()]
    assert [answer.status for answer in found] == [200] * 5 + [429] * 3
    assert not {answered_by(answer) for answer in found} & set(reloading.workers)
    reloading.set("")
    with reloading.one_to_each() as clients:
        assert {ask(client, VERSION).status for client in clients.values()} == {200}


def test_other_settings_count_for_the_next_request(reloading: ReloadingTeam) -> None:
    with reloading.one_to_each() as clients:
        for mode, status in (("token", 401), ("open", 200), ("basic", 401), ("open", 200)):
            reloading.set(f'access.mode = "{mode}"\nhttp.external_url = "https://{mode}.example"')
            answers = {worker: ask(client, VERSION) for worker, client in clients.items()}
            assert {answered_by(answer): answer.status for answer in answers.values()} == dict.fromkeys(clients, status)
            shown = {answer.headers.get("www-authenticate", "") for answer in answers.values()}
            assert (mode == "token") == any("token.example" in each for each in shown)


def test_how_many_there_are_counts_after_a_restart(reloading: ReloadingTeam) -> None:
    del reloading._settings[WORKERS]
    reloading.restart()
    assert reloading.workers == {}
    reloading.set("[http]\nread_workers = 1")
    [waiting] = reloading.wait_for("settings that count after a restart")
    assert waiting["settings"] == ["http.read_workers"]
    reloading.restart()
    assert len(reloading.workers) == 1
