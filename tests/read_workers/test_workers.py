"""The life of read workers: they come and go with the daemon, and with them nothing is lost."""

from __future__ import annotations

import os
import resource
import signal
import socket
from contextlib import ExitStack
from functools import partial
from typing import TYPE_CHECKING

import pytest

from tests.http.express_requests import LAYER
from tests.tools.content import digest_of
from tests.tools.raw import Connection, connect, request
from tests.tools.team import answered_by, ask, running, wait_for_end
from tests.tools.tls import Pair

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

    from tests.tools.team import Team

VERSION = request("GET", "/v2/")
MANIFEST = request("GET", "/v2/a/manifests/v1")
HUGE = os.urandom(1024 * 1024) * 16
BLOB = request("GET", f"/v2/a/blobs/{digest_of(HUGE)}")
RUNS = "a read worker runs"


@pytest.fixture
def team(tmp_path: Path) -> Iterator[Team]:
    with running(tmp_path / "data", 2, {"CARGOHOLD_HTTP__DRAIN_SECONDS": "120"}) as team:
        yield team


def begin(client: Connection) -> None:
    """Ask for a large blob, more than fits between the two, and see it begin."""
    client.send(BLOB)
    assert client.socket.recv(1, socket.MSG_PEEK)


def scraped(team: Team, line: str) -> float:
    """The value of a line of /metrics that begins like this."""
    lines = team.request("GET", "/metrics")[2].decode().splitlines()
    return sum(float(each.rpartition(" ")[2]) for each in lines if each.startswith(line))


def test_a_worker_that_is_killed_breaks_its_connections_and_another_takes_its_place(team: Team) -> None:
    manifest = team.push(LAYER, HUGE)
    before = team.workers
    with team.one_to_each() as clients:
        (killed, broken), (_, other) = clients.items()
        begin(broken)
        os.kill(before[killed], signal.SIGKILL)
        with pytest.raises(EOFError):
            broken.answer()
        assert ask(other, MANIFEST).body == manifest
        for _ in range(5):  # new ones meet a process that lives
            with connect(team.port) as new:
                assert ask(new, MANIFEST).body == manifest
        team.wait_for(RUNS, 3)
        [ended] = team.wait_for("a read worker ended")
        assert (ended["status"], ended["pause_seconds"]) == (-signal.SIGKILL, 0)
    with team.one_to_each() as clients:
        assert killed not in clients
        assert all(ask(client, MANIFEST).body == manifest for client in clients.values())


def test_a_worker_that_hangs_is_ended(tmp_path: Path) -> None:
    with running(tmp_path / "data", 1, {"CARGOHOLD_STORAGE__STALL_SECONDS": "5"}) as team:
        with team.one_to_each() as clients:
            [(hung, client)] = clients.items()
            os.kill(team.workers[hung], signal.SIGSTOP)
            assert client.ended()
        assert team.wait_for("a read worker does not answer")
        team.wait_for(RUNS, 2)
        with team.one_to_each() as clients:
            assert hung not in clients


def test_a_worker_that_may_not_have_more_files_lets_a_connection_end(tmp_path: Path) -> None:
    with running(tmp_path / "data", 1) as team:
        [worker] = team.workers.values()
        before = resource.prlimit(worker, resource.RLIMIT_NOFILE)
        with team.one_to_each() as clients:
            held = {int(number) for number in os.listdir(f"/proc/{worker}/fd")}
            first_free = min(set(range(len(held) + 1)) - held)
            resource.prlimit(worker, resource.RLIMIT_NOFILE, (first_free, before[1]))
            with connect(team.port) as main, connect(team.port) as more:
                assert ask(main, VERSION).status == 200
                assert more.ended()
            resource.prlimit(worker, resource.RLIMIT_NOFILE, before)
            assert all(ask(client, VERSION).status == 200 for client in clients.values())
        with team.one_to_each() as clients:
            assert len(clients) == 1


def test_no_worker_outlives_the_daemon(team: Team) -> None:
    with team.one_to_each() as clients:
        begun = list(team.workers.values())
        team.kill()
        for process in begun:
            wait_for_end(process)
        assert all(client.ended() for client in clients.values())
    team.start()
    assert team.request("GET", "/v2/")[0] == 200


