"""A data folder that a test opens as often as it likes, and whose daemon's clock it turns by hand."""

from __future__ import annotations

import sqlite3
import subprocess
from contextlib import asynccontextmanager, closing
from dataclasses import dataclass
from typing import TYPE_CHECKING

from registry.http.app import make_app
from registry.oci.digests import Digest
from registry.service.policy import DAY_SECONDS, GarbagePolicy, Policy, ScrubPolicy
from registry.service.registry import open_registry
from registry.store import holdings
from registry.store.clock import Clock
from registry.store.hops import Hops
from tests.tools.asgi import Client

if TYPE_CHECKING:
    from collections.abc import AsyncIterator, Callable
    from pathlib import Path

    from registry.service.garbage import Totals
    from registry.service.registry import Registry

DAY = DAY_SECONDS
HORIZON = GarbagePolicy().horizon_seconds
LEASE = GarbagePolicy().lease_seconds

SLOW_SCRUB = ScrubPolicy(bytes_per_second=1)
"""The background scrub reads one piece and then waits for weeks: it finds nothing before the test does."""


@dataclass(frozen=True)
class Opened:
    """One life of a registry."""

    registry: Registry
    client: Client

    async def state(self, digest: str) -> str:
        """What became of a blob; asked in the database, for a client's question would lease it."""
        held = await self.registry.database.read(holdings.find_blob, Digest.parse(digest))
        if held is None:
            return "gone"
        return "condemned" if held.condemned_ms is not None else held.damage or "linked"

    async def save_clock(self) -> None:
        """As a daemon does each minute."""
        await self.registry.restoration.save_clock()

    async def status(self, method: str, target: str) -> int:
        return (await self.client(method, f"/v2/{target}")).status


async def collect(opened: Opened, *, now: bool = False) -> Totals:
    """Collect garbage, and see that the dry run before it had said the same."""
    foreseen = await opened.registry.garbage.dry_run(now=now, walk=True)
    totals = await opened.registry.garbage.run(now=now, walk=True)
    assert totals == foreseen
    return totals


class Life:
    """``now_ms`` is what the clock of the machine shows, which goes on while no daemon runs."""

    def __init__(self, data: Path) -> None:
        self.data = data
        self.now_ms = 5_000_000

    def go_on(self, seconds: float) -> None:
        self.now_ms += int(seconds * 1000)

    @asynccontextmanager
    async def opened(
        self, garbage: GarbagePolicy | None = None, *, hops: Hops | None = None, policy: Policy | None = None
    ) -> AsyncIterator[Opened]:
        """Hops are inline unless others are given."""
        if policy is None:
            policy = Policy(garbage=garbage or GarbagePolicy(), scrub=SLOW_SCRUB, reserve_bytes=0)
        clock = Clock(source=lambda: self.now_ms)
        async with open_registry(self.data, policy, hops=hops or Hops(inline=True), clock=clock) as registry:
            yield Opened(registry, Client(make_app(registry)))

    def blob(self, digest: str) -> Path:
        """The file of a blob."""
        return self.data / "blobs" / digest.replace(":", "/")

    def died(self, name: str = "died") -> Life:
        """A copy of the folder as a SIGKILL at this moment would leave it."""
        copy = Life(self.data.with_name(name))
        copy.now_ms = self.now_ms
        subprocess.run(["cp", "-a", self.data, copy.data], check=True)
        return copy

    def restore(self, snapshot: Path | None = None) -> None:
        """Copy a snapshot back, as an operator does: by default the daemon's last one."""
        subprocess.run(["cp", snapshot or self.data / "backup/registry.db", self.data / "registry.db"], check=True)


def spoil_manifest(data: Path, manifest: bytes, spoil: Callable[[bytes], bytes] | None = None) -> None:
    """Change the bytes that are stored for a manifest while no daemon runs; in the middle, unless it is said how."""
    with closing(sqlite3.connect(data / "registry.db")) as connection, connection:
        (number, stored) = connection.execute(
            "SELECT manifest_id, body FROM manifest JOIN manifest_body ON manifest_id = id WHERE digest = ?",
            (str(Digest.of(manifest)),),
        ).fetchone()
        place = len(stored) // 2
        bad = spoil(stored) if spoil else stored[:place] + bytes([stored[place] ^ 1]) + stored[place + 1 :]
        connection.execute("UPDATE manifest_body SET body = ? WHERE manifest_id = ?", (bad, number))


def flip(path: Path, position: int = 0) -> None:
    """Change one bit of a file in place."""
    with path.open("r+b") as file:
        file.seek(position)
        byte = file.read(1)[0]
        file.seek(position)
        file.write(bytes([byte ^ 1]))
