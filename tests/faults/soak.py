"""Pushes, pulls and deletes by many clients over HTTP, while garbage collection with the shortest ages never stops."""

from __future__ import annotations

import json
import subprocess
import sys
import threading
import time
from collections import Counter
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any

from registry.transfer.client import Client as Operator
from tests.faults.report import Report
from tests.faults.schedule import in_memory
from tests.faults.soak_client import SHARED, TAGS, Client, Failed, Pool
from tests.tools.daemon import running

if TYPE_CHECKING:
    from collections.abc import Callable
    from pathlib import Path

    from tests.tools.daemon import Daemon

_CLIENTS = 6

_SHORT_SECONDS = 24.0

_FULL_EVENTS = 1_000_000

LEASE_SECONDS = 3.0

_PATIENCE_SECONDS = LEASE_SECONDS * 3 / 4
"""A lease is not renewed in its first quarter, so that a HEAD promises three quarters at least."""

SETTINGS = {
    "CARGOHOLD_GC__INTERVAL": "0.2s",
    "CARGOHOLD_GC__GRACE": f"{LEASE_SECONDS}s",
    "CARGOHOLD_GC__LEASE_SECONDS": str(LEASE_SECONDS),
    "CARGOHOLD_GC__UNTAGGED_AFTER": f"{LEASE_SECONDS}s",
    "CARGOHOLD_GC__HORIZON": "0.5s",
    "CARGOHOLD_BACKUP__INTERVAL": "20s",
}

_WALK_SECONDS = 1.0
"""How often the operator asks for a run, which looks for files without a row too."""


def run(folder: Path, *, full: bool) -> Report:
    """For so long, or (``full``) for so many events."""
    with in_memory(folder) as fast, running(fast / "data", SETTINGS) as daemon:
        soak = Soak(daemon)
        end = time.monotonic() + _SHORT_SECONDS
        soak.run((lambda: soak.events < _FULL_EVENTS) if full else (lambda: time.monotonic() < end))
        return soak.report()


@dataclass
class Soak:
    """Clients in threads of their own, and an operator beside them."""

    daemon: Daemon
    seed: int = 1
    lost: list[str] = field(default_factory=list)
    seconds: float = 0.0

    def __post_init__(self) -> None:
        pool = Pool(self.seed)
        self._clients = [Client(self.daemon, pool, each, self.seed, _PATIENCE_SECONDS) for each in range(_CLIENTS)]
        self._going_on = True

    @property
    def events(self) -> int:
        """Requests that were answered."""
        return sum(client.tally.events for client in self._clients)

    @property
    def failures(self) -> list[str]:
        return [*(sentence for client in self._clients for sentence in client.tally.lost), *self.lost]

    def run(self, is_going_on: Callable[[], bool]) -> None:
        """Let the clients act for as long as this is so, and nothing was lost; then look at everything."""
        threads = [threading.Thread(target=self._act, args=(client,)) for client in self._clients]
        started = time.monotonic()
        for thread in threads:
            thread.start()
        try:
            while is_going_on() and not self.failures and threads[0].is_alive():
                threads[0].join(_WALK_SECONDS)
                self._collect()
        finally:
            self._going_on = False
            for thread in threads:
                thread.join()
        self.seconds = time.monotonic() - started
        self._look_at_everything()

    def report(self) -> Report:
        tallies = [client.tally for client in self._clients]
        garbage = self._status["garbage"]
        acts = sum((tally.acts for tally in tallies), Counter[str]())
        figures: dict[str, Any] = {
            "events": f"{self.events:,}",
            "events/s": f"{self.events / self.seconds:,.0f}",
            "failed pushes": sum(any(word in each for word in ("push_", "retag")) for each in self.failures),
            "blobs skipped": f"{sum(tally.skipped for tally in tallies):,}",
            "blobs uploaded": f"{sum(tally.uploaded for tally in tallies):,}",
            "pulls": f"{sum(tally.pulls for tally in tallies):,}",
            "retags": f"{acts['retag']:,}",
            "slowest push": f"{max(tally.slowest_push for tally in tallies):.2f} s",
            "failed because slower than the lease": sum(tally.slow for tally in tallies),
            "runs of gc": f"{garbage['runs']:,}",
            **{name: f"{count:,}" for name, count in garbage["all_time"].items()},
        }
        pushes = sum(tally.pushes for tally in tallies)
        return Report("soak", garbage["runs"], pushes, self.failures, figures)

    def _act(self, client: Client) -> None:
        try:
            while self._going_on:
                client.act()
        finally:
            self._going_on = False
            client.close()

    def _collect(self) -> None:
        with Operator(self.daemon.data / "admin.sock") as operator:
            operator.operate("POST", "gc")

    def _look_at_everything(self) -> None:
        """Every tag leads to all its content, fsck finds nothing, and the daemon has nothing to complain of."""
        reader = self._clients[0]
        names = [*SHARED, *(f"soak/own-{number}" for number in range(_CLIENTS))]
        for name in names:
            for tag in TAGS:
                try:
                    reader.pull(name, tag)
                except Failed as error:
                    self.lost.append(f"at the end: {name}:{tag} can't be pulled: {error}")
        reader.close()
        command = [sys.executable, "-m", "registry", "fsck", "--full", "--data", str(self.daemon.data)]
        checked = subprocess.run(command, check=False, capture_output=True, text=True)
        if checked.returncode != 0:
            self.lost.append(f"fsck ends with {checked.returncode}: {checked.stdout[-500:]}{checked.stderr[-500:]}")
        with Operator(self.daemon.data / "admin.sock") as operator:
            self._status = operator.operate("GET", "gc")
        if self._status["garbage"]["last_failure"] is not None:
            self.lost.append(f"garbage collection failed: {self._status['garbage']['last_failure']}")
        if (status := self.daemon.stop()) != 0:
            self.lost.append(f"the daemon's stop ends with {status}")
        self._look_at_log()

    def _look_at_log(self) -> None:
        with self.daemon.log.open(encoding="utf-8") as lines:
            for line in lines:
                if '"level": "error"' in line or '"level":"error"' in line or not line.startswith("{"):
                    self.lost.append(f"the daemon logged: {json.loads(line) if line.startswith('{') else line}")
