"""Where the daemon listens."""

from __future__ import annotations

import errno
import os
import socket
import stat

import trio

_BACKLOG = 1024


async def listen(address: str) -> list[trio.SocketListener]:
    """Listen on ``host:port``, ``[ipv6]:port`` or ``unix:path``. Raises OSError that names the address."""
    try:
        if address.startswith("unix:"):
            return [listen_unix(address.removeprefix("unix:"))]
        host, _, port = address.rpartition(":")
        return list(await trio.open_tcp_listeners(int(port), host=host.strip("[]"), backlog=_BACKLOG))
    except OSError as error:
        raise OSError(f"can't listen on {address}: {error.strerror or error}") from error


def listen_unix(path: str, mode: int | None = None) -> trio.SocketListener:
    """Listen on a socket file, which gets ``mode`` before anybody can connect. Raises OSError.

    A file that a killed daemon left behind is replaced; one that somebody listens on is not.
    """
    listener = socket.socket(socket.AF_UNIX, socket.SOCK_STREAM)
    try:
        with socket.socket(socket.AF_UNIX, socket.SOCK_STREAM) as probe:
            if probe.connect_ex(path) == errno.ECONNREFUSED and stat.S_ISSOCK(os.stat(path).st_mode):
                os.unlink(path)
        listener.bind(path)
        if mode is not None:
            os.chmod(path, mode)
        listener.listen(_BACKLOG)
    except BaseException:
        listener.close()
        raise
    return adopt(listener)


def adopt(listening: socket.socket) -> trio.SocketListener:
    """Accept from a socket that listens already. Closing it ends nothing where somebody else holds it open too."""
    return trio.SocketListener(trio.socket.from_stdlib_socket(listening))


def describe(listener: trio.SocketListener) -> str:
    """The address of a listener as it stands in a configuration."""
    name = listener.socket.getsockname()
    if listener.socket.family == socket.AF_UNIX:
        return f"unix:{name}" if isinstance(name, str) else f"unix:@{name[1:].decode('utf-8', 'replace')}"
    host, port = name[:2]
    return f"[{host}]:{port}" if ":" in host else f"{host}:{port}"
