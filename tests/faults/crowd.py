"""Many large uploads and pulls at once, in little memory.

Where systemd runs, the daemon runs in a scope that may not have more, the kernel's pages for its files included;
elsewhere its largest resident set is held against the limit.
"""

from __future__ import annotations

import hashlib
import os
import shutil
import subprocess
import threading
import time
from http.client import HTTPConnection, HTTPException
from pathlib import Path
from typing import TYPE_CHECKING

from tests.faults.report import Report
from tests.tools.daemon import Daemon

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator, Mapping
    from http.client import HTTPResponse

KIND = "crowd"

CROWD = 64
"""Uploads, and as many pulls."""

_MIB = 1024 * 1024

LIMIT_BYTES = 256 * _MIB

_SHORT_BYTES, _FULL_BYTES = 16 * _MIB, 1024 * _MIB

_UNIT_BYTES = 5_003
"""A prime: what is moved by pages or blocks is not the same."""

_SLEEPER = 8
"""One pull in so many reads its first bytes, and the rest when all others are over."""

_PATIENCE_SECONDS = 1800

_BEGIN_SECONDS = 60
"""How long all have to begin."""

_SETTINGS = {"CARGOHOLD_HTTP__STALL_SECONDS": str(2 * _PATIENCE_SECONDS)}
"""Sleepers are let sleep, as long as they ever do; nothing else of the clients' is slower."""

_NAME = "crowd"


def run(folder: Path, *, full: bool) -> Report:
    report = Report(KIND)
    wanted = _FULL_BYTES if full else _SHORT_BYTES
    fits = shutil.disk_usage(folder).free // 2 // (CROWD + 2) // _MIB * _MIB
    if fits < _MIB:
        return Report(KIND, skipped=f"{CROWD} uploads of 1 MiB do not fit into half of what {folder} has free")
    if fits < wanted:
        report.figures["less than wanted, for want of room"] = f"{fits // _MIB} instead of {wanted // _MIB} MiB each"
    gather(folder / "data", report, min(fits, wanted))
    return report


def gather(data: Path, report: Report, size: int, settings: Mapping[str, str] | None = None) -> None:
    """Let all of them come, and see what it took."""
    daemon = Daemon(data, {**_SETTINGS, **(settings or {})})
    prefix = scope()
    daemon.prefix = prefix
    daemon.start()
    try:
        _meet(Crowd(daemon, size), report)
        peak = peak_bytes(daemon)
        if peak > LIMIT_BYTES:
            report.lost.append(f"the daemon had {peak / _MIB:.0f} MiB in memory, most is {LIMIT_BYTES // _MIB} MiB")
        report.figures["peak"] = f"{peak / _MIB:.0f} MiB"
        if (status := daemon.stop()) != 0:
            report.lost.append(f"the daemon's stop ends with {status}")
    except ProcessLookupError:
        log = daemon.log.read_text(errors="replace")[-300:]
        report.lost.append(f"the daemon ended with {daemon.process.poll()}: {log}")
    finally:
        if daemon.process.poll() is None:
            daemon.kill()
    report.figures["limit"] = f"{LIMIT_BYTES // _MIB} MiB {'of a systemd scope' if prefix else 'held against the peak'}"


def scope() -> list[str]:
    """The command that runs another one within the limit; nothing where systemd does not take it."""
    if not Path("/run/systemd/system").exists() or shutil.which("systemd-run") is None:
        return []
    limit = ["-p", f"MemoryMax={LIMIT_BYTES}", "-p", "MemorySwapMax=0"]
    command = ["systemd-run", "--scope", "--quiet", "--collect", *limit]
    return command if subprocess.run([*command, "true"], capture_output=True, check=False).returncode == 0 else []


