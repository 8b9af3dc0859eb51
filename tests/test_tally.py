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


def test_what_one_has_counted_another_takes() -> None:
    one, other, both = Histogram(SECONDS), Histogram(SECONDS), Histogram(SECONDS)
    for histogram, values in ((one, (0.1, 70.0)), (other, (0.1, 2.0))):
        for value in values:
            histogram.observe(value)
            both.observe(value)
    other.add(one.take())
    assert (other.buckets(), other.total) == (both.buckets(), both.total)
    assert (one.count, one.total) == (0, 0)
    one.observe(1.0)
    other.add(one.take())
    assert other.count == 5
