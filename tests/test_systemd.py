"""What systemd and the daemon tell each other, over the sockets and descriptors that they use for it."""

from __future__ import annotations

import http.client
import os
import signal
import socket
import sqlite3
import threading
import time
from contextlib import contextmanager
from typing import TYPE_CHECKING, Self

import pytest
import trio
from structlog.testing import capture_logs

from registry import daemon as life
from registry import systemd
from tests.tools.daemon import Daemon, running

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

    from registry.service.registry import Registry


@pytest.fixture
def manager(tmp_path: Path) -> Iterator[socket.socket]:
    with socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM) as manager:
        manager.bind(str(tmp_path / "notify"))
        manager.settimeout(30)
        yield manager


@contextmanager
def listening(
    family: int = socket.AF_INET, address: str | tuple[str, int] = ("127.0.0.1", 0)
) -> Iterator[socket.socket]:
    """As a socket unit holds it."""
    with socket.socket(family) as held:
        held.bind(address)
        held.listen(1024)
        yield held


def receive(manager: socket.socket) -> bytes:
    """The next message that is not the watchdog's."""
    while (message := manager.recv(1000)) == b"WATCHDOG=1":
        pass
    return message


def test_it_is_told_of_a_reload_and_when_that_began(tmp_path: Path, manager: socket.socket) -> None:
    with running(tmp_path / "data", {"NOTIFY_SOCKET": str(tmp_path / "notify")}) as daemon:
        assert receive(manager) == b"READY=1"
        asked_us = time.monotonic_ns() // 1000
        daemon.process.send_signal(signal.SIGHUP)
        reloading, moment = receive(manager).decode().splitlines()
        assert reloading == "RELOADING=1"
        name, _, microseconds = moment.partition("=")
        assert name == "MONOTONIC_USEC"
        assert int(microseconds) >= asked_us
        assert receive(manager) == b"READY=1\nSTATUS="


def test_a_refused_reload_is_the_status_that_systemctl_shows(tmp_path: Path, manager: socket.socket) -> None:
    file = tmp_path / "config.toml"
    file.touch()
    daemon = Daemon(tmp_path / "data", {"NOTIFY_SOCKET": str(tmp_path / "notify")})
    daemon.arguments = ["--config", str(file)]
    daemon.start()
    assert receive(manager) == b"READY=1"
    file.write_text("nonsense = 1")
    daemon.process.send_signal(signal.SIGHUP)
    assert receive(manager).startswith(b"RELOADING=1\n")
    ready, status = receive(manager).decode().split("\n")
    assert ready == "READY=1"
    assert status.startswith(f"STATUS=reload refused: {file}: unknown setting nonsense")
    assert daemon.stop() == 0


def test_the_watchdog_is_fed(tmp_path: Path, manager: socket.socket) -> None:
    settings = {"NOTIFY_SOCKET": str(tmp_path / "notify"), "WATCHDOG_USEC": "300000"}
    with running(tmp_path / "data", settings):
        for _ in range(4):
            while manager.recv(1000) != b"WATCHDOG=1":
                pass


def test_a_watchdog_of_another_process_is_none_of_ours(monkeypatch: pytest.MonkeyPatch) -> None:
    for usec, pid, expected in (
        ("30000000", None, 30),
        ("30000000", os.getpid(), 30),
        ("30000000", 1, None),
        ("0", None, None),
        ("soon", None, None),
        (None, None, None),
    ):
        for name, value in (("WATCHDOG_USEC", usec), ("WATCHDOG_PID", pid)):
            monkeypatch.delenv(name, raising=False)
            if value is not None:
                monkeypatch.setenv(name, str(value))
        assert systemd.watchdog_seconds() == expected, (usec, pid)


