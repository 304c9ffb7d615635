"""Measurements as text: Prometheus' format or OpenMetrics, whichever the scraper asks for. Blocks: for a thread."""

from __future__ import annotations

import gzip
from collections.abc import Iterable
from typing import Final

from prometheus_client.core import Metric
from prometheus_client.exposition import choose_encoder

from fnkit.platform.api.metrics.functions import function_metrics
from fnkit.platform.api.metrics.platform import platform_metrics
from fnkit.platform.control.scraping import Measurements

__all__ = ["exposition"]

_LEVEL: Final = 1  # a tenth of the size already; more costs more than it saves on one machine


class _Families:
    """What prometheus_client's encoders read: something that can be collected."""

    def __init__(self, measurements: Measurements) -> None:
        self._measurements = measurements

    def collect(self) -> Iterable[Metric]:
        yield from platform_metrics(self._measurements)
        if self._measurements.data_plane is not None:
            yield from function_metrics(self._measurements.data_plane.engine.functions)


def exposition(measurements: Measurements, accept: str, encoding: str) -> tuple[bytes, dict[str, str]]:
    """Return body and headers. accept, encoding: ``Accept`` and ``Accept-Encoding`` of the scraper."""
    try:
        encode, content_type = choose_encoder(accept)
    except (ValueError, TypeError):  # a version that is none
        encode, content_type = choose_encoder("")
    body = encode(_Families(measurements))
    headers = {"Content-Type": content_type, "Vary": "Accept, Accept-Encoding"}
    if any(one.split(";")[0].strip().lower() == "gzip" for one in encoding.split(",")):
        return gzip.compress(body, _LEVEL), {**headers, "Content-Encoding": "gzip"}
    return body, headers
