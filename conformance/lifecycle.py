"""The installed daemon as a process: booted on a free port and a temporary folder, and gone afterwards."""

from __future__ import annotations

import json
import os
import secrets
import signal
import subprocess
import sys
import tempfile
import time
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING, Final

from conformance import signals
from conformance.auth import Credentials

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping

_START_SECONDS: Final = 30
_STOP_SECONDS: Final = 60
_LOOK_SECONDS: Final = 0.02


MODES: Final = ("open", "basic", "token")
"""Of the setting access.mode."""


class DaemonFailed(Exception):
    """The daemon did not start or did not stop as it should; the message ends with what it logged last."""


class Daemon:
    def __init__(self, folder: Path, settings: Mapping[str, str]) -> None:
        self.log = folder / "daemon.log"
        self._data = folder / "data"
        self._settings = settings
        self._address = "127.0.0.1:0"
        self._process: subprocess.Popen[bytes] | None = None

    @property
    def url(self) -> str:
        return f"http://{self._address}"

    def start(self) -> None:
        """Returns when it listens, after a restart on the same port. Raises DaemonFailed.

        In a session of its own, it does not hear what a terminal tells the kit, which stops it itself.
        """
        command = [sys.executable, "-m", "registry", "serve", "--data", str(self._data), "--listen", self._address]
        environment = {**os.environ, **self._settings, "CARGOHOLD_LOG__FORMAT": "json", "CARGOHOLD_LOG__LEVEL": "info"}
        before = len(self._listening())
        try:
            with self.log.open("ab") as log, signals.held():
                self._process = subprocess.Popen(  # noqa: S603 (ours)
                    command, stdout=log, stderr=log, env=environment, start_new_session=True
                )
            self._address = self._wait_for_address(self._process, before)
        except BaseException:
            self._kill()  # before it listens, it may not know yet how to stop
            raise

    def _wait_for_address(self, process: subprocess.Popen[bytes], starts_before: int) -> str:
        give_up = time.monotonic() + _START_SECONDS
        while len(addresses := self._listening()) == starts_before:
            if process.poll() is not None or time.monotonic() > give_up:
                raise DaemonFailed(f"the daemon does not listen:\n{self.last_lines()}")
            time.sleep(_LOOK_SECONDS)
        return addresses[-1]

    def stop(self) -> None:
        """SIGTERM, as a service manager does. Raises DaemonFailed."""
        if self._process is None:
            return
        self._process.send_signal(signal.SIGTERM)
        try:
            status = self._process.wait(_STOP_SECONDS)
        except subprocess.TimeoutExpired:
            self._kill()
            raise DaemonFailed(f"the daemon does not stop:\n{self.last_lines()}") from None
        self._process = None
        if status != 0:
            raise DaemonFailed(f"the daemon stopped with status {status}:\n{self.last_lines()}")

    def _kill(self) -> None:
        if self._process is not None:
            self._process.kill()
            self._process.wait()
            self._process = None

    def restart(self) -> None:
        self.stop()
        self.start()

    def make_user(self) -> Credentials:
        """A user that may do everything. Raises DaemonFailed."""
        user = Credentials("conformance", secrets.token_urlsafe())
        self._command("user", "add", user.user, "--password-stdin", input=user.password)
        self._command("grant", "add", user.user, "**", "admin")
        return user

    def _command(self, *words: str, input: str = "") -> None:  # noqa: A002 (as subprocess has it)
        command = [sys.executable, "-m", "registry", *words, "--data", str(self._data)]
        done = subprocess.run(command, input=input, text=True, capture_output=True, check=False)  # noqa: S603 (ours)
        if done.returncode != 0:
            raise DaemonFailed(f"{' '.join(words)}: {done.stderr}")

    def last_lines(self, count: int = 20) -> str:
        return "\n".join(self.log.read_text(errors="replace").splitlines()[-count:])

    def faults(self) -> list[str]:
        """What the daemon itself calls a fault."""
        lines = self.log.read_text(errors="replace").splitlines()
        return [line for line in lines if '"level":"error"' in line.replace(" ", "")]

    def _listening(self) -> list[str]:
        """The address of each start."""
        if not self.log.exists():
            return []
        lines = self.log.read_text(errors="replace").splitlines(keepends=True)
        entries = [json.loads(line) for line in lines if '"listening"' in line and line.endswith("\n")]
        return [entry["addresses"][0] for entry in entries if entry.get("event") == "listening"]


@contextmanager
def running(settings: Mapping[str, str] | None = None) -> Iterator[Daemon]:
    """A daemon with these environment variables; process and folder are gone afterwards, whatever happens."""
    with tempfile.TemporaryDirectory(prefix="conformance-") as folder:
        daemon = Daemon(Path(folder), settings or {})
        try:
            daemon.start()
            yield daemon
        finally:
            daemon.stop()