def peak_bytes(daemon: Daemon) -> int:
    """The largest resident set so far (VmHWM, proc_pid_status(5)). Raises ProcessLookupError where it has ended."""
    lines = Path(f"/proc/{daemon.process.pid}/status").read_text("ascii").splitlines()
    found = [line.split()[1] for line in lines if line.startswith("VmHWM:")]
    if not found:  # a process that has ended, and nobody has waited for, has no memory
        raise ProcessLookupError
    return int(found[0]) * 1024


def _meet(crowd: Crowd, report: Report) -> None:
    started = time.monotonic()
    if not crowd.put_first():
        report.lost += crowd.faults
        return
    acts = [crowd.upload] * CROWD + [crowd.pull] * CROWD
    threads = [threading.Thread(target=crowd.take_part, args=(act, number)) for number, act in enumerate(acts)]
    for thread in threads:
        thread.start()
    for thread in threads:
        if thread not in crowd.sleepers(threads):
            thread.join()
    crowd.others_are_over.set()
    for thread in threads:
        thread.join()
    seconds = time.monotonic() - started
    crowd.look_back()
    report.states += len(acts)
    report.acknowledged += crowd.acknowledged
    report.lost += crowd.faults
    report.figures |= {
        "at once": f"{crowd.most_at_once} of {len(acts)}",
        "each": f"{crowd.size // _MIB} MiB",
        "moved": f"{len(acts) * crowd.size / _MIB / seconds:.0f} MiB/s",
    }


