"""How long the daemon takes to listen on a large database: ``python -m benchmarks.start [MANIFESTS]``.

The database is filled below HTTP, by the store's own functions; each image has a blob of its own, and no file for it.
"""

from __future__ import annotations

import json
import sys
import tempfile
import time
from pathlib import Path
from typing import TYPE_CHECKING

import trio

from registry.oci import manifest
from registry.oci.digests import Digest
from registry.oci.media_types import OCI_IMAGE
from registry.oci.names import RepositoryName, Tag
from registry.store import blobs, manifests, repositories, tags
from registry.store.audit import Author
from registry.store.database import Database
from registry.store.hops import Hops
from tests.tools.content import CONFIG_TYPE, LAYER_TYPE
from tests.tools.daemon import running

if TYPE_CHECKING:
    from registry.store.transactions import WriteTx

_BATCH = 1000
_IMAGES_OF_REPOSITORY = 10_000


def add_images(tx: WriteTx, numbers: range) -> None:
    for number in numbers:
        name = RepositoryName.parse(f"team/app-{number // _IMAGES_OF_REPOSITORY}")
        config, layer = Digest.of(f"config {number // 100}".encode()), Digest.of(f"layer {number}".encode())
        for digest in (config, layer):
            blobs.add(tx, name, digest, 1000, lease_ms=1)
        body = json.dumps(
            {
                "schemaVersion": 2,
                "mediaType": OCI_IMAGE,
                "config": {"mediaType": CONFIG_TYPE, "digest": str(config), "size": 1000},
                "layers": [{"mediaType": LAYER_TYPE, "digest": str(layer), "size": 1000}],
            }
        ).encode()
        repository, digest = repositories.find_or_create(tx, name), Digest.of(body)
        stored = manifests.add(tx, repository, digest, manifest.parse(body, OCI_IMAGE))
        tags.point(tx, repository, Tag.parse(f"v{number}"), stored, digest, Author("benchmark"))


async def fill(path: Path, count: int) -> None:
    database = Database(path, Hops())
    await database.open()
    async with trio.open_nursery() as nursery:
        nursery.start_soon(database.run)
        for start in range(0, count, _BATCH):
            await database.write(add_images, range(start, min(start + _BATCH, count)))
        nursery.cancel_scope.cancel()
    await database.close()


def main(count: int) -> None:
    with tempfile.TemporaryDirectory() as folder:
        data = Path(folder) / "data"
        data.mkdir()
        trio.run(fill, data / "registry.db", count)
        size = (data / "registry.db").stat().st_size
        print(f"{count:,} manifests, a database of {size / 1024**2:,.0f} MiB")
        with running(data, {"CARGOHOLD_LOG__LEVEL": "info"}) as daemon:
            for how in ("stopped", "killed", "killed"):
                (daemon.stop if how == "stopped" else daemon.kill)()
                started = time.perf_counter()
                daemon.start()
                print(f"start after it was {how}: {time.perf_counter() - started:.2f} s")
                assert daemon.request("GET", "/v2/team/app-0/manifests/v1")[0] == 200


if __name__ == "__main__":
    main(int(sys.argv[1]) if len(sys.argv) > 1 else 1_000_000)
