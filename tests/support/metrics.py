"""Metrics: the snapshot of a data plane, and what a Prometheus scrape of the API returns."""

from __future__ import annotations

import urllib.request
from collections.abc import Mapping
from dataclasses import dataclass

import msgspec
from prometheus_client import Metric
from prometheus_client.openmetrics.parser import text_string_to_metric_families as read_openmetrics
from prometheus_client.parser import text_string_to_metric_families as read_text

from fnkit.platform.model.metrics import DataPlaneMetricsSnapshot, FunctionMetricsSnapshot
from fnkit.platform.model.routing import Route
from tests.support.data_plane import DataPlaneProcess
from tests.support.waiting import wait_until

__all__ = ["OPENMETRICS", "Scrape", "function_metrics", "read_metrics", "scrape", "wait_for_counts"]

OPENMETRICS = "application/openmetrics-text;version=1.0.0"


@dataclass(frozen=True)
class Scrape:
    """One response of ``/metrics``."""

    text: str
    headers: Mapping[str, str]
    families: tuple[Metric, ...]

    def value(self, name: str, **labels: str) -> float | None:
        """Return the value of the sample with at least these labels, or ``None``; fail if there are several."""
        found = self.values(name, **labels)
        assert len(found) <= 1, found
        return found[0] if found else None

    def values(self, name: str, **labels: str) -> list[float]:
        return [
            sample.value
            for family in self.families
            for sample in family.samples
            if sample.name == name and labels.items() <= sample.labels.items()
        ]

    def samples(self, **labels: str) -> list[str]:
        """Return the names of all samples with these labels."""
        return [
            sample.name
            for family in self.families
            for sample in family.samples
            if labels.items() <= sample.labels.items()
        ]


def scrape(api_url: str, headers: Mapping[str, str] | None = None) -> Scrape:
    request = urllib.request.Request(f"{api_url}/metrics", headers=dict(headers or {}))
    with urllib.request.urlopen(request, timeout=60) as answer:
        text = answer.read().decode()
        kind = answer.headers["Content-Type"]
        read = read_openmetrics if kind.startswith("application/openmetrics-text") else read_text
        return Scrape(text, dict(answer.headers.items()), tuple(read(text)))


def read_metrics(plane: DataPlaneProcess) -> DataPlaneMetricsSnapshot:
    """Return the metrics snapshot of a data plane."""
    reply = plane.call_private_listener("data-plane", "/metrics")
    assert reply.status == 200
    return msgspec.msgpack.decode(reply.body, type=DataPlaneMetricsSnapshot)


def function_metrics(plane: DataPlaneProcess, route: Route) -> FunctionMetricsSnapshot:
    """Return the metrics of one function."""
    return next(one for one in read_metrics(plane).engine.functions if one.function_id == route.function_id)


def wait_for_counts(plane: DataPlaneProcess, route: Route, *, busy: int, waiting: int = 0) -> None:
    """Wait until exactly ``busy`` instances of a function process a request and ``waiting`` requests are queued."""

    def state() -> tuple[int, int]:
        now = function_metrics(plane, route)
        return now.busy, now.queued

    wait_until(lambda: state() == (busy, waiting), what=f"{busy} busy, {waiting} waiting")
