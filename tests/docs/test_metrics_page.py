"""docs/metrics.md documents exactly the existing metrics."""

from __future__ import annotations

import re

from fnkit.platform.control.api.prometheus_metrics import function_metrics, platform_metrics
from fnkit.platform.control.counters import ControlCounters
from fnkit.platform.control.metrics import PlatformMetrics
from fnkit.platform.model.metrics import DataPlaneMetricsSnapshot, EngineMetricsSnapshot, SpanCounts
from tests.support.source_tree import REPOSITORY

PAGE = (REPOSITORY / "docs" / "metrics.md").read_text(encoding="utf-8")
SUFFIXES = {"counter": "_total", "info": "_info"}


def metrics() -> set[str]:
    data_plane = DataPlaneMetricsSnapshot(
        engine=EngineMetricsSnapshot(functions=(), memory_used_mb=0, memory_limit_mb=0),
        gateway_responses={},
        open_connections=0,
        spans=SpanCounts(exported=0, dropped=0),
    )
    measurements = PlatformMetrics(
        version="", isolation="", control=ControlCounters().snapshot(), data_plane=data_plane
    )
    families = [*platform_metrics(measurements), *function_metrics(())]
    return {family.name + SUFFIXES.get(family.type, "") for family in families}


def test_documented_metrics_equal_the_existing_ones() -> None:
    rows = "\n".join(line for line in PAGE.splitlines() if line.startswith("| `fnkit_"))
    assert set(re.findall(r"`(fnkit_\w+)", rows)) == metrics()


def test_metrics_in_promql_examples_exist() -> None:
    used = set(re.findall(r"fnkit_\w+", PAGE.partition("```promql")[2].partition("```")[0]))
    assert {name.removesuffix("_bucket") for name in used} <= metrics()
