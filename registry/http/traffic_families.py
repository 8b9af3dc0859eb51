"""Requests as Prometheus is told of them, under the names and labels that distribution gave them.

Source: distribution, registry/handlers/app.go; docker/go-metrics, handler.go.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from prometheus_client.core import CounterMetricFamily, GaugeMetricFamily, HistogramMetricFamily
from prometheus_client.utils import floatToGoString

if TYPE_CHECKING:
    from collections.abc import Iterator

    from prometheus_client.core import Metric

    from registry.http.traffic import Traffic
    from registry.tally import Histogram


def add(family: HistogramMetricFamily, histogram: Histogram, *labels: str) -> None:
    """One more of a family, its bounds written as Go writes them."""
    buckets = [(floatToGoString(bound), float(count)) for bound, count in histogram.buckets()]  # type: ignore[no-untyped-call]
    family.add_metric(labels, buckets, histogram.total)


def collect(traffic: Traffic) -> Iterator[Metric]:
    in_flight = GaugeMetricFamily(
        "registry_http_in_flight_requests", "Requests that are being answered", labels=["handler"]
    )
    for handler in traffic.handled:
        in_flight.add_metric([handler], traffic.in_flight(handler))
    yield in_flight
    yield from _requests(traffic)
    for name, text in (
        ("request", "Bytes of the bodies of requests, as far as they were read"),
        ("response", "Bytes of the bodies of answers, as far as they were sent"),
    ):
        sizes = HistogramMetricFamily(f"registry_http_{name}_size_bytes", text, labels=["handler"])
        for handler, handled in traffic.handled.items():
            size = handled.request_bytes if name == "request" else handled.response_bytes
            if size.count:  # 24 lines each
                add(sizes, size, handler)
        yield sizes


def _requests(traffic: Traffic) -> Iterator[Metric]:
    requests = CounterMetricFamily(
        "registry_http_requests", "Requests that were answered", labels=["handler", "method", "code"]
    )
    durations = HistogramMetricFamily(
        "registry_http_request_duration_seconds",
        "From the end of a request's head to the end of its answer",
        labels=["handler", "method"],
    )
    for handler, handled in traffic.handled.items():
        for method, (codes, seconds) in handled.methods.items():
            for code, count in codes.items():
                requests.add_metric([handler, method, str(code)], count)
            add(durations, seconds, handler, method)
    yield requests
    yield durations
