"""The state of the registry for Prometheus (text format 0.0.4).

What starts with ``registry_`` has the names and labels of distribution, and of GitLab's registry for the garbage.
Source: distribution, registry/storage/driver/base/base.go; GitLab, "Container registry metrics" (gc).
"""

from __future__ import annotations

from itertools import chain
from typing import TYPE_CHECKING, Any

import trio
from prometheus_client import generate_latest
from prometheus_client.core import CounterMetricFamily, GaugeMetricFamily, HistogramMetricFamily
from prometheus_client.registry import Collector

from registry.http.answers import Answer
from registry.http.traffic_families import add

if TYPE_CHECKING:
    from collections.abc import Iterator

    from prometheus_client.core import Metric

    from registry.http.answers import Request
    from registry.service.registry import Registry
    from registry.service.status import Status

_CONTENT_TYPE = "text/plain; version=0.0.4; charset=utf-8"

_GAUGES = {
    "up_seconds": "Since the registry was opened",
    "is_ready": "1 while pulls can be served",
    "inventory.repositories": "Repositories",
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
    "database.log_bytes": "Bytes of the file of the database's write-ahead log (WAL)",
    "garbage.interval_seconds": "How often garbage is collected (gc.interval)",
    "garbage.last_run_age_seconds": "Since the last garbage collection ended",
    "garbage.last_run_seconds": "How long it took",
    "garbage.last_failure_age_seconds": "Since a garbage collection failed last; the next ones may have succeeded",
    "disk.free_bytes": "Free on the file system of the data folder",
    "disk.reserve_bytes": "What uploads leave free",
    "backup.interval_seconds": "How often a snapshot is taken (backup.interval)",
    "backup.age_seconds": "Since the last snapshot of the database",
    "backup.behind_seconds": "Since the snapshot held all that there was, or since the start",
    "backup.last_failure_age_seconds": "Since a snapshot failed last; the next ones may have succeeded",
    "backup.restores_in_full_since_seconds": "Moment since the epoch: snapshots made since then miss no file; 0: all",
    "scrub.due_blobs": "Blobs that were not verified for scrub.verified_seconds",
    "scrub.due_bytes": "Bytes of these",
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

_DELETES = {
    ("database", "manifest"): "manifests",
    ("database", "blob"): "links",
    ("storage", "blob"): "removed_blobs",
}
"""By backend and artifact, which total of all garbage collections it is."""


class _Family(Collector):
    """One family of metrics, to be written by itself."""

    def __init__(self, family: Metric) -> None:
        self._family = family

    def collect(self) -> Iterator[Metric]:
        yield self._family


class _State(Collector):
    """``status`` is what ``Status.read`` has returned."""

    def __init__(self, status: dict[str, Any], expires_at: float | None) -> None:
        self._status = status
        self._expires_at = expires_at

    def collect(self) -> Iterator[Metric]:
        for path, text in _GAUGES.items():
            value = _value(self._status, path)
            if value is not None:
                yield GaugeMetricFamily(_name(path), text, value=float(value))
        for path, text in _COUNTERS.items():
            yield CounterMetricFamily(_name(path), text, value=float(_value(self._status, path)))
        if self._expires_at is not None:
            yield GaugeMetricFamily(
                "cargohold_certificate_expiry_timestamp_seconds",
                "Moment since the epoch at which the TLS certificate, or one of its chain, ends",
                value=self._expires_at,
            )
        yield from self._deletes()

    def _deletes(self) -> Iterator[Metric]:
        totals = self._status["garbage"]["all_time"]
        deletes = CounterMetricFamily(
            "registry_gc_deletes", "What garbage collection took", labels=["backend", "artifact"]
        )
        for labels, name in _DELETES.items():
            deletes.add_metric(labels, totals[name])
        yield deletes
        yield CounterMetricFamily(
            "registry_gc_storage_deleted_bytes", "Bytes of the blobs removed", value=totals["removed_bytes"]
        )


class _Times(Collector):
    def __init__(self, status: Status) -> None:
        self._status = status

    def collect(self) -> Iterator[Metric]:
        waits = HistogramMetricFamily(
            "cargohold_write_queue_seconds", "From the asking for a transaction to its beginning", labels=()
        )
        add(waits, self._status.write_queue_seconds())
        yield waits
        actions = HistogramMetricFamily(
            "registry_storage_action_seconds", "What the disk and the database took", labels=["driver", "action"]
        )
        for driver, action, seconds in self._status.action_seconds():
            add(actions, seconds, driver, action)
        yield actions
        yield from self._garbage()

    def _garbage(self) -> Iterator[Metric]:
        labels = ("worker", "noop", "error")
        runs = CounterMetricFamily("registry_gc_runs", "Garbage collections", labels=labels)
        durations = HistogramMetricFamily("registry_gc_run_duration_seconds", "How long they took", labels=labels)
        for (is_nothing, has_failed), seconds in self._status.garbage_seconds().items():
            values = ("collector", str(is_nothing).lower(), str(has_failed).lower())
            runs.add_metric(values, seconds.count)
            add(durations, seconds, *values)
        yield runs
        yield durations


async def get(registry: Registry, request: Request) -> Answer:
    monitor = request.monitor
    await monitor.gather()
    expires_at = None if monitor.certificates is None else monitor.certificates.expires_at
    state = _State(await registry.status.read(exact=False), expires_at)
    pieces = []
    for family in chain(state.collect(), _Times(registry.status).collect(), monitor.traffic.collect()):
        pieces.append(generate_latest(_Family(family)))
        await trio.lowlevel.checkpoint()  # all together take as long as dozens of pulls
    return Answer(200, (("Content-Type", _CONTENT_TYPE), ("Cache-Control", "no-store")), b"".join(pieces))


def _value(status: dict[str, Any], path: str) -> Any:
    value: Any = status
    for name in path.split("."):
        value = value[name]
    return value


def _name(path: str) -> str:
    return "cargohold_" + path.replace("inventory.", "").replace("all_time.", "").replace(".", "_")
