"""The metrics of the platform: data plane, gateway, API, builds, deliveries and processes."""

from __future__ import annotations

import platform
from collections.abc import Iterator
from typing import Final

from prometheus_client.core import InfoMetricFamily, Metric

from fnkit.platform.api.metrics.families import counter, gauge, histogram
from fnkit.platform.control.scraping import PlatformMetrics
from fnkit.platform.measurements import BUILD_BOUNDS, API_REQUEST_BOUNDS, DataPlaneMetricsSnapshot

__all__ = ["platform_metrics"]

_MIB: Final = 1024 * 1024


def platform_metrics(measurements: PlatformMetrics) -> Iterator[Metric]:
    """Yield the metric families of the platform; those of the data plane only while it responds."""
    build = {
        "version": measurements.version,
        "python": platform.python_version(),
        "isolation": measurements.isolation,
    }
    yield InfoMetricFamily("fnkit_build", "Version of fnkit and Python, and isolation level.", value=build)
    is_up = measurements.data_plane is not None
    yield gauge("fnkit_data_plane_up", "1 if the data plane responds, otherwise 0.", (), [((), is_up)])
    if measurements.data_plane is not None:
        yield from _data_plane_metrics(measurements.data_plane)
    yield from _control_metrics(measurements)
    yield from _process_metrics(measurements)


def _data_plane_metrics(data_plane: DataPlaneMetricsSnapshot) -> Iterator[Metric]:
    yield counter(
        "fnkit_gateway_answers",
        "Responses of the gateway itself, without a function: unknown host, invalid token, malformed HTTP.",
        ("code",),
        (((str(code),), count) for code, count in sorted(data_plane.gateway_responses.items())),
    )
    yield gauge("fnkit_gateway_connections", "Open client connections.", (), [((), data_plane.open_connections)])
    engine = data_plane.engine
    yield gauge(
        "fnkit_memory_budget_used_bytes",
        "Sum of the memory limits of all live instances.",
        (),
        [((), engine.memory_used_mb * _MIB)],
    )
    yield gauge(
        "fnkit_memory_budget_limit_bytes",
        "Maximum sum of the memory limits of all live instances (--memory-budget).",
        (),
        [((), engine.memory_limit_mb * _MIB)],
    )
    if data_plane.spans is not None:
        yield counter(
            "fnkit_otlp_spans",
            "Spans, by result: exported, or dropped because the collector was slow or unavailable.",
            ("result",),
            [(("exported",), data_plane.spans.exported), (("dropped",), data_plane.spans.dropped)],
        )


def _control_metrics(measurements: PlatformMetrics) -> Iterator[Metric]:
    control = measurements.control
    yield counter(
        "fnkit_api_requests",
        "API requests, by operation and status code.",
        ("operation", "code"),
        (((operation, str(code)), count) for (operation, code), count in sorted(control.requests.items())),
    )
    yield histogram(
        "fnkit_api_request_duration_seconds",
        "Duration of API requests.",
        ("operation",),
        API_REQUEST_BOUNDS,
        (((operation,), value) for operation, value in sorted(control.request_durations.items())),
    )
    yield histogram(
        "fnkit_build_duration_seconds",
        "Duration of builds, by result: succeeded, failed, cancelled.",
        ("result",),
        BUILD_BOUNDS,
        (((result,), value) for result, value in sorted(control.builds.items())),
    )
    yield counter(
        "fnkit_deliveries",
        "Finished deliveries of crons and triggers, by kind and result: succeeded, failed, dead, unknown.",
        ("kind", "result"),
        (((kind, result), count) for (kind, result), count in sorted(control.deliveries.items())),
    )


def _process_metrics(measurements: PlatformMetrics) -> Iterator[Metric]:
    processes = sorted(measurements.processes.items())
    yield counter(
        "fnkit_process_cpu_seconds",
        "CPU time of the platform's own processes, user and system.",
        ("process",),
        (((name,), usage.cpu_seconds) for name, usage in processes),
    )
    yield gauge(
        "fnkit_process_resident_memory_bytes",
        "Resident memory of the platform's own processes.",
        ("process",),
        (((name,), usage.resident_bytes) for name, usage in processes),
    )
    yield gauge(
        "fnkit_process_open_fds",
        "Open file descriptors of the platform's own processes.",
        ("process",),
        (((name,), usage.open_descriptors) for name, usage in processes),
    )
    yield gauge(
        "fnkit_process_start_time_seconds",
        "Start time of the platform's own processes in Unix seconds; a restart resets their counters.",
        ("process",),
        (((name,), usage.started_at) for name, usage in processes),
    )
