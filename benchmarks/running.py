"""A registry that runs: pinned to its core, held while others are measured, and what it costs."""

from __future__ import annotations

import http.client
import os
import random
import signal
import socket
import subprocess
import time
from contextlib import contextmanager, suppress
from typing import TYPE_CHECKING

from benchmarks.peers import fill

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

    from benchmarks.peers import Peer

_START_SECONDS = 120
_STOP_SECONDS = 60


class StartFailed(Exception):
    """A registry ended, or answered nothing, when it was started; the message is the end of its log."""


class Running:
    """A registry with a data folder of its own."""

    def __init__(self, peer: Peer, port: int, process: subprocess.Popen[bytes]) -> None:
        self.peer = peer
        self.port = port
        self._process = process

    @property
    def is_alive(self) -> bool:
        return self._process.poll() is None

    def cpu_seconds(self) -> float:
        """User and system time of all its threads, those that ended too. Source: clock_getcpuclockid(3)."""
        return time.clock_gettime((~self._process.pid << 3) | 2)

    def resident_bytes(self, *, peak: bool = False) -> int:
        """VmRSS or, for the most so far, VmHWM. Source: proc_pid_status(5)."""
        key = "VmHWM" if peak else "VmRSS"
        with open(f"/proc/{self._process.pid}/status") as status:
            return 1024 * int(next(line for line in status if line.startswith(key)).split()[1])

    @contextmanager
    def let_run(self) -> Iterator[None]:
        """It runs in here; outside it is stopped, so that nothing that it does by itself disturbs the others."""
        self._process.send_signal(signal.SIGCONT)
        try:
            yield
        finally:
            self._process.send_signal(signal.SIGSTOP)

    def end(self) -> None:
        self._process.send_signal(signal.SIGCONT)
        self._process.terminate()
        try:
            self._process.wait(_STOP_SECONDS)
        except subprocess.TimeoutExpired:
            self._process.kill()
            self._process.wait()


@contextmanager
def running(peer: Peer, data: Path, folder: Path, core: int) -> Iterator[Running]:
    """Start it, on any free port of the loopback interface, and stop it outside ``let_run``. Raises StartFailed.

    The folder takes its configuration and its log.
    """
    data.mkdir()
    port, config, log = free_port(), folder / f"{peer.name}.config", folder / f"{peer.name}.log"
    config.write_text(fill(peer.config, data, port, config))
    environment = {name: fill(value, data, port, config) for name, value in peer.environment.items()}
    with log.open("wb") as output:
        process = subprocess.Popen(
            ["taskset", "--cpu-list", str(core), *peer.command(data, port, config)],
            stdin=subprocess.DEVNULL,
            stdout=output,
            stderr=output,
            env={**os.environ, **environment},
        )
    registry = Running(peer, port, process)
    try:
        _wait_until_it_answers(process, port, log)
        process.send_signal(signal.SIGSTOP)
        yield registry
    finally:
        registry.end()


def free_port() -> int:
    """One that the kernel doesn't give to others in the meantime: below those of ip_local_port_range (ip(7))."""
    while True:
        port = random.randrange(20000, 32768)
        with socket.socket() as listener, suppress(OSError):
            listener.bind(("127.0.0.1", port))
            return port


def _wait_until_it_answers(process: subprocess.Popen[bytes], port: int, log: Path) -> None:
    deadline = time.monotonic() + _START_SECONDS
    while process.poll() is None and time.monotonic() < deadline:
        connection = http.client.HTTPConnection("127.0.0.1", port, timeout=10)
        try:
            connection.request("GET", "/v2/")
            if connection.getresponse().status == 200:
                return
        except (OSError, http.client.HTTPException):
            pass  # not yet
        finally:
            connection.close()
        time.sleep(0.05)
    raise StartFailed(log.read_text(errors="replace")[-1000:])