class Content:
    """Bytes of which no two pieces are the same, made anew each time they are needed.

    Within a piece they come again after ``_UNIT_BYTES``: the memory is the subject, and a file system that compresses
    then holds sizes that the disk has no room for.
    """

    def __init__(self, seed: bytes, size: int) -> None:
        self.size = size
        self._block = (hashlib.shake_256(seed).digest(_UNIT_BYTES) * (_MIB // _UNIT_BYTES + 1))[:_MIB]
        content_hash = hashlib.sha256()
        for piece in self.pieces():
            content_hash.update(piece)
        self.digest = f"sha256:{content_hash.hexdigest()}"

    def pieces(self) -> Iterator[bytes]:
        """Of 1 MiB each."""
        for number in range(self.size // _MIB):
            yield number.to_bytes(8, "big") + self._block[8:]


class Crowd:
    """The clients. All hold a part of a request or of an answer before the first one goes on."""

    def __init__(self, daemon: Daemon, size: int) -> None:
        self.size = size
        self.faults: list[str] = []
        self.acknowledged = self.most_at_once = 0
        self.others_are_over = threading.Event()
        self._daemon = daemon
        self._pulled, self._pushed = Content(b"pulled", size), Content(b"pushed", size)
        self._all_have_begun = threading.Barrier(2 * CROWD, self._count)

    def put_first(self) -> bool:
        """Push what is pulled later."""
        self.take_part(self._push_alone, 0)
        return not self.faults

    def take_part(self, act: Callable[[int], None], number: int) -> None:
        """One client; what goes wrong is kept."""
        try:
            act(number)
        except (OSError, HTTPException, threading.BrokenBarrierError) as error:
            self.faults.append(f"{act.__name__.strip('_')} {number} is not answered: {error!r}")
            self._all_have_begun.abort()

    def sleepers(self, threads: list[threading.Thread]) -> list[threading.Thread]:
        return threads[CROWD::_SLEEPER]

    def upload(self, number: int) -> None:
        """One in eight is closed, by a PUT or as a push in one request; the others are cancelled in the end."""
        connection = self._connect()
        way = number % 8
        target = self._begin(connection) if way else f"/v2/{_NAME}/blobs/uploads/?digest={self._pushed.digest}"
        method = {0: "POST", 1: "PUT"}.get(way, "PATCH")
        if way == 1:
            target += f"?digest={self._pushed.digest}"
        status = self._send(connection, method, target, chunked=way in {2, 3})
        self._expect(f"{method} {number}", status, 202 if way > 1 else 201)
        if way > 1:
            connection.request("DELETE", target)
            self._expect(f"cancel {number}", _status(connection.getresponse()), 204)
        connection.close()

    def pull(self, number: int) -> None:
        connection = self._connect()
        connection.request("GET", f"/v2/{_NAME}/blobs/{self._pulled.digest}")
        response = connection.getresponse()
        self._expect(f"pull {number}", response.status, 200)
        buffer = bytearray(_MIB)
        for position, piece in enumerate(self._pulled.pieces()):
            if not _fill(response, buffer):
                self.faults.append(f"pull {number} ends in MiB {position} of {self.size // _MIB}")
                break
            if position == 0:
                self._all_have_begun.wait(_BEGIN_SECONDS)
                if (number - CROWD) % _SLEEPER == 0:
                    self.others_are_over.wait(_PATIENCE_SECONDS)
            if buffer != piece:
                self.faults.append(f"pull {number}: MiB {position} of {self.size // _MIB} is wrong")
                break
        connection.close()

    def look_back(self) -> None:
        """What was uploaded is there, and of the rest nothing is left."""
        self.take_part(self._pull_pushed, 0)
        left = set(os.listdir(self._daemon.data / "uploads")) - {"probe"}
        if left:
            self.faults.append(f"left in uploads/: {sorted(left)[:5]}")

    def _count(self) -> None:
        self.most_at_once = self._all_have_begun.parties

    def _push_alone(self, number: int) -> None:
        connection = self._connect()
        target = f"/v2/{_NAME}/blobs/uploads/?digest={self._pulled.digest}"
        connection.request("POST", target, self._pulled.pieces(), {"Content-Length": str(self.size)})
        self._expect("the first push", _status(connection.getresponse()), 201)
        connection.close()

    def _pull_pushed(self, number: int) -> None:
        connection, content_hash = self._connect(), hashlib.sha256()
        connection.request("GET", f"/v2/{_NAME}/blobs/{self._pushed.digest}")
        response = connection.getresponse()
        while piece := response.read(_MIB):
            content_hash.update(piece)
        if (response.status, f"sha256:{content_hash.hexdigest()}") != (200, self._pushed.digest):
            self.faults.append(f"what was uploaded is answered with {response.status} {content_hash.hexdigest()}")
        connection.close()

    def _connect(self) -> HTTPConnection:
        return HTTPConnection("127.0.0.1", self._daemon.port, timeout=_PATIENCE_SECONDS)

    def _begin(self, connection: HTTPConnection) -> str:
        connection.request("POST", f"/v2/{_NAME}/blobs/uploads/")
        response = connection.getresponse()
        self._expect("the beginning of an upload", _status(response), 202)
        return response.headers["Location"]

    def _send(self, connection: HTTPConnection, method: str, target: str, *, chunked: bool) -> int:
        """Send the content, and wait after its first piece until all have come; the status."""
        headers = {"Transfer-Encoding": "chunked"} if chunked else {"Content-Length": str(self.size)}
        connection.request(method, target, self._waiting_pieces(), headers, encode_chunked=chunked)
        return _status(connection.getresponse())

    def _waiting_pieces(self) -> Iterator[bytes]:
        for position, piece in enumerate(self._pushed.pieces()):
            yield piece
            if position == 0:
                self._all_have_begun.wait(_BEGIN_SECONDS)

    def _expect(self, what: str, status: int, right: int) -> None:
        if status == right:
            self.acknowledged += status != 200
        else:
            self.faults.append(f"{what} is answered with {status}, expected {right}")


def _status(response: HTTPResponse) -> int:
    response.read()
    return response.status


def _fill(response: HTTPResponse, buffer: bytearray) -> bool:
    """Read as much as the buffer holds; whether there was so much."""
    rest = memoryview(buffer)
    while rest:
        length = response.readinto(rest)
        if not length:
            return False
        rest = rest[length:]
    return True
