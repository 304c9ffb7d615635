"""The metrics of the platform itself: its processes, its gateway, its API, its builds, its deliveries."""

from __future__ import annotations

import platform
from collections.abc import Iterator
from typing import Final

from prometheus_client.core import InfoMetricFamily, Metric

from fnkit.platform.api.metrics.families import counter, gauge, histogram
from fnkit.platform.control.scraping import Measurements
from fnkit.platform.measurements import BUILD_BOUNDS, REQUEST_BOUNDS, DataPlaneMeasurements

__all__ = ["platform_metrics"]

_MIB: Final = 1024 * 1024


def platform_metrics(measurements: Measurements) -> Iterator[Metric]:
    """Yield every family; those of the data plane only while it is there."""
    build = {
        "version": measurements.version,
        "python": platform.python_version(),
        "isolation": measurements.isolation,
    }
    yield InfoMetricFamily("fnkit_build", "This platform.", value=build)
    there = measurements.data_plane is not None
    yield gauge("fnkit_data_plane_up", "Whether the data plane answers: 1, or 0.", (), [((), there)])
    if measurements.data_plane is not None:
        yield from _data_plane(measurements.data_plane)
    yield from _control(measurements)
    yield from _processes(measurements)


def _data_plane(data_plane: DataPlaneMeasurements) -> Iterator[Metric]:
    yield counter(
        "fnkit_gateway_answers",
        "What the gateway answered itself, without a function: no such host, no valid token, not HTTP.",
        ("code",),
        (((str(code),), count) for code, count in sorted(data_plane.answers.items())),
    )
    yield gauge(
        "fnkit_gateway_connections", "Connections of clients, open now.", (), [((), data_plane.connections)]
    )
    engine = data_plane.engine
    yield gauge(
        "fnkit_memory_budget_used_bytes",
        "The memory limits of all live instances together.",
        (),
        [((), engine.memory_used * _MIB)],
    )
    yield gauge(
        "fnkit_memory_budget_limit_bytes",
        "What they may be together: --memory-budget.",
        (),
        [((), engine.memory_limit * _MIB)],
    )
    if data_plane.spans is not None:
        yield counter(
            "fnkit_otlp_spans",
            "Spans, by result: exported, or dropped because the collector was too slow or away.",
            ("result",),
            [(("exported",), data_plane.spans.exported), (("dropped",), data_plane.spans.dropped)],
        )


def _control(measurements: Measurements) -> Iterator[Metric]:
    control = measurements.control
    yield counter(
        "fnkit_api_requests",
        "Requests to the API, by operation and status.",
        ("operation", "code"),
        (((operation, str(code)), count) for (operation, code), count in sorted(control.requests.items())),
    )
    yield histogram(
        "fnkit_api_request_duration_seconds",
        "How long the API took to answer.",
        ("operation",),
        REQUEST_BOUNDS,
        (((operation,), value) for operation, value in sorted(control.request_durations.items())),
    )
    yield histogram(
        "fnkit_build_duration_seconds",
        "How long builds took, by result: succeeded, failed, cancelled.",
        ("result",),
        BUILD_BOUNDS,
        (((result,), value) for result, value in sorted(control.builds.items())),
    )
    yield counter(
        "fnkit_deliveries",
        "Firings of crons and triggers that are over, by kind and result: succeeded, failed, dead, unknown.",
        ("kind", "result"),
        (((kind, result), count) for (kind, result), count in sorted(control.deliveries.items())),
    )


def _processes(measurements: Measurements) -> Iterator[Metric]:
    processes = sorted(measurements.processes.items())
    yield counter(
        "fnkit_process_cpu_seconds",
        "CPU time of the platform's own processes, user and system.",
        ("process",),
        (((name,), usage.cpu_seconds) for name, usage in processes),
    )
    yield gauge(
        "fnkit_process_resident_memory_bytes",
        "Their resident memory.",
        ("process",),
        (((name,), usage.resident_bytes) for name, usage in processes),
    )
    yield gauge(
        "fnkit_process_open_fds",
        "Their open file descriptors.",
        ("process",),
        (((name,), usage.open_descriptors) for name, usage in processes),
    )
    yield gauge(
        "fnkit_process_start_time_seconds",
        "When they started, in Unix seconds: counters begin anew with their process.",
        ("process",),
        (((name,), usage.started) for name, usage in processes),
    )
