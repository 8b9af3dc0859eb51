"""How long the daemon takes to listen on a large database: ``python -m benchmarks.start [MANIFESTS]``."""

from __future__ import annotations

import sys
import tempfile
import time
from pathlib import Path
from typing import TYPE_CHECKING

from benchmarks import dataset
from tests.tools.daemon import running

if TYPE_CHECKING:
    from collections.abc import Iterator

    from tests.tools.daemon import Daemon


def restarts(daemon: Daemon) -> Iterator[tuple[str, float]]:
    """How it ended, and the seconds from the next start to where it listens."""
    for how in ("stopped", "killed", "killed"):
        (daemon.stop if how == "stopped" else daemon.kill)()
        started = time.perf_counter()
        daemon.start()
        yield how, time.perf_counter() - started
        path = f"/v2/{dataset.LARGE}/manifests/{dataset.tag_of(1)}"
        assert daemon.request("GET", path)[0] == 200


def main(count: int) -> None:
    with tempfile.TemporaryDirectory() as folder:
        data = Path(folder) / "data"
        dataset.make(data, dataset.Shape.of(count))
        size = (data / "registry.db").stat().st_size
        print(f"{count:,} manifests, a database of {size / 1024**2:,.0f} MiB")
        with running(data, {"CARGOHOLD_LOG__LEVEL": "info"}) as daemon:
            for how, seconds in restarts(daemon):
                print(f"start after it was {how}: {seconds:.2f} s")


if __name__ == "__main__":
    main(int(sys.argv[1]) if len(sys.argv) > 1 else 1_000_000)