def test_a_stop_lets_what_was_begun_end(team: Team) -> None:
    team.push(LAYER, HUGE)
    workers = list(team.workers.values())
    with team.one_to_each() as clients, ExitStack() as stack:
        idle = [stack.enter_context(connect(team.port)) for _ in range(6)]
        for client in idle:
            assert ask(client, VERSION).status == 200
        for client in clients.values():
            begin(client)
        team.process.send_signal(signal.SIGTERM)
        assert all(client.ended() for client in idle)
        for client in clients.values():
            assert b"".join(iter(partial(client.socket.recv, 1024 * 1024), b"")).endswith(HUGE)
        assert team.process.wait(60) == 0
    for process in workers:
        wait_for_end(process)
    left = {path.name for path in team.data.glob("registry.db*")}
    assert left == {"registry.db"}  # the last to close was the one that checkpoints


def test_a_signal_to_all_processes_is_the_daemons_alone(team: Team) -> None:
    """As a service manager sends it, and a terminal."""
    with team.one_to_each() as clients:
        for process in team.workers.values():
            for number in (signal.SIGTERM, signal.SIGINT, signal.SIGHUP):
                os.kill(process, number)
        for worker, client in clients.items():
            assert answered_by(ask(client, VERSION)) == worker
    assert team.stop() == 0
    assert not [entry for entry in team.entries() if entry["event"].startswith("a read worker ended")]


def test_what_workers_count_is_summed_and_stays_when_one_is_killed(team: Team) -> None:
    team.push(LAYER, HUGE)
    counted = 'registry_http_requests_total{code="200",handler="manifest",method="get"}'
    in_flight = 'registry_http_in_flight_requests{handler="blob"}'
    with team.one_to_each() as clients:
        for number, client in enumerate(clients.values(), 1):
            for _ in range(10 * number):
                ask(client, MANIFEST)
        assert scraped(team, counted) == 30
        for client in clients.values():
            begin(client)
        assert scraped(team, in_flight) == 2
        os.kill(team.workers[next(iter(clients))], signal.SIGKILL)
        team.wait_for("a read worker ended")
        assert (scraped(team, counted), scraped(team, in_flight)) == (30, 1)
        team.wait_for(RUNS, 3)
    before = scraped(team, "registry_storage_action_seconds_count")
    with team.one_to_each() as clients:
        for client in clients.values():
            ask(client, MANIFEST)
            ask(client, request("GET", "/v2/a/tags/list"))
    assert scraped(team, counted) == 32
    assert scraped(team, "registry_storage_action_seconds_count") >= before + 2


def test_every_request_is_one_line_in_the_log(team: Team) -> None:
    team.push(LAYER)
    with team.one_to_each() as clients:
        for client in clients.values():
            client.send(MANIFEST * 500)
        for client in clients.values():
            assert {client.answer().status for _ in range(500)} == {200}
    assert team.stop() == 0
    lines = team.log.read_text().splitlines()
    assert all(line.startswith("{") and line.endswith("}") for line in lines)
    asked = [entry for entry in team.entries() if entry["event"] == "request" and entry["reference"] == "v1"]
    assert len([entry for entry in asked if entry["method"] == "GET"]) == 1000
    assert len({entry["request_id"] for entry in asked}) == len(asked)


def test_a_worker_is_small_and_has_no_tls(team: Team) -> None:
    team.push(LAYER, HUGE)
    with team.one_to_each() as clients:
        for worker, client in clients.items():
            for message in (BLOB, *(VERSION, MANIFEST, request("GET", "/v2/a/tags/list")) * 100):
                assert ask(client, message).status == 200
            folder = f"/proc/{team.workers[worker]}"
            with open(f"{folder}/status", encoding="ascii") as status, open(f"{folder}/maps", encoding="utf-8") as maps:
                [resident] = [line.split()[1] for line in status if line.startswith("VmRSS:")]
                assert "libssl" not in maps.read()
            assert int(resident) <= 30 * 1024


def test_without_workers_there_are_none(tmp_path: Path) -> None:
    with running(tmp_path / "data", 0) as alone:
        assert alone.request("GET", "/v2/")[0] == 200
        assert alone.workers == {}


def test_tls_is_spoken_by_the_main_process_alone(tmp_path: Path) -> None:
    settings = dict(Pair(tmp_path).settings)
    with running(tmp_path / "data", 2, settings) as team:
        assert team.wait_for("no read workers")
        assert team.workers == {}
    settings["CARGOHOLD_LISTEN"] = f"unix:{tmp_path}/socket"
    with running(tmp_path / "more", 1, settings) as team, socket.socket(socket.AF_UNIX, socket.SOCK_STREAM) as client:
        client.connect(f"{tmp_path}/socket")
        client.sendall(VERSION)
        [worker] = team.workers
        assert f"x-request-id: {worker}-".encode() in client.recv(10_000)
