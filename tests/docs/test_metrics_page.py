"""docs/metrics.md names every metric, with its labels' values, and none that there is not."""

from __future__ import annotations

import re

from fnkit.platform.api.metrics.functions import function_metrics
from fnkit.platform.api.metrics.platform import platform_metrics
from fnkit.platform.control.metering import ControlMeter
from fnkit.platform.control.scraping import Measurements
from fnkit.platform.measurements import DataPlaneMeasurements, EngineMeasurements, SpanCounts
from tests.support.source_tree import REPOSITORY

PAGE = (REPOSITORY / "docs" / "metrics.md").read_text(encoding="utf-8")
SUFFIXES = {"counter": "_total", "info": "_info"}


def metrics() -> set[str]:
    data_plane = DataPlaneMeasurements(
        engine=EngineMeasurements(functions=(), memory_used=0, memory_limit=0),
        answers={},
        connections=0,
        spans=SpanCounts(exported=0, dropped=0),
    )
    measurements = Measurements(version="", isolation="", control=ControlMeter().read(), data_plane=data_plane)
    families = [*platform_metrics(measurements), *function_metrics(())]
    return {family.name + SUFFIXES.get(family.type, "") for family in families}


def test_the_page_names_exactly_the_metrics_that_there_are() -> None:
    rows = "\n".join(line for line in PAGE.splitlines() if line.startswith("| `fnkit_"))
    assert set(re.findall(r"`(fnkit_\w+)", rows)) == metrics()


def test_the_questions_ask_for_metrics_that_there_are() -> None:
    asked = set(re.findall(r"fnkit_\w+", PAGE.partition("```promql")[2].partition("```")[0]))
    assert {name.removesuffix("_bucket") for name in asked} <= metrics()
