"""The real daemon, as a process of its own."""

from __future__ import annotations

import http.client
import json
import os
import signal
import subprocess
import sys
from contextlib import contextmanager
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping
    from pathlib import Path


class Daemon:
    """``cargohold serve`` on a free port of the loopback interface; what it logs is kept in ``log``."""

    def __init__(
        self, data: Path, settings: Mapping[str, str] | None = None, limit_descriptors: int | None = None
    ) -> None:
        self.data = data
        self.log = data.parent / f"{data.name}.log"
        self._settings = dict(settings or {})
        self._prefix = [] if limit_descriptors is None else ["prlimit", f"--nofile={limit_descriptors}:4096"]
        self.port = 0
        self.process: subprocess.Popen[bytes]

    @property
    def host(self) -> str:
        return f"127.0.0.1:{self.port}"

    def start(self) -> None:
        """Start, on the same port as before if there was one; returns when it listens."""
        listening = self._listening_lines()
        command = [*self._prefix, sys.executable, "-m", "registry", "serve", "--data", str(self.data)]
        if "CARGOHOLD_LISTEN" not in self._settings:
            command += ["--listen", self.host]
        with self.log.open("ab") as log:
            self.process = subprocess.Popen(
                command, stderr=log, stdout=log, env={**os.environ, "CARGOHOLD_LOG__FORMAT": "json", **self._settings}
            )
        while len(lines := self._listening_lines()) == len(listening):
            assert self.process.poll() is None, self.log.read_text()
            os.sched_yield()
        address = lines[-1]["addresses"][0]
        self.port = 0 if address.startswith("unix:") else int(address.rpartition(":")[2])

    def _listening_lines(self) -> list[dict[str, Any]]:
        return [entry for entry in self.entries() if entry["event"] == "listening"]

    def entries(self) -> list[dict[str, Any]]:
        """What was logged so far."""
        if not self.log.exists():
            return []
        lines = self.log.read_text().splitlines(keepends=True)
        return [json.loads(line) for line in lines if line.startswith("{") and line.endswith("\n")]

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
    data: Path, settings: Mapping[str, str] | None = None, limit_descriptors: int | None = None
) -> Iterator[Daemon]:
    """A daemon, started with this soft limit of open files if one is given."""
    daemon = Daemon(data, settings, limit_descriptors)
    daemon.start()
    try:
        yield daemon
    finally:
        if daemon.process.poll() is None:
            daemon.kill()
