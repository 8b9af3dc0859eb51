"""What systemd is told of the daemon's life, and the sockets that it hands over.

Sources: sd_notify(3), sd_watchdog_enabled(3), sd_listen_fds(3).
"""

from __future__ import annotations

import fcntl
import os
import socket
import time
from contextlib import suppress

_FIRST_DESCRIPTOR = 3
"""SD_LISTEN_FDS_START"""


def notify(*state: str) -> None:
    """Send states such as ``READY=1`` to the service manager, if NOTIFY_SOCKET names one that listens."""
    address = os.environ.get("NOTIFY_SOCKET")
    if not address:
        return
    if address.startswith("@"):
        address = f"\0{address[1:]}"
    with socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM) as manager, suppress(OSError):
        manager.connect(address)
        manager.sendall("\n".join(state).encode())


def notify_reloading() -> None:
    """Until ``READY=1`` is said again. The time lets ``Type=notify-reload`` tell this reload from an earlier one."""
    notify("RELOADING=1", f"MONOTONIC_USEC={time.monotonic_ns() // 1000}")


def watchdog_seconds() -> float | None:
    """Within what time ``WATCHDOG=1`` has to be said again and again; None where nobody waits for it."""
    microseconds = os.environ.get("WATCHDOG_USEC", "")
    is_ours = os.environ.get("WATCHDOG_PID", str(os.getpid())) == str(os.getpid())
    return int(microseconds) / 1e6 if microseconds.isdigit() and int(microseconds) and is_ours else None


def take_sockets() -> list[tuple[str, socket.socket]]:
    """The listening sockets that socket units hold open for this process, now its to close; others hold them too.

    Each comes with its name (systemd.socket(5), FileDescriptorName=), by default that of its unit. They are taken once:
    the environment is cleared of them. Raises OSError for what does not listen to a stream.
    """
    count, names, process = (os.environ.pop(f"LISTEN_{name}", "") for name in ("FDS", "FDNAMES", "PID"))
    if process != str(os.getpid()) or not count.isdigit():
        return []
    labels = [*names.split(":"), *[""] * int(count)]
    return [(labels[place], _take(_FIRST_DESCRIPTOR + place, labels[place])) for place in range(int(count))]


def _take(descriptor: int, name: str) -> socket.socket:
    try:
        fcntl.fcntl(descriptor, fcntl.F_SETFD, fcntl.FD_CLOEXEC)
        taken = socket.socket(fileno=descriptor)
        if taken.type == socket.SOCK_STREAM and taken.getsockopt(socket.SOL_SOCKET, socket.SO_ACCEPTCONN):
            return taken
    except OSError as error:
        raise OSError(f"what systemd passes as {name!r} is no socket: {error.strerror}") from None
    raise OSError(f"what systemd passes as {name!r} does not listen to a stream")
