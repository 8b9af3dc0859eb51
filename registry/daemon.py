"""The life of the daemon: database, then background tasks, then server; and back in the opposite order."""

from __future__ import annotations

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
from registry.admin import admin_site
from registry.http.app import make_app
from registry.http.connection import Limits
from registry.http.listeners import describe, listen
from registry.http.server import Server, Site
from registry.quantities import seconds, size_bytes
from registry.service.policy import GarbagePolicy, Policy, ScrubPolicy
from registry.service.registry import open_registry

if TYPE_CHECKING:
    from collections.abc import AsyncIterator, Sequence

    from registry.config import GarbageSettings, Settings

_LAST_RESORT_SECONDS = 4
"""How long after the drain a thread that hangs in a system call keeps the process from ending."""

_EXIT_HUNG = 70

log = structlog.get_logger()


async def run(settings: Settings) -> None:
    """Serve until SIGTERM or SIGINT.

    Raises OSError, FolderUnusable, DatabaseTooNew, sqlite3.Error where it can't start, and what ends a background task.
    """
    os.umask(0o077)  # what is in the data folder is its owner's alone
    _raise_descriptor_limit()
    with trio.open_signal_receiver(signal.SIGTERM, signal.SIGINT) as signals:
        async with AsyncExitStack() as stack:
            data = Path(settings.data)
            registry = await stack.enter_async_context(open_registry(data, policy_of(settings)))
            listeners = [listener for address in settings.listen for listener in await listen(address)]
            admin = stack.enter_context(admin_site(registry, data))
            app, server = make_app(registry), Server(limits_of(settings))
            sites = [*(Site(listener, app) for listener in listeners), admin]
            async with trio.open_nursery() as nursery:
                nursery.start_soon(_stop_on, signals, server)
                _announce(settings, listeners)
                systemd.notify("READY=1")
                await server.run(sites)
                nursery.cancel_scope.cancel()
    log.info("stopped")


def _raise_descriptor_limit() -> None:
    """A connection takes a descriptor and an upload two; the usual soft limit of 1,024 is soon reached."""
    _, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    resource.setrlimit(resource.RLIMIT_NOFILE, (hard, hard))


def policy_of(settings: Settings) -> Policy:
    return Policy(
        allow_missing=settings.push.allow_missing,
        delete_enabled=settings.delete.enabled,
        read_only=settings.access.read_only,
        concurrent_uploads=settings.uploads.concurrent_limit,
        upload_idle_seconds=settings.uploads.idle_seconds,
        stall_seconds=settings.storage.stall_seconds,
        allow_network=settings.storage.allow_network,
        reserve_bytes=size_bytes(settings.storage.reserve) if settings.storage.reserve else None,
        backup_interval_seconds=seconds(settings.backup.interval),
        garbage=_garbage_policy_of(settings.gc),
        scrub=ScrubPolicy(
            bytes_per_second=size_bytes(settings.scrub.bytes_per_second),
            verified_seconds=settings.scrub.verified_seconds,
        ),
    )


def _garbage_policy_of(settings: GarbageSettings) -> GarbagePolicy:
    return GarbagePolicy(
        interval_seconds=seconds(settings.interval),
        grace_seconds=seconds(settings.grace),
        lease_seconds=settings.lease_seconds,
        horizon_seconds=seconds(settings.horizon),
        untagged_after_seconds=seconds(settings.untagged_after) if settings.untagged_after else None,
        collect_orphaned_tags=settings.collect_orphaned_tags,
        history_seconds=seconds(settings.history),
        batch=settings.batch,
        max_lock_ms=settings.max_lock_ms,
    )


def limits_of(settings: Settings) -> Limits:
    return Limits(
        head_seconds=settings.http.head_seconds,
        stall_seconds=settings.http.stall_seconds,
        drain_seconds=settings.http.drain_seconds,
    )


async def _stop_on(signals: AsyncIterator[int], server: Server) -> None:
    async for number in signals:
        log.info("stopping", signal=signal.Signals(number).name)
        systemd.notify("STOPPING=1")
        _end_anyway_after(server.limits.drain_seconds + _LAST_RESORT_SECONDS)
        server.stop()


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


def _announce(settings: Settings, listeners: Sequence[trio.SocketListener]) -> None:
    addresses = [describe(listener) for listener in listeners]
    log.info("listening", addresses=addresses, data=str(Path(settings.data).resolve()))
    if sys.stdout.isatty():
        greeting = [
            f"Cargohold listens on {', '.join(addresses)}",
            f"Everything is kept in {Path(settings.data).resolve()}",
        ]
        hosts = [address for address in addresses if not address.startswith("unix:")]
        if hosts:
            greeting.append(f"Push a first image:  podman push --tls-verify=false IMAGE {hosts[0]}/my/image:latest")
        print("\n".join(greeting))  # noqa: T201 (the greeting of a program on a terminal)
