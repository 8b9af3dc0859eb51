"""A replica of the database that litestream makes beside the daemon, and a registry that is restored from it."""

from __future__ import annotations

import os
import re
import shutil
import signal
import subprocess
import sys
from pathlib import Path
from typing import TYPE_CHECKING

import pytest

from tests.clients.waiting import LIMIT_SECONDS, wait_until
from tests.faults.ledger import Ledger
from tests.test_readme import ROOT, blocks
from tests.tools.content import CONFIG, image
from tests.tools.daemon import running

if TYPE_CHECKING:
    from tests.tools.daemon import Daemon

EXTERNAL = {"CARGOHOLD_STORAGE__CHECKPOINT": "external"}

OFTEN = "monitor-interval: 20ms\n    checkpoint-interval: 100ms\n    min-checkpoint-page-count: 10"
"""Litestream looks at the log and takes it into the database again and again while the test goes on."""


def unusable() -> str | None:
    """Why there is no litestream to test with. Its version says nothing where it was built by hand."""
    program = shutil.which("litestream")
    if program is None:
        return "litestream is not installed"
    found = re.findall(rb"\x003\.(\d+)\.(\d+)\x00", Path(program).read_bytes())
    if not any((int(minor), int(patch)) >= (51, 3) for minor, patch in found):
        return "the SQLite of this litestream is older than 3.51.3"
    return None


UNUSABLE = unusable()

pytestmark = pytest.mark.skipif(UNUSABLE is not None, reason=str(UNUSABLE))


class Litestream:
    """With the settings of ``systemd/litestream.yml``, but other paths, and in more of a hurry."""

    def __init__(self, folder: Path, database: Path) -> None:
        self.replica = folder / "replica"
        self._database = database
        self._settings = folder / "litestream.yml"
        self._log = folder / "litestream.log"
        example = (ROOT / "systemd/litestream.yml").read_text()
        for old, new in (
            ("/var/lib/cargohold/registry.db", f"{database}\n    {OFTEN}"),
            ("/var/lib/cargohold-replica", str(self.replica)),
        ):
            assert example.count(old) == 1
            example = example.replace(old, new)
        self._settings.write_text(example)
        self._process: subprocess.Popen[bytes]

    def start(self) -> None:
        """Returns when it has written to the replica."""
        before = self._files()
        with self._log.open("ab") as log:
            self._process = subprocess.Popen(
                ["litestream", "replicate", "-config", self._settings], stdout=log, stderr=log
            )
        wait_until(lambda: self._process.poll() is not None or self._files() > before)
        assert self._process.poll() is None, self._log.read_text()

    def kill(self) -> None:
        self._process.kill()
        self._process.wait()

    def stop(self) -> None:
        """It writes what is left, and once more what was committed meanwhile."""
        self._process.send_signal(signal.SIGTERM)
        assert self._process.wait(LIMIT_SECONDS) == 0, self._log.read_text()
        with self._log.open("ab") as log:
            command = ["litestream", "replicate", "-config", self._settings, "-once"]
            subprocess.run(command, stdout=log, stderr=log, timeout=LIMIT_SECONDS, check=True)

    def restore(self, blobs: Path, data: Path) -> None:
        """As README says, into another folder."""
        script = blocks("A replica by litestream", "sh")[0]
        for old, new in (
            ("/etc/litestream.yml", self._settings),
            ("/var/lib/cargohold/registry.db", self._database),
            ("cargohold restore", f"{sys.executable} -m registry restore"),
            ("/mnt/copy/blobs", blobs),
            ("--config /etc/cargohold/config.toml", f"--data {data}"),
        ):
            assert script.count(old) == 1
            script = script.replace(old, str(new))
        done = subprocess.run(
            ["bash", "-euxc", script],
            cwd=self.replica.parent,
            capture_output=True,
            text=True,
            timeout=LIMIT_SECONDS,
            check=False,
        )
        assert done.returncode == 0, done.stdout + done.stderr
        assert "missing: 0" in done.stdout

    def _files(self) -> int:
        return sum(len(names) for _, _, names in os.walk(self.replica))


def cargohold(*arguments: str | Path) -> str:
    command = [sys.executable, "-m", "registry", *arguments]
    done = subprocess.run(command, capture_output=True, text=True, timeout=LIMIT_SECONDS, check=False)
    assert done.returncode == 0, done.stdout + done.stderr
    return done.stdout


def push(ledger: Ledger, first: int, count: int) -> None:
    for number in range(first, first + count):
        assert ledger.push("team/app", CONFIG) == 201
        manifest = image(annotations={"number": str(number)})
        assert ledger.push_manifest("team/app", manifest, ["latest", f"v{number % 7}"]) == 201
        if number % 5 == 0:
            assert ledger.delete_tag("team/app", "latest") == 202


def replicate(daemon: Daemon, litestream: Litestream, ledger: Ledger) -> None:
    """Push, while litestream and the daemon are killed; all that is acknowledged is in the replica in the end."""
    push(ledger, 0, 1)
    litestream.start()
    try:
        push(ledger, 1, 30)
        litestream.kill()
        push(ledger, 31, 10)
        litestream.start()
        push(ledger, 41, 10)
        daemon.kill()
        daemon.start()
        push(ledger, 51, 10)
        litestream.stop()
    finally:
        litestream.kill()


def test_all_that_was_acknowledged_before_the_last_sync_is_restored(tmp_path: Path) -> None:
    data, new = tmp_path / "data", tmp_path / "new"
    with running(data):
        pass  # killed while it had the log to itself
    litestream = Litestream(tmp_path, data / "registry.db")
    with running(data, EXTERNAL) as daemon:
        ledger, later = Ledger(daemon), Ledger(daemon)
        replicate(daemon, litestream, ledger)
        assert later.push("later/app", CONFIG) == 201
        assert "sound" in cargohold("db", "check", "--data", data)
        assert ledger.verify() == []

    litestream.restore(data / "blobs", new)
    with running(new) as restored:
        assert b"restored: nothing is swept" in restored.request("GET", "/ready?verbose")[2]
        assert ledger.verify(restored) == []
        assert len(later.verify(restored)) == 1  # it was pushed after the last sync
        cargohold("fsck", "--full", "--data", new)
        cargohold("recover", "--data", new)
        [warning] = restored.wait_for("litestream was here")
        assert warning["level"] == "warning"
