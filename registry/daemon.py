"""The life of the daemon: database, then background tasks, then server; and back in the opposite order."""

from __future__ import annotations

import faulthandler
import os
import resource
import signal
import sys
import threading
from contextlib import AsyncExitStack
from pathlib import Path
from typing import TYPE_CHECKING

import structlog
import trio

from registry import systemd
from registry.addresses import is_local
from registry.admin import admin_site
from registry.front import Front
from registry.http.listeners import adopt, describe, listen
from registry.http.server import Server
from registry.policies import policy_of
from registry.quantities import processes
from registry.read_workers.workers import ReadWorkers
from registry.reload import Reload, limits_of, require_access
from registry.service.registry import open_registry

if TYPE_CHECKING:
    import socket
    from collections.abc import AsyncIterator, Callable, Sequence

    from registry.config import Settings
    from registry.service.registry import Registry

_LAST_RESORT_SECONDS = 4
"""How long after the drain a thread that hangs in a system call keeps the process from ending."""

_EXIT_HUNG = 70

_METRICS = "metrics"
"""FileDescriptorName= of a socket for /metrics alone."""

_WATCHDOG_MEALS = 3
"""How often the watchdog is fed in the time after which it bites."""

log = structlog.get_logger()


async def run(settings: Settings, read: Callable[[], Settings]) -> None:
    """Serve until SIGTERM or SIGINT; SIGHUP takes the settings that ``read`` returns then, or raises ConfigError.

    Raises ConfigError, OSError, FolderUnusable, DatabaseTooNew, sqlite3.Error where it can't start, and what ends a
    background task.
    """
    os.umask(0o077)  # what is in the data folder is its owner's alone
    faulthandler.enable()  # where it hangs, when the watchdog ends it
    sockets = systemd.take_sockets()
    front = Front(settings.http, _raise_descriptor_limit())
    with trio.open_signal_receiver(signal.SIGTERM, signal.SIGINT, signal.SIGHUP) as signals:
        async with AsyncExitStack() as stack:
            data = Path(settings.data)
            registry = await stack.enter_async_context(open_registry(data, policy_of(settings)))
            listeners, monitors = await _open_listeners(settings, sockets)
            addresses = [describe(listener) for listener in listeners]
            require_access(settings, addresses)
            admin = stack.enter_context(admin_site(registry, data, front.monitor))
            server = Server(limits_of(settings))
            read_workers = ReadWorkers(_count_read_workers(settings, addresses), settings, registry, front.monitor)
            sites = [
                *front.sites(listeners, registry, read_workers if read_workers.number else None),
                *front.monitor_sites(monitors, registry),
            ]
            async with trio.open_nursery() as nursery:
                reload = Reload(settings, read, addresses, registry, server, front, read_workers)
                nursery.start_soon(_obey, signals, server, nursery, reload)
                nursery.start_soon(front.watch)
                nursery.start_soon(_feed_watchdog, registry)
                await nursery.start(read_workers.run)
                _announce(settings, addresses, [describe(listener) for listener in monitors])
                _warn(settings, addresses, registry)
                systemd.notify("READY=1")
                await server.run([*sites, admin])
                read_workers.end()
                nursery.cancel_scope.cancel()
    log.info("stopped")


async def _open_listeners(
    settings: Settings, sockets: Sequence[tuple[str, socket.socket]]
) -> tuple[list[trio.SocketListener], list[trio.SocketListener]]:
    """Those of the registry, and those of /metrics alone: sockets that systemd holds, where there are such.

    A socket is for /metrics if it has that name, or the address of ``metrics.listen``. Raises OSError.
    """
    apart = settings.metrics.listen
    public: list[trio.SocketListener] = []
    monitors: list[trio.SocketListener] = []
    for name, taken in sockets:
        listener = adopt(taken)
        (monitors if name == _METRICS or describe(listener) == apart else public).append(listener)
    if not public:
        public = [listener for address in settings.listen for listener in await listen(address)]
    if not monitors and apart:
        monitors = await listen(apart)
    return public, monitors


def _raise_descriptor_limit() -> int:
    """A connection takes a descriptor and an upload two; the usual soft limit of 1,024 is soon reached."""
    _, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    resource.setrlimit(resource.RLIMIT_NOFILE, (hard, hard))
    return hard


async def _obey(signals: AsyncIterator[int], server: Server, nursery: trio.Nursery, reload: Reload) -> None:
    async for number in signals:
        if number == signal.SIGHUP and not sys.stdout.isatty():  # on a terminal, it says that the terminal has gone
            nursery.start_soon(reload)
            continue
        log.info("stopping", signal=signal.Signals(number).name)
        systemd.notify("STOPPING=1")
        _end_anyway_after(server.limits.drain_seconds + _LAST_RESORT_SECONDS)
        server.stop()


async def _feed_watchdog(registry: Registry) -> None:
    """As long as the event loop runs and the database answers."""
    seconds = systemd.watchdog_seconds()
    while seconds is not None:
        failure = registry.health.database_failure()
        if failure is None:
            systemd.notify("WATCHDOG=1")
        else:
            log.error("the watchdog is not fed", reason=failure)
        await trio.sleep(seconds / _WATCHDOG_MEALS)


def _count_read_workers(settings: Settings, addresses: Sequence[str]) -> int:
    """None where they would have nothing to do."""
    number = processes(settings.http.read_workers, len(os.sched_getaffinity(0)))
    is_tls = bool(settings.http.tls_certificate)
    if number and is_tls and not any(address.startswith("unix:") for address in addresses):
        log.warning("no read workers: all clients come by TLS, which the main process speaks alone")
        return 0
    return number


def _end_anyway_after(seconds: float) -> None:
    """A thread in a system call that does not return can't be stopped; the process ends without it.

    Nothing is lost by it that was acknowledged: an answer goes out only after its COMMIT.
    """

    def end() -> None:
        log.error("the disk does not answer; ending without it")
        os._exit(_EXIT_HUNG)

    timer = threading.Timer(seconds, end)
    timer.daemon = True
    timer.start()


def _warn(settings: Settings, addresses: Sequence[str], registry: Registry) -> None:
    """Of what is allowed, and seldom meant."""
    if registry.access.is_shut():
        log.warning("there are no rules yet, so nobody may do anything: see cargohold grant add")
    exposed = [address for address in addresses if not is_local(address)]
    is_clear = not settings.http.tls_certificate and not settings.http.trusted_proxies
    if exposed and is_clear and settings.access.mode != "open":
        log.warning("passwords and tokens cross the network without TLS: see http.tls_certificate", listen=exposed)


def _announce(settings: Settings, addresses: Sequence[str], monitors: Sequence[str]) -> None:
    log.info("listening", addresses=addresses, metrics=monitors, data=str(Path(settings.data).resolve()))
    if sys.stdout.isatty():
        greeting = [
            f"Cargohold listens on {', '.join(addresses)}",
            f"Everything is kept in {Path(settings.data).resolve()}",
        ]
        hosts = [address for address in addresses if not address.startswith("unix:")]
        if hosts:
            option = "" if settings.http.tls_certificate else "--tls-verify=false "
            greeting.append(f"Push a first image:  podman push {option}IMAGE {hosts[0]}/my/image:latest")
        print("\n".join(greeting))  # noqa: T201 (the greeting of a program on a terminal)
