"""Histograms."""

from __future__ import annotations

from prometheus_client import Histogram as TheirHistogram
from prometheus_client.registry import CollectorRegistry

from registry.tally import BYTES, QUICK_SECONDS, SECONDS, Histogram


def test_it_counts_as_prometheus_own_client_does() -> None:
    values = [0.0, 0.0001, 0.005, 0.0050001, 1.0, 59.0, 60.0, 61.0, 1e12]
    for bounds in (SECONDS, QUICK_SECONDS, BYTES):
        theirs = TheirHistogram("x", "x", buckets=bounds, registry=CollectorRegistry())
        ours = Histogram(bounds)
        for value in values:
            theirs.observe(value)
            ours.observe(value)
        [family] = theirs.collect()
        expected = [(float(each.labels["le"]), each.value) for each in family.samples if each.name == "x_bucket"]
        assert ours.buckets() == expected
        assert ours.total == sum(values)
