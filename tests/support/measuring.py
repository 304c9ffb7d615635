"""Metrics as a scraper sees them."""

from __future__ import annotations

import urllib.request
from collections.abc import Mapping
from dataclasses import dataclass

from prometheus_client import Metric
from prometheus_client.openmetrics.parser import text_string_to_metric_families as read_openmetrics
from prometheus_client.parser import text_string_to_metric_families as read_text

__all__ = ["OPENMETRICS", "Scrape", "scrape"]

OPENMETRICS = "application/openmetrics-text;version=1.0.0"


@dataclass(frozen=True)
class Scrape:
    """One answer of ``/metrics``."""

    text: str
    headers: Mapping[str, str]
    families: tuple[Metric, ...]

    def value(self, name: str, **labels: str) -> float | None:
        """The sample with at least these labels; ``None`` where there is none, an error where there are several."""
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
        """The names of all samples with these labels."""
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
