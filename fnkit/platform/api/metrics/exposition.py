"""Renders metrics in Prometheus' text format or in OpenMetrics. Rendering blocks, so it runs in a thread."""

from __future__ import annotations

import gzip
from collections.abc import Iterable
from typing import Final

from prometheus_client.core import Metric
from prometheus_client.exposition import choose_encoder

from fnkit.platform.api.metrics.functions import function_metrics
from fnkit.platform.api.metrics.platform import platform_metrics
from fnkit.platform.control.scraping import PlatformMetrics

__all__ = ["render_exposition"]

_GZIP_LEVEL: Final = (
    1  # reduces the size to a tenth; higher levels cost more CPU than they save on a local connection
)


class _MetricCollector:
    """The metrics as a collector, which is the interface that the encoders of prometheus_client expect."""

    def __init__(self, measurements: PlatformMetrics) -> None:
        self._measurements = measurements

    def collect(self) -> Iterable[Metric]:
        yield from platform_metrics(self._measurements)
        if self._measurements.data_plane is not None:
            yield from function_metrics(self._measurements.data_plane.engine.functions)


def render_exposition(
    measurements: PlatformMetrics, accept: str, accept_encoding: str
) -> tuple[bytes, dict[str, str]]:
    """Render the metrics and return the body and the headers.

    Args:
        measurements: The metrics of one scrape.
        accept: The ``Accept`` header, which selects the format.
        accept_encoding: The ``Accept-Encoding`` header.
    """
    try:
        encode, content_type = choose_encoder(accept)
    except (ValueError, TypeError):  # prometheus_client fails on a malformed version parameter
        encode, content_type = choose_encoder("")
    body = encode(_MetricCollector(measurements))
    headers = {"Content-Type": content_type, "Vary": "Accept, Accept-Encoding"}
    if any(one.split(";")[0].strip().lower() == "gzip" for one in accept_encoding.split(",")):
        return gzip.compress(body, _GZIP_LEVEL), {**headers, "Content-Encoding": "gzip"}
    return body, headers