async def test_a_database_that_can_not_be_read_starves_the_watchdog(
    registry: Registry, tmp_path: Path, manager: socket.socket, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("NOTIFY_SOCKET", str(tmp_path / "notify"))
    monkeypatch.setenv("WATCHDOG_USEC", "30000")
    manager.setblocking(False)
    works = registry.database._loop_reader
    broken = sqlite3.connect(":memory:")
    broken.close()
    with trio.fail_after(30):
        async with trio.open_nursery() as nursery:
            with capture_logs() as logged:
                nursery.start_soon(life._feed_watchdog, registry)
                await trio.lowlevel.wait_readable(manager)
                registry.database._loop_reader = broken
                while not logged:
                    await trio.lowlevel.checkpoint()
                while manager_has(manager):
                    pass
                while len(logged) < 3:
                    await trio.lowlevel.checkpoint()
            nursery.cancel_scope.cancel()
    registry.database._loop_reader = works
    assert not manager_has(manager)
    assert logged[0]["event"] == "the watchdog is not fed"
    assert logged[0]["reason"].startswith("database: ")


def manager_has(manager: socket.socket) -> bytes:
    """A message that waits; nothing where there is none."""
    try:
        return manager.recv(1000)
    except BlockingIOError:
        return b""


class Load:
    """Clients that connect, ask once and go, one after the other; ``failures`` is what must stay empty."""

    def __init__(self, port: int) -> None:
        self._port = port
        self._over = threading.Event()
        self._threads = [threading.Thread(target=self._run) for _ in range(4)]
        self.failures: list[str] = []
        self.answers = 0

    def __enter__(self) -> Self:
        for thread in self._threads:
            thread.start()
        return self

    def __exit__(self, *failure: object) -> None:
        self._over.set()
        for thread in self._threads:
            thread.join()

    def _run(self) -> None:
        while not self._over.is_set():
            connection = http.client.HTTPConnection("127.0.0.1", self._port, timeout=60)
            try:
                connection.request("GET", "/v2/_catalog")
                answer = connection.getresponse()
                body = answer.read()
                if answer.status != 200:
                    self.failures.append(f"{answer.status} {body!r}")
                self.answers += 1
            except (OSError, http.client.HTTPException) as error:
                self.failures.append(repr(error))
            finally:
                connection.close()


def test_no_client_notices_restarts_while_somebody_holds_the_socket(tmp_path: Path) -> None:
    with (
        listening() as held,
        running(tmp_path / "data", sockets=[held]) as daemon,
        Load(held.getsockname()[1]) as load,
    ):
        for _ in range(5):
            answered = load.answers
            daemon.restart()
            while load.answers <= answered + 20 and not load.failures:
                os.sched_yield()
    assert load.failures == []


def test_who_connects_while_it_is_down_is_answered_when_it_is_back(tmp_path: Path) -> None:
    path = tmp_path / "socket"
    with listening(socket.AF_UNIX, str(path)) as held, running(tmp_path / "data", sockets=[held]) as daemon:
        assert daemon.wait_for("listening")[0]["addresses"] == [f"unix:{path}"]
        for end in (daemon.stop, daemon.kill):
            end()
            with socket.socket(socket.AF_UNIX) as client:
                client.settimeout(30)
                client.connect(str(path))
                client.sendall(b"GET /v2/ HTTP/1.1\r\nHost: x\r\nConnection: close\r\n\r\n")
                daemon.start()
                assert client.recv(100).startswith(b"HTTP/1.1 200")


def test_several_sockets_take_the_place_of_the_addresses_of_the_settings(tmp_path: Path) -> None:
    with listening() as one, listening() as other, running(tmp_path / "data", sockets=[one, other]) as daemon:
        addresses = [f"127.0.0.1:{each.getsockname()[1]}" for each in (one, other)]
        assert daemon.wait_for("listening")[0]["addresses"] == addresses
        for address in addresses:
            connection = http.client.HTTPConnection(address, timeout=30)
            connection.request("GET", "/v2/")
            assert connection.getresponse().status == 200
            connection.close()


def test_a_socket_of_the_network_needs_access_control_like_an_address(tmp_path: Path) -> None:
    with listening(address=("0.0.0.0", 0)) as held:
        daemon = Daemon(tmp_path / "data")
        daemon.sockets = [held]
        with pytest.raises(AssertionError, match=r"would let anybody who reaches this address"):
            daemon.start()
        assert daemon.process.wait(30) == 1


def test_a_descriptor_that_does_not_listen_is_refused_by_its_name(tmp_path: Path) -> None:
    with socket.socket() as deaf:
        daemon = Daemon(tmp_path / "data")
        daemon.sockets = [deaf]
        with pytest.raises(AssertionError, match=r"'cargohold.socket' does not listen"):
            daemon.start()
        assert daemon.process.wait(30) == 1


def test_sockets_for_another_process_are_left_alone(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("LISTEN_FDS", "1")
    monkeypatch.setenv("LISTEN_PID", "1")
    assert systemd.take_sockets() == []
    assert "LISTEN_FDS" not in os.environ
