"""The real daemon, as a process of its own."""

from __future__ import annotations

import http.client
import json
import os
import signal
import socket
import subprocess
import sys
import time
from contextlib import contextmanager
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping, Sequence
    from pathlib import Path


_HAND_OVER = """
import fcntl, os, sys
taken = [fcntl.fcntl(int(number), fcntl.F_DUPFD_CLOEXEC, 100) for number in sys.argv[1].split(",")]
for place, number in enumerate(taken, 3):
    os.dup2(number, place)
passed = {"LISTEN_FDS": str(len(taken)), "LISTEN_FDNAMES": sys.argv[2], "LISTEN_PID": str(os.getpid())}
os.execve(sys.argv[3], sys.argv[3:], {**os.environ, **passed})
"""


class Daemon:
    """``cargohold serve`` on a free port of the loopback interface; what it logs is kept in ``log``."""

    def __init__(
        self, data: Path, settings: Mapping[str, str] | None = None, limit_descriptors: int | None = None
    ) -> None:
        self.data = data
        self.log = data.parent / f"{data.name}.log"
        self._settings = dict(settings or {})
        self.prefix = [] if limit_descriptors is None else ["prlimit", f"--nofile={limit_descriptors}:4096"]
        self.program = [sys.executable, "-m", "registry"]
        self.arguments: list[str] = []
        """Of ``serve``, beside those for the folder and the port."""
        self.sockets: list[socket.socket] = []
        """Handed over as systemd does, instead of a port."""
        self.socket_names: list[str] = []
        """Of these sockets, if they are not all of one unit."""
        self.port = 0
        self.process: subprocess.Popen[bytes]

    @property
    def host(self) -> str:
        return f"127.0.0.1:{self.port}"

    def start(self) -> None:
        """Start, on the same port as before if there was one; returns when it listens."""
        serve = [*self.program, "serve", "--data", str(self.data), *self.arguments]
        command = [*self.prefix, *serve]
        numbers = [each.fileno() for each in self.sockets]
        if numbers:
            names = self.socket_names or ["cargohold.socket"] * len(numbers)
            command = [sys.executable, "-c", _HAND_OVER, ",".join(map(str, numbers)), ":".join(names), *serve]
        if "CARGOHOLD_LISTEN" not in self._settings:
            command += ["--listen", self.host]
        with socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM) as ready, self.log.open("ab") as log:
            ready.bind("")  # any free name in the abstract namespace (unix(7))
            ready.settimeout(0.1)
            name = f"@{ready.getsockname()[1:].decode()}"
            environment = {"CARGOHOLD_LOG__FORMAT": "json", "NOTIFY_SOCKET": name, **self._settings}
            environment = {**os.environ, **environment}
            self.process = subprocess.Popen(command, stderr=log, stdout=log, env=environment, pass_fds=numbers)
            while not self._is_ready(ready):
                assert self.process.poll() is None, self.log.read_text()
        address = self._listening_lines()[-1]["addresses"][0]
        self.port = 0 if address.startswith("unix:") else int(address.rpartition(":")[2])

    def _is_ready(self, ready: socket.socket) -> bool:
        """Whether it says so within a moment, as to systemd; where a test listens to that, its log tells."""
        try:
            return ready.recv(100) == b"READY=1"
        except TimeoutError:
            return "NOTIFY_SOCKET" in self._settings and bool(self._listening_lines())

    def _listening_lines(self) -> list[dict[str, Any]]:
        return [entry for entry in self.entries() if entry["event"] == "listening"]

    def entries(self) -> list[dict[str, Any]]:
        """What was logged so far."""
        if not self.log.exists():
            return []
        lines = self.log.read_text().splitlines(keepends=True)
        return [json.loads(line) for line in lines if line.startswith("{") and line.endswith("}\n")]

    def wait_for(self, event: str, count: int = 1) -> list[dict[str, Any]]:
        """The entries whose event begins like that, once there are so many."""
        deadline = time.monotonic() + 30
        while len(found := [entry for entry in self.entries() if entry["event"].startswith(event)]) < count:
            assert time.monotonic() < deadline, self.log.read_text()
            time.sleep(0.02)
        return found

    def stop(self) -> int:
        """SIGTERM; the exit status."""
        self.process.send_signal(signal.SIGTERM)
        return self.process.wait(60)

    def kill(self) -> None:
        """SIGKILL."""
        self.process.kill()
        self.process.wait()

    def restart(self) -> None:
        assert self.stop() == 0, self.log.read_text()
        self.start()

    def request(
        self, method: str, target: str, body: bytes = b"", headers: Mapping[str, str] | None = None
    ) -> tuple[int, dict[str, str], bytes]:
        """One request on a connection of its own: status, headers with lower-case names, body."""
        connection = http.client.HTTPConnection("127.0.0.1", self.port, timeout=60)
        try:
            connection.request(method, target, body, dict(headers or {}))
            response = connection.getresponse()
            return response.status, {name.lower(): value for name, value in response.getheaders()}, response.read()
        finally:
            connection.close()


@contextmanager
def running(
    data: Path,
    settings: Mapping[str, str] | None = None,
    limit_descriptors: int | None = None,
    sockets: Sequence[socket.socket] = (),
) -> Iterator[Daemon]:
    """A daemon, started with this soft limit of open files if one is given, and on these sockets."""
    daemon = Daemon(data, settings, limit_descriptors)
    daemon.sockets += sockets
    daemon.start()
    try:
        yield daemon
    finally:
        if daemon.process.poll() is None:
            daemon.kill()
