"""A daemon that is killed and started again and again, and what it acknowledged meanwhile."""

from __future__ import annotations

import json
import subprocess
import sys
import time
from typing import TYPE_CHECKING, Any

from registry.transfer.client import Client
from tests.faults.laws import broken_laws
from tests.faults.ledger import Ledger
from tests.tools.daemon import Daemon

if TYPE_CHECKING:
    from collections.abc import Iterable, Mapping, Sequence
    from pathlib import Path


class StartFailed(Exception):
    """A daemon did not start on what a fault had left."""


class Watched:
    """``prefix`` is the command before the daemon's own. Garbage collection removes at once what it has condemned."""

    def __init__(self, data: Path, prefix: Sequence[str] = (), settings: Mapping[str, str] | None = None) -> None:
        self.daemon = Daemon(data, {"CARGOHOLD_GC__HORIZON": "0.001s", **(settings or {})})
        self.ledgers: list[Ledger] = []
        self.lost: list[str] = []
        self.slowest_start = 0.0
        self._prefix = list(prefix)

    @property
    def acknowledged(self) -> int:
        return sum(ledger.acknowledged for ledger in self.ledgers)

    def ledger(self) -> Ledger:
        """Another ledger of this daemon."""
        ledger = Ledger(self.daemon)
        self.ledgers.append(ledger)
        return ledger

    def start(self, after: str) -> None:
        """Look at what was left, then start on it. Raises StartFailed."""
        self.lost += [f"{after}: {sentence}" for sentence in broken_laws(self.daemon.data)]
        started = time.monotonic()
        self.start_under(self._prefix, after)
        self.slowest_start = max(self.slowest_start, time.monotonic() - started)

    def start_under(self, prefix: Sequence[str], after: str) -> None:
        """Start as the command that another one runs. Raises StartFailed."""
        self.daemon.log.unlink(missing_ok=True)
        self.daemon.prefix = list(prefix)
        try:
            self.daemon.start()
        except AssertionError:
            log = self.daemon.log.read_text(errors="replace")[-500:]
            raise StartFailed(f"{after}: the daemon ends with {self.daemon.process.returncode}: {log}") from None

    def verify(self, after: str, ledgers: Iterable[Ledger] | None = None, *, close_uploads: bool = True) -> None:
        """Ask for what these ledgers, or all, recorded; of these only what has changed since the last time."""
        for ledger in self.ledgers if ledgers is None else ledgers:
            found = ledger.verify(self.daemon, touched_only=ledgers is not None, close_uploads=close_uploads)
            self.lost += [f"{after}: {sentence}" for sentence in found]
        if self.daemon.process.poll() is not None:
            self.lost.append(f"{after}: the daemon ended while it was asked: {self.daemon.process.returncode}")

    def operate(self, method: str, path: str, **parameters: str) -> Any:
        """One of the operator's commands."""
        with Client(self.daemon.data / "admin.sock") as client:
            return client.operate(method, path, **parameters)

    def check(self) -> None:
        """``cargohold fsck --full`` has nothing to say."""
        command = [sys.executable, "-m", "registry", "fsck", "--full", "--json", "--data", str(self.daemon.data)]
        checked = subprocess.run(command, check=False, capture_output=True, text=True)
        if checked.returncode != 0:
            findings = json.loads(checked.stdout)["findings"] if checked.stdout else checked.stderr[-500:]
            self.lost.append(f"fsck ends with {checked.returncode}: {findings}")

    def end(self) -> None:
        """Verify everything, stop, start once more and verify again; then stop for good."""
        self.verify("at the end")
        self.check()
        status = self.daemon.stop()
        if status != 0:
            self.lost.append(f"at the end: a stop ends with {status}")
        self.start("at the end")
        self.verify("at the end, after a stop")
        self.daemon.stop()

    def abandon(self) -> None:
        """Leave no process behind."""
        if self.daemon.process.poll() is None:
            self.daemon.kill()
