"""Out of descriptors: the daemon answers with an error or lets connections wait, and heals when some are given back."""

from __future__ import annotations

import os
import resource
import secrets
import socket
from contextlib import ExitStack, closing, contextmanager
from http.client import HTTPConnection, HTTPException
from itertools import count, islice
from typing import TYPE_CHECKING

from tests.faults.acts import Recorder, describe, has_envelope, make_image
from tests.tools.content import CONFIG, digest_of
from tests.tools.daemon import running

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping
    from pathlib import Path

    from tests.faults.ledger import Reply
    from tests.faults.report import Report
    from tests.tools.daemon import Daemon

_CONNECTIONS = 12
"""How many are open before the limit is reached; a request goes by one of them."""

_MOST_LEFT = 6
"""A push takes two descriptors, a pull and a new connection one."""


def exhaust(folder: Path, report: Report, rounds: int, settings: Mapping[str, str] | None = None) -> None:
    """Leave the daemon no descriptor, one, two, and so on, and all that so many times."""
    folder.mkdir(parents=True, exist_ok=True)
    with running(folder / "data", settings) as daemon:
        ledger = _Ledger(daemon)
        for number in range(rounds):
            for left in range(_MOST_LEFT + 1):
                name = f"descriptors/{number}-{left}"
                report.lost += [f"{name}: {sentence}" for sentence in _tried(daemon, ledger, name, left)]
                report.states += 1
                report.lost += [f"{name}: {sentence}" for sentence in revive(daemon)]
        daemon.restart()
        report.lost += ledger.verify()
        report.acknowledged += ledger.acknowledged


def revive(daemon: Daemon) -> Iterator[str]:
    """Start a daemon again that has ended, which is said."""
    try:
        daemon.request("GET", "/live")
    except (OSError, HTTPException):
        status = daemon.process.wait(30)
        last = daemon.log.read_text().splitlines()[-1]
        yield f"the daemon ended with {status}: {last[:300]}"
        daemon.start()


class _Ledger(Recorder):
    """A ledger whose requests go by connections that are open already, each by one of its own, while there are any."""

    def __init__(self, daemon: Daemon) -> None:
        super().__init__(daemon)
        self.connections: list[HTTPConnection] = []

    def _write(
        self, method: str, target: str, body: bytes = b"", headers: Mapping[str, str] | None = None
    ) -> Reply | None:
        if not self.connections:
            return super()._write(method, target, body, headers)
        connection = self.connections.pop()
        try:
            self.last = ask(connection, method, target, body, headers)
        except (OSError, HTTPException):
            self.last = None
        self.acknowledged += self.last is not None and 200 <= self.last[0] < 300
        return self.last


def ask(
    connection: HTTPConnection, method: str, target: str, body: bytes = b"", headers: Mapping[str, str] | None = None
) -> Reply:
    connection.request(method, target, body, dict(headers or {}))
    response = connection.getresponse()
    return response.status, {name.lower(): value for name, value in response.getheaders()}, response.read()


def _tried(daemon: Daemon, ledger: _Ledger, name: str, left: int) -> Iterator[str]:
    try:
        yield from _round(daemon, ledger, name, left)
    except (OSError, HTTPException) as error:
        yield f"a request is not answered: {error!r}"
    finally:
        ledger.connections = []


def _round(daemon: Daemon, ledger: _Ledger, name: str, left: int) -> Iterator[str]:
    """What went wrong, one sentence each."""
    content = secrets.token_bytes(20_000)
    if ledger.push(name, content) != 201 or ledger.push(name, CONFIG) != 201:
        yield f"a push is answered with {describe(ledger.last)}"
    with ExitStack() as stack:
        connections = [stack.enter_context(closing(_connect(daemon))) for _ in range(_CONNECTIONS)]
        stack.enter_context(_limit(daemon.process.pid, left))
        reader, ledger.connections = connections[0], connections[1:]
        yield from _acts(ledger, name)
        yield from _pull(reader, f"/v2/{name}/blobs/{digest_of(content)}", content)
        ledger.connections = []
        with socket.create_connection(("127.0.0.1", daemon.port), timeout=30) as waiting:
            waiting.sendall(b"GET /live HTTP/1.1\r\nHost: registry\r\n\r\n")
            for connection in connections:
                connection.close()
            if not (answer := waiting.recv(100)).startswith(b"HTTP/1.1 200 "):
                yield f"a connection that had to wait is answered with {answer!r}"
        if ledger.push(name, secrets.token_bytes(20_000)) != 201:
            yield f"with descriptors again, a push is answered with {describe(ledger.last)}"
    yield from ledger.verify(touched_only=True)


def _connect(daemon: Daemon) -> HTTPConnection:
    connection = HTTPConnection("127.0.0.1", daemon.port, timeout=30)
    assert ask(connection, "GET", "/live")[0] == 200
    return connection


def _acts(ledger: _Ledger, name: str) -> Iterator[str]:
    """Each is done, or answered with an error that says so."""
    ledger.push(name, secrets.token_bytes(20_000))
    yield from _judge("a push", ledger.last)
    session = ledger.begin(name)
    yield from _judge("the beginning of an upload", ledger.last)
    if session is not None:
        ledger.append(session, secrets.token_bytes(20_000))
        yield from _judge("a chunk", ledger.last)
        ledger.finish(session)
        yield from _judge("the end of an upload", ledger.last)
    ledger.push_manifest(name, make_image(), ("one",))
    yield from _judge("a manifest", ledger.last)


def _judge(what: str, answer: Reply | None) -> Iterator[str]:
    right = answer is not None and (200 <= answer[0] < 300 or (answer[0] in {500, 503} and has_envelope(answer)))
    if not right:
        yield f"{what} is answered with {describe(answer)}"


def _pull(connection: HTTPConnection, target: str, content: bytes) -> Iterator[str]:
    answer = ask(connection, "GET", target)
    if answer[0] == 200 and answer[2] != content:
        yield f"a pull gives other bytes than were pushed ({len(answer[2])}, expected {len(content)})"
    elif answer[0] != 200:
        yield from _judge("a pull", answer)


@contextmanager
def _limit(pid: int, left: int) -> Iterator[None]:
    """Let the process open so many files more (prlimit(2): the limit is on the numbers that descriptors get)."""
    before = resource.prlimit(pid, resource.RLIMIT_NOFILE)
    used = {int(name) for name in os.listdir(f"/proc/{pid}/fd")}
    free = (number for number in count() if number not in used)
    limit = next(islice(free, left, None))
    resource.prlimit(pid, resource.RLIMIT_NOFILE, (limit, before[1]))
    try:
        yield
    finally:
        resource.prlimit(pid, resource.RLIMIT_NOFILE, before)
