"""The state of the registry for Prometheus (text format 0.0.4)."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from prometheus_client import CollectorRegistry, generate_latest
from prometheus_client.core import CounterMetricFamily, GaugeMetricFamily
from prometheus_client.registry import Collector

from registry.http.answers import Answer

if TYPE_CHECKING:
    from collections.abc import Iterator

    from prometheus_client.core import Metric

    from registry.http.answers import Request
    from registry.service.registry import Registry

_CONTENT_TYPE = "text/plain; version=0.0.4; charset=utf-8"

_GAUGES = {
    "inventory.blobs": "Blobs, condemned ones too",
    "inventory.blob_bytes": "Bytes of all blobs, condemned ones too",
    "inventory.condemned_blobs": "Blobs that no repository has any more and whose files still stand",
    "inventory.condemned_bytes": "Bytes of condemned blobs",
    "inventory.unreferenced_links": "Blobs that a repository has although no manifest of it refers to them",
    "inventory.leased_links": "Those of them that a client may be about to use",
    "inventory.manifests": "Manifests, counted in each repository",
    "inventory.tags": "Tags",
    "inventory.uploads": "Open upload sessions",
    "inventory.orphans": "Files without a row that wait for their removal",
    "inventory.damaged_blobs": "Blobs whose files are missing or corrupt",
    "inventory.damaged_manifests": "Manifests whose bytes are corrupt",
    "garbage.last_run_age_seconds": "Since the last garbage collection ended",
    "garbage.last_run_seconds": "How long it took",
    "garbage.last_failure_age_seconds": "Since a garbage collection failed last; the next ones may have succeeded",
    "disk.free_bytes": "Free on the file system of the data folder",
    "disk.reserve_bytes": "What uploads leave free",
    "backup.age_seconds": "Since the last snapshot of the database",
    "backup.last_failure_age_seconds": "Since a snapshot failed last; the next ones may have succeeded",
    "backup.restores_in_full_since_seconds": "Moment since the epoch: snapshots made since then miss no file; 0: all",
    "is_restored": "1 while the database is known to be older than the blob folder",
}

_COUNTERS = {
    "garbage.runs": "Garbage collections",
    "garbage.all_time.manifests": "Untagged manifests collected",
    "garbage.all_time.links": "Links of blobs to repositories collected",
    "garbage.all_time.removed_blobs": "Blobs removed with their files",
    "garbage.all_time.removed_bytes": "Bytes of the blobs removed",
    "scrub.verified_blobs": "Blobs read and hashed by the scrub",
    "scrub.verified_bytes": "Bytes read by the scrub",
}


class _Status(Collector):
    def __init__(self, status: dict[str, Any]) -> None:
        self._status = status

    def collect(self) -> Iterator[Metric]:
        for path, text in _GAUGES.items():
            value = _value(self._status, path)
            if value is not None:
                yield GaugeMetricFamily(_name(path), text, value=float(value))
        for path, text in _COUNTERS.items():
            yield CounterMetricFamily(_name(path), text, value=float(_value(self._status, path)))


async def get(registry: Registry, _request: Request) -> Answer:
    collectors = CollectorRegistry()
    collectors.register(_Status(await registry.status.read(exact=False)))
    return Answer(200, (("Content-Type", _CONTENT_TYPE), ("Cache-Control", "no-store")), generate_latest(collectors))


def _value(status: dict[str, Any], path: str) -> Any:
    value: Any = status
    for name in path.split("."):
        value = value[name]
    return value


def _name(path: str) -> str:
    return "cargohold_" + path.replace("inventory.", "").replace("all_time.", "").replace(".", "_")
