"""Makes garbage and collects it, all that there is in a data folder: ``python -m tests.faults.collector DATA``."""

from __future__ import annotations

import os
import sys
from pathlib import Path
from typing import TYPE_CHECKING

import trio

from registry.oci.digests import Digest
from registry.oci.names import RepositoryName
from registry.service import blobs
from registry.service.bodies import Chunk, PiecedBody
from registry.service.policy import Policy
from registry.service.principals import ANONYMOUS
from registry.service.registry import open_registry
from registry.store.clock import Clock, boottime_ms

if TYPE_CHECKING:
    from collections.abc import AsyncIterator

BEGIN = "the files of condemned blobs go now"
"""Printed before the run of garbage collection that unlinks."""

_NAME = RepositoryName.parse("traced")
_CONTENTS = (b"one", b"two", b"three")


async def _body(content: bytes) -> AsyncIterator[bytes]:
    yield content


async def _collect(data: Path) -> None:
    policy, ahead_ms = Policy(), 0
    async with open_registry(data, policy, clock=Clock(lambda: boottime_ms() + ahead_ms)) as registry:
        for content in _CONTENTS:
            digest = Digest.of(content)
            await registry.uploads.push(_NAME, Chunk(PiecedBody(_body(content)), content_length=len(content)), digest)
            await blobs.delete(registry, _NAME, digest, ANONYMOUS)
        await registry.garbage.run(now=True)
        ahead_ms = int(2000 * policy.garbage.horizon_seconds)
        os.write(sys.stdout.fileno(), BEGIN.encode())
        totals = await registry.garbage.run(now=True)
    assert totals.removed_blobs >= len(_CONTENTS), totals


if __name__ == "__main__":
    trio.run(_collect, Path(sys.argv[1]))
