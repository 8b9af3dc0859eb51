"""How commands reach the registry: by the admin socket of the running daemon, or by being the daemon for a moment.

The socket speaks the same HTTP as the others, for the principal ``operator``; its file is its owner's alone.
"""

from __future__ import annotations

import os
import threading
from contextlib import contextmanager, nullcontext, suppress
from pathlib import Path
from typing import TYPE_CHECKING

import trio

from registry.http.app import make_app
from registry.http.connection import Limits
from registry.http.listeners import listen_unix
from registry.http.server import Server, Site
from registry.service.principals import OPERATOR
from registry.service.registry import Registry, open_registry
from registry.transfer.client import Client

if TYPE_CHECKING:
    from collections.abc import Iterator

    from registry.http.monitor import Monitor
    from registry.service.policy import Policy

_NAME = "admin.sock"


@contextmanager
def connect(data: Path, policy: Policy) -> Iterator[Client]:
    """A client with the operator's rights. Raises what opening the data folder raises where no daemon runs."""
    daemon = nullcontext() if is_answered(data) else _serving(data, policy)
    with daemon, _short_path(data) as path, Client(path) as client:
        yield client


@contextmanager
def admin_site(registry: Registry, data: Path, monitor: Monitor | None = None) -> Iterator[Site]:
    """The admin socket; its file goes when the daemon does. Raises OSError."""
    with _short_path(data) as path:
        yield Site(listen_unix(str(path), mode=0o600), make_app(registry, OPERATOR, monitor=monitor))
        with suppress(FileNotFoundError):
            path.unlink()


@contextmanager
def _short_path(data: Path) -> Iterator[Path]:
    """The socket's path by way of an open folder: a socket's own path has at most 107 bytes (unix(7))."""
    descriptor = os.open(data, os.O_PATH | os.O_DIRECTORY | os.O_CLOEXEC)
    try:
        yield Path(f"/proc/self/fd/{descriptor}/{_NAME}")
    finally:
        os.close(descriptor)


def is_answered(data: Path) -> bool:
    """Whether a daemon runs there."""
    if not data.is_dir():
        return False
    with _short_path(data) as path, Client(path) as client:
        return client.is_answered()


@contextmanager
def _serving(data: Path, policy: Policy) -> Iterator[None]:
    """Be the daemon, on the admin socket only, in a thread of its own."""
    daemon = _MomentaryDaemon(data, policy)
    thread = threading.Thread(target=daemon.run)
    thread.start()
    daemon.started.wait()
    try:
        if daemon.failure is None:
            yield
    finally:
        daemon.stop()
        thread.join()
    if daemon.failure is not None:
        raise daemon.failure


class _MomentaryDaemon:
    def __init__(self, data: Path, policy: Policy) -> None:
        self._data = data
        self._policy = policy
        self._token: trio.lowlevel.TrioToken | None = None
        self._server = Server(Limits())
        self.started = threading.Event()
        self.failure: BaseException | None = None

    def run(self) -> None:
        try:
            trio.run(self._serve)
        except BaseException as error:  # noqa: BLE001 (raised again where the command waits)
            self.failure = error
        finally:
            self.started.set()

    def stop(self) -> None:
        with suppress(trio.RunFinishedError):
            if self._token is not None:
                trio.from_thread.run_sync(self._server.stop, trio_token=self._token)

    async def _serve(self) -> None:
        async with open_registry(self._data, self._policy) as registry:
            with admin_site(registry, self._data) as site:
                self._token = trio.lowlevel.current_trio_token()
                self.started.set()
                await self._server.run([site])
