"""Other settings for the daemon that runs: those of the same sources as at its start, all of them or none."""

from __future__ import annotations

from dataclasses import replace
from typing import TYPE_CHECKING

import msgspec
import structlog
import trio

from registry import logs, systemd
from registry.addresses import find_exposure
from registry.config import ConfigError, flatten
from registry.http.certificates import CertificateUnusable
from registry.http.connection import Limits
from registry.policies import policy_of
from registry.service.htpasswd import HtpasswdInvalid

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence

    from registry.config import Settings
    from registry.front import Front
    from registry.http.server import Server
    from registry.read_workers.workers import ReadWorkers
    from registry.service.registry import Registry

log = structlog.get_logger()


class Reload:
    """``addresses`` are those that are listened on, whatever the settings say."""

    def __init__(
        self,
        settings: Settings,
        read: Callable[[], Settings],
        addresses: Sequence[str],
        registry: Registry,
        server: Server,
        front: Front,
        read_workers: ReadWorkers,
    ) -> None:
        self.settings = settings
        self._read = read
        self._addresses = addresses
        self._registry = registry
        self._server = server
        self._front = front
        self._read_workers = read_workers
        self._one_at_a_time = trio.Lock()

    async def __call__(self) -> None:
        """Read the settings again and take them; what is wrong with them is logged, and those before stay in full."""
        async with self._one_at_a_time:
            log.info("reloading")
            systemd.notify_reloading()
            try:
                await self._take(await trio.to_thread.run_sync(self._read, abandon_on_cancel=True))
            except (ConfigError, CertificateUnusable, HtpasswdInvalid) as error:
                log.error("the new settings can't be used; those before stay", reason=str(error))  # noqa: TRY400
                status = f"reload refused: {' '.join(str(error).split())}"
            else:
                status = ""
            systemd.notify("READY=1", f"STATUS={status}")

    async def _take(self, read: Settings) -> None:
        """What can fail comes first, and the rest without a checkpoint; then the read workers follow."""
        settings = keep_fixed(self.settings, read)
        require_access(settings, self._addresses)
        # A certificate that is to count after a restart has to be good now: nobody would be there to refuse it then.
        loaded = await self._front.prepare(read.http if read.http.tls_certificate else settings.http)
        self._registry.follow(policy_of(settings))
        self._front.follow(settings.http, loaded)
        self._server.limits = limits_of(settings)
        logs.set_up(settings.log)
        await self._read_workers.follow(settings)
        changed, waiting = differences(self.settings, settings), differences(settings, read)
        self.settings = settings
        log.info("reloaded", changed=changed)
        if waiting:
            log.warning("settings that count after a restart", settings=waiting)


def require_access(settings: Settings, addresses: Sequence[str]) -> None:
    """Where the daemon listens can differ from what ``listen`` says. Raises ConfigError."""
    exposure = find_exposure(settings.access.mode, addresses)
    if exposure is not None:
        raise ConfigError(exposure)


def limits_of(settings: Settings) -> Limits:
    return Limits(
        head_seconds=settings.http.head_seconds,
        stall_seconds=settings.http.stall_seconds,
        drain_seconds=settings.http.drain_seconds,
    )


def keep_fixed(current: Settings, read: Settings) -> Settings:
    """What was read, but for what a running daemon can't change: its folder, where it listens, by which processes."""
    http = read.http
    if bool(http.tls_certificate) != bool(current.http.tls_certificate):
        names = ("tls_certificate", "tls_key", "tls_client_ca")
        http = replace(http, **{name: getattr(current.http, name) for name in names})
    http = replace(http, read_workers=current.http.read_workers)
    storage = replace(read.storage, allow_network=current.storage.allow_network, checkpoint=current.storage.checkpoint)
    return replace(read, data=current.data, listen=current.listen, metrics=current.metrics, http=http, storage=storage)


def differences(one: Settings, other: Settings) -> list[str]:
    """The dotted keys under which they differ."""
    ours, others = (dict(flatten(msgspec.to_builtins(settings))) for settings in (one, other))
    return [key for key in ours if ours[key] != others[key]]
