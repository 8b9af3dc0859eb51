"""Runs in the container, by systemd: installs the service, maltreats it, and writes down what happened.

Standard library only: it is run by the machine's own Python.
"""

from __future__ import annotations

import hashlib
import http.client
import json
import os
import signal
import subprocess
import sys
import threading
import time
from pathlib import Path

RESTARTS = 20
CONFIG = Path("/etc/cargohold/config.toml")
CARGOHOLD = "/opt/cargohold/bin/cargohold"


def run(*command: str) -> str:
    done = subprocess.run(command, capture_output=True, text=True, check=False)
    assert done.returncode == 0, (command, done.stdout, done.stderr)
    return done.stdout


def show(name: str) -> str:
    return run("systemctl", "show", "--value", f"--property={name}", "cargohold.service").strip()


def ask(method: str, target: str, body: bytes = b"") -> tuple[int, bytes]:
    """One request on a connection of its own."""
    connection = http.client.HTTPConnection("127.0.0.1", 5000, timeout=60)
    try:
        connection.request(method, target, body or None)
        answer = connection.getresponse()
        return answer.status, answer.read()
    finally:
        connection.close()


class Load:
    """Half of the clients connect for each request; the others keep their connection, and ask again on a new one when
    it turns out to have ended while it was idle, as clients do for a GET.
    """

    def __init__(self) -> None:
        self._over = threading.Event()
        self._threads = [threading.Thread(target=self._run, args=(kept,)) for kept in (True, False) * 2]
        self.failures: list[str] = []
        self.answers = 0

    def __enter__(self) -> Load:  # noqa: PYI034 (in the standard library from 3.11 on, and that Python may be older)
        for thread in self._threads:
            thread.start()
        return self

    def __exit__(self, *failure: object) -> None:
        self._over.set()
        for thread in self._threads:
            thread.join()

    def _run(self, kept: bool) -> None:
        connection = None
        while not self._over.is_set():
            is_new = connection is None
            connection = connection or http.client.HTTPConnection("127.0.0.1", 5000, timeout=60)
            try:
                connection.request("GET", "/v2/_catalog")
                answer = connection.getresponse()
                answer.read()
                self.answers += 1
                if answer.status != 200:
                    self.failures.append(str(answer.status))
                if kept and not answer.will_close:
                    continue
            except (OSError, http.client.HTTPException) as error:
                if is_new:
                    self.failures.append(repr(error))
            connection.close()
            connection = None


def until(condition: object, seconds: float = 60) -> float:
    """How long it took."""
    started = time.monotonic()
    while not condition():  # type: ignore[operator]
        assert time.monotonic() < started + seconds, condition
        time.sleep(0.01)
    return time.monotonic() - started


def install() -> dict[str, object]:
    run(CARGOHOLD, "install-service")
    run("systemd-sysusers")
    run("systemd-tmpfiles", "--create", "cargohold.conf")
    run("systemctl", "daemon-reload")
    run("systemctl", "start", "cargohold.socket", "cargohold.service")
    user = run("ps", "-o", "user=", "-p", show("MainPID")).strip()
    content = os.urandom(1024 * 1024)  # large enough to be sent as a file
    digest = f"sha256:{hashlib.sha256(content).hexdigest()}"
    status, _ = ask("POST", f"/v2/a/blobs/uploads/?digest={digest}", content)
    pulled = ask("GET", f"/v2/a/blobs/{digest}") == (200, content)
    ready, _ = ask("GET", "/ready?push")
    return {"state": show("ActiveState"), "user": user, "push": status, "pulled": pulled, "ready": ready}


def reload() -> dict[str, object]:
    before, text = show("MainPID"), CONFIG.read_text()
    CONFIG.write_text(text + "access.read_only = true\n")
    run("systemctl", "reload", "cargohold")
    until(lambda: ask("POST", "/v2/a/blobs/uploads/")[0] == 405)
    CONFIG.write_text(text + "nonsense = 1\n")
    run("systemctl", "reload", "cargohold")
    until(lambda: show("StatusText"))
    status, still = show("StatusText"), ask("POST", "/v2/a/blobs/uploads/")[0]
    CONFIG.write_text(text)
    run("systemctl", "reload", "cargohold")
    until(lambda: ask("POST", "/v2/a/blobs/uploads/")[0] == 202)
    return {"same_process": show("MainPID") == before, "status": status, "still": still, "state": show("ActiveState")}


def restart() -> dict[str, object]:
    processes = set()
    with Load() as load:
        for _ in range(RESTARTS):
            answered = load.answers
            run("systemctl", "restart", "cargohold.service")
            processes.add(show("MainPID"))
            until(lambda answered=answered: load.answers > answered + 20)  # type: ignore[misc]
    return {"processes": len(processes), "answers": load.answers, "failures": load.failures}


