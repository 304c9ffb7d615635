"""Constructors of metric families: a name, a help text, and one sample for each set of label values."""

from __future__ import annotations

from collections.abc import Iterable, Sequence

from prometheus_client.core import CounterMetricFamily, GaugeMetricFamily, HistogramMetricFamily

from fnkit.platform.measurements import HistogramSnapshot

__all__ = ["counter", "gauge", "histogram"]

LabelledValue = tuple[Sequence[str], float]


def counter(name: str, help_text: str, labels: Sequence[str], rows: Iterable[LabelledValue]) -> CounterMetricFamily:
    """Return a counter; ``name`` excludes the suffix ``_total``, which the encoder adds."""
    family = CounterMetricFamily(name, help_text, labels=labels)
    for values, value in rows:
        family.add_metric(values, value)
    return family


def gauge(name: str, help_text: str, labels: Sequence[str], rows: Iterable[LabelledValue]) -> GaugeMetricFamily:
    """Return a gauge."""
    family = GaugeMetricFamily(name, help_text, labels=labels)
    for values, value in rows:
        family.add_metric(values, value)
    return family


def histogram(
    name: str,
    help_text: str,
    labels: Sequence[str],
    bounds: Sequence[float],
    rows: Iterable[tuple[Sequence[str], HistogramSnapshot | None]],
) -> HistogramMetricFamily:
    """Return a histogram; rows without a value are omitted.

    Prometheus' buckets are cumulative: each counts all observations up to its upper bound.
    """
    family = HistogramMetricFamily(name, help_text, labels=labels)
    edges = [*(repr(float(bound)) for bound in bounds), "+Inf"]
    for values, value in rows:
        if value is None:
            continue
        buckets: list[tuple[str, float]] = []
        cumulative = 0
        for edge, count in zip(edges, value.counts, strict=True):
            cumulative += count
            buckets.append((edge, cumulative))
        family.add_metric(values, buckets=buckets, sum_value=value.total)
    return family
