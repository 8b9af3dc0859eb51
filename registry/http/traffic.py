"""Requests as they are counted for Prometheus, under the names and labels that distribution gave them.

Whoever answers a request calls ``begin``, ``Record.route`` as soon as the end point is known, and ``Record.end``
whatever became of it; that costs a few microseconds. What a client sends makes no label: end points are those of
the table, methods and statuses are known ones.

Source: distribution, registry/api/v2/routes.go and registry/handlers/app.go; docker/go-metrics, handler.go; the words
for methods are those of prometheus/client_golang, promhttp/instrument_server.go.
"""

from __future__ import annotations

import time
from typing import TYPE_CHECKING, Final

from prometheus_client.core import CounterMetricFamily, GaugeMetricFamily, HistogramMetricFamily
from prometheus_client.registry import Collector
from prometheus_client.utils import floatToGoString

from registry.tally import BYTES, SECONDS, Histogram

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping

    from prometheus_client.core import Metric

HANDLERS: Final[Mapping[str, str]] = {
    "version": "base",
    "catalog": "catalog",
    "extensions": "extensions",
    "tags": "tags",
    "referrers": "referrers",
    "manifest": "manifest",
    "blob": "blob",
    "uploads": "blob_upload",
    "upload": "blob_upload_chunk",
    "token": "token",
}
"""Names of end points as they stand in ``routes``, and here. Others, of probes and the operator's, are not counted."""

_ELSEWHERE = "other"
"""What leads to no end point: a path or a method that there is not, a client that asks too often or for whom there is
no place, and what is no request."""

_METHODS: Final = {
    name: name.lower() for name in ("GET", "HEAD", "POST", "PUT", "PATCH", "DELETE", "OPTIONS", "CONNECT", "TRACE")
}
_UNKNOWN = "unknown"

CLIENT_GONE = 499
"""The code of a request whose client went away before an answer began, as nginx logs it."""


def add(family: HistogramMetricFamily, histogram: Histogram, *labels: str) -> None:
    """One more of a family, its bounds written as Go writes them."""
    buckets = [(floatToGoString(bound), float(count)) for bound, count in histogram.buckets()]  # type: ignore[no-untyped-call]
    family.add_metric(labels, buckets, histogram.total)


class _Handled:
    """What is counted of one end point."""

    __slots__ = ("in_flight", "methods", "request_bytes", "response_bytes")

    def __init__(self) -> None:
        self.in_flight = 0
        self.request_bytes = Histogram(BYTES)
        self.response_bytes = Histogram(BYTES)
        self.methods: dict[str, tuple[dict[int, int], Histogram]] = {}
        """By method: how often each status was answered, and how long it took."""


class Record:
    """One request and its answer."""

    __slots__ = ("_began", "_handled", "_is_counted", "_method", "_traffic")

    def __init__(self, traffic: Traffic, method: str) -> None:
        self._traffic = traffic
        self._method = _METHODS.get(method, _UNKNOWN)
        self._handled: _Handled | None = None
        self._is_counted = True
        self._began = time.perf_counter()

    def route(self, name: str) -> None:
        """Its end point is known; from now on the request is in flight there."""
        self._handled = self._traffic.handled.get(HANDLERS.get(name, ""))
        if self._handled is None:
            self._is_counted = False
        else:
            self._handled.in_flight += 1

    def end(self, status: int, received_bytes: int, sent_bytes: int) -> float:
        """Call it once; the seconds it took. The bytes are those of bodies, as far as they were read and sent."""
        took = time.perf_counter() - self._began
        if not self._is_counted:
            return took
        handled = self._handled
        if handled is None:
            handled = self._traffic.handled[_ELSEWHERE]
        else:
            handled.in_flight -= 1
        handled.request_bytes.observe(received_bytes)
        handled.response_bytes.observe(sent_bytes)
        if self._method not in handled.methods:
            handled.methods[self._method] = ({}, Histogram(SECONDS))
        codes, seconds = handled.methods[self._method]
        codes[status] = codes.get(status, 0) + 1
        seconds.observe(took)
        return took


class Traffic(Collector):
    """The requests of one daemon since it started."""

    def __init__(self) -> None:
        self.handled = {name: _Handled() for name in (*HANDLERS.values(), _ELSEWHERE)}

    def begin(self, method: str) -> Record:
        return Record(self, method)

    def collect(self) -> Iterator[Metric]:
        in_flight = GaugeMetricFamily(
            "registry_http_in_flight_requests", "Requests that are being answered", labels=["handler"]
        )
        for handler, handled in self.handled.items():
            in_flight.add_metric([handler], handled.in_flight)
        yield in_flight
        yield from self._requests()
        for name, text in (
            ("request", "Bytes of the bodies of requests, as far as they were read"),
            ("response", "Bytes of the bodies of answers, as far as they were sent"),
        ):
            sizes = HistogramMetricFamily(f"registry_http_{name}_size_bytes", text, labels=["handler"])
            for handler, handled in self.handled.items():
                size = handled.request_bytes if name == "request" else handled.response_bytes
                if size.count:  # 24 lines each
                    add(sizes, size, handler)
            yield sizes

    def _requests(self) -> Iterator[Metric]:
        requests = CounterMetricFamily(
            "registry_http_requests", "Requests that were answered", labels=["handler", "method", "code"]
        )
        durations = HistogramMetricFamily(
            "registry_http_request_duration_seconds",
            "From the end of a request's head to the end of its answer",
            labels=["handler", "method"],
        )
        for handler, handled in self.handled.items():
            for method, (codes, seconds) in handled.methods.items():
                for code, count in codes.items():
                    requests.add_metric([handler, method, str(code)], count)
                add(durations, seconds, handler, method)
        yield requests
        yield durations