def read_workers() -> dict[str, object]:
    """Pulls and restarts, with what is no pull going from a worker to the main process."""
    text, content = CONFIG.read_text(), os.urandom(1024 * 1024)
    CONFIG.write_text(text + 'http.read_workers = "2"\n')
    run("systemctl", "restart", "cargohold.service")
    workers = run("ps", "-o", "pid=", "--ppid", show("MainPID")).split()
    digest = f"sha256:{hashlib.sha256(content).hexdigest()}"
    pushed, _ = ask("POST", f"/v2/a/blobs/uploads/?digest={digest}", content)
    connections = [http.client.HTTPConnection("127.0.0.1", 5000, timeout=60) for _ in range(6)]
    for connection in connections:  # all are open before the first one asks, and so they are dealt to all processes
        connection.connect()
    answers = []
    for connection in connections:
        connection.request("GET", f"/v2/a/blobs/{digest}")
        answers.append(connection.getresponse().read() == content)
        connection.close()
    os.kill(int(workers[0]), signal.SIGKILL)
    until(lambda: "another one takes its place" in run("journalctl", "-u", "cargohold.service", "--no-pager"))
    with Load() as load:
        for _ in range(RESTARTS // 4):
            answered = load.answers
            run("systemctl", "restart", "cargohold.service")
            until(lambda answered=answered: load.answers > answered + 20)  # type: ignore[misc]
    CONFIG.write_text(text)
    run("systemctl", "restart", "cargohold.service")
    return {"workers": len(workers), "push": pushed, "pulled": answers, "failures": load.failures}


def back_up() -> dict[str, object]:
    """With the daemon running, and with none."""
    for command in ("start", "stop"):
        run("systemctl", command, "cargohold.socket", "cargohold.service")
        run("systemctl", "start", "cargohold-backup.service")
    snapshots = sorted(map(str, Path("/var/lib/cargohold-backup").glob("registry-*")))
    for snapshot in snapshots:
        run(CARGOHOLD, "backup", "verify", snapshot, "--with-blobs", "/var/lib/cargohold-backup/blobs", "--full")
    run("systemctl", "start", "cargohold.socket", "cargohold.service", "cargohold-backup.timer")
    blobs = list(Path("/var/lib/cargohold-backup/blobs/sha256").iterdir())
    timer = run("systemctl", "show", "--value", "--property=ActiveState", "cargohold-backup.timer").strip()
    return {"snapshots": len(snapshots), "links": [path.stat().st_nlink for path in blobs], "timer": timer}


def kill() -> dict[str, object]:
    before = show("MainPID")
    os.kill(int(before), signal.SIGKILL)
    started = time.monotonic()
    status, _ = ask("GET", "/v2/_catalog")
    return {"status": status, "seconds": time.monotonic() - started, "other_process": show("MainPID") != before}


def hang() -> dict[str, object]:
    folder = Path("/run/systemd/system/cargohold.service.d")
    folder.mkdir(parents=True)
    (folder / "watchdog.conf").write_text("[Service]\nWatchdogSec=2\n")
    run("systemctl", "daemon-reload")
    run("systemctl", "restart", "cargohold.service")
    before = show("MainPID")
    time.sleep(5)  # longer than the watchdog would let it live, were it not fed
    fed = show("MainPID") == before
    os.kill(int(before), signal.SIGSTOP)
    seconds = until(lambda: show("MainPID") not in {before, "0"} and show("ActiveState") == "active")
    return {"fed": fed, "seconds": seconds, "status": ask("GET", "/v2/_catalog")[0], "restarts": show("NRestarts")}


def cut_off() -> dict[str, object]:
    run(CARGOHOLD, "install-service", "--no-network")
    run("systemctl", "daemon-reload")
    run("systemctl", "restart", "cargohold.service")
    ours, theirs = (os.readlink(f"/proc/{process}/ns/net") for process in ("self", show("MainPID")))
    return {"status": ask("GET", "/v2/_catalog")[0], "own_network": ours != theirs}


def stop() -> dict[str, object]:
    run("systemctl", "stop", "cargohold.socket", "cargohold.service")
    return {"result": show("Result"), "status": show("ExecMainStatus")}


def main() -> None:
    """Each step's outcome by its name, in the file that is named; the last one may be an error."""
    outcomes: dict[str, object] = {}
    try:
        for step in (install, reload, restart, read_workers, back_up, kill, hang, cut_off, stop):
            try:
                outcomes[step.__name__] = step()
            except Exception as error:  # noqa: BLE001 (told to the test)
                outcomes[step.__name__] = {"error": repr(error)}
    finally:
        Path(sys.argv[1]).write_text(json.dumps(outcomes))
        journal = subprocess.run(["journalctl", "-b", "--no-pager"], capture_output=True, text=True, check=False)
        Path(f"{sys.argv[1]}.journal").write_text(journal.stdout)


if __name__ == "__main__":
    main()
