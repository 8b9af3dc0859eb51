"""A daemon with read workers, and which of the processes answers."""

from __future__ import annotations

import os
import select
from contextlib import ExitStack, contextmanager
from typing import TYPE_CHECKING

from tests.http.express_requests import TAGS
from tests.tools.content import CONFIG, digest_of, image
from tests.tools.daemon import Daemon
from tests.tools.raw import Connection, request

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping
    from pathlib import Path

    from tests.tools.raw import Answer

WORKERS = "CARGOHOLD_HTTP__READ_WORKERS"
IMAGE_TYPE = {"Content-Type": "application/vnd.oci.image.manifest.v1+json"}
_TRIES = 100
_SECONDS = 60


class Team(Daemon):
    @property
    def workers(self) -> dict[str, int]:
        """The processes that there are, by what the ids of their requests begin with."""
        started = [entry for entry in self.entries() if entry["event"] == "a read worker runs"]
        return {entry["requests"]: entry["pid"] for entry in started if os.path.exists(f"/proc/{entry['pid']}")}

    def push(self, *layers: bytes, headers: Mapping[str, str] | None = None) -> bytes:
        """The manifest, which has some tags then."""
        for content in (CONFIG, *layers):
            target = f"/v2/a/blobs/uploads/?digest={digest_of(content)}"
            assert self.request("POST", target, content, headers)[0] == 201
        manifest = image(*layers)
        for tag in TAGS:
            assert self.request("PUT", f"/v2/a/manifests/{tag}", manifest, {**IMAGE_TYPE, **(headers or {})})[0] == 201
        return manifest

    @contextmanager
    def one_to_each(self) -> Iterator[dict[str, Connection]]:
        """A connection to each worker, by the worker."""
        workers = self.workers
        with ExitStack() as stack:
            found: dict[str, Connection] = {}
            for _ in range(_TRIES):
                connection = Connection(self.port)
                stack.callback(connection.close)
                by = answered_by(ask(connection, request("GET", "/v2/")))
                if by in workers:
                    found.setdefault(by, connection)
                if len(found) == len(workers):
                    break
            assert set(found) == set(workers)
            yield found


def ask(connection: Connection, message: bytes) -> Answer:
    connection.send(message)
    return connection.answer(message.split(b" ", 1)[0].decode("latin-1"))


def answered_by(answer: Answer) -> str:
    """What the ids of its process's requests begin with."""
    return answer.headers["x-request-id"].partition("-")[0]


def wait_for_end(process: int) -> None:
    """Of somebody else's child."""
    try:
        descriptor = os.pidfd_open(process)
    except ProcessLookupError:
        return
    try:
        ended, _, _ = select.select([descriptor], [], [], _SECONDS)
        assert ended, process
    finally:
        os.close(descriptor)


@contextmanager
def running(data: Path, workers: int, settings: Mapping[str, str] | None = None) -> Iterator[Team]:
    team = Team(data, {WORKERS: str(workers), **(settings or {})})
    team.start()
    try:
        yield team
    finally:
        if team.process.poll() is None:
            team.kill()
