"""Renders metrics in Prometheus' text format or in OpenMetrics. Rendering blocks, so it runs in a thread."""

from __future__ import annotations

import gzip
import platform
from collections.abc import Iterable, Iterator, Sequence
from typing import Final

from prometheus_client.core import (
    CounterMetricFamily,
    GaugeMetricFamily,
    HistogramMetricFamily,
    InfoMetricFamily,
    Metric,
)
from prometheus_client.exposition import choose_encoder

from fnkit.platform.control.metrics import PlatformMetrics
from fnkit.platform.model.metrics import (
    API_REQUEST_BOUNDS,
    BUILD_BOUNDS,
    COLD_START_BOUNDS,
    DURATION_BOUNDS,
    QUEUE_WAIT_BOUNDS,
    DataPlaneMetricsSnapshot,
    FunctionMetricsSnapshot,
    HistogramSnapshot,
)

__all__ = ["counter", "function_metrics", "gauge", "histogram", "platform_metrics", "render_exposition"]

LabelledValue = tuple[Sequence[str], float]

_FUNCTION_LABELS: Final = ("function", "namespace", "region", "function_id")
_LabelledFunctions = Iterable[tuple[tuple[str, str, str, str], FunctionMetricsSnapshot]]

_MIB: Final = 1024 * 1024

_GZIP_LEVEL: Final = (
    1  # reduces the size to a tenth; higher levels cost more CPU than they save on a local connection
)


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


def function_metrics(functions: Iterable[FunctionMetricsSnapshot]) -> Iterator[Metric]:
    """Yield the metric families of functions."""
    all_functions = [((one.name, one.namespace, one.region, one.function_id), one) for one in functions]
    called = [(labels, one) for labels, one in all_functions if one.requests]
    yield from _request_metrics(called)
    yield from _instance_metrics(all_functions)
    yield from _usage_metrics(all_functions, called)


def _request_metrics(called: _LabelledFunctions) -> Iterator[Metric]:
    yield counter(
        "fnkit_function_requests",
        "Completed requests to a function, by the status code that the client received; "
        "499 means that the client disconnected.",
        (*_FUNCTION_LABELS, "code"),
        (((*labels, str(code)), count) for labels, one in called for code, count in sorted(one.requests.items())),
    )
    yield histogram(
        "fnkit_function_request_duration_seconds",
        "Time from the last byte of a request to the last byte of its response, with queueing and cold start.",
        _FUNCTION_LABELS,
        DURATION_BOUNDS,
        ((labels, one.durations) for labels, one in called),
    )
    yield histogram(
        "fnkit_function_queue_duration_seconds",
        "Time that requests waited for an instance, including cold starts.",
        _FUNCTION_LABELS,
        QUEUE_WAIT_BOUNDS,
        ((labels, one.queue_waits) for labels, one in called),
    )
    yield counter(
        "fnkit_function_cold_starts",
        "Requests that waited for the start of the instance that processed them.",
        _FUNCTION_LABELS,
        ((labels, sum(one.cold_starts.counts)) for labels, one in called if one.cold_starts is not None),
    )
    yield histogram(
        "fnkit_function_cold_start_duration_seconds",
        "Time that requests waited for the start of an instance.",
        _FUNCTION_LABELS,
        COLD_START_BOUNDS,
        ((labels, one.cold_starts) for labels, one in called),
    )


def _instance_metrics(all_functions: _LabelledFunctions) -> Iterator[Metric]:
    yield gauge(
        "fnkit_function_queue_depth",
        "Requests currently waiting for an instance.",
        _FUNCTION_LABELS,
        ((labels, one.queued) for labels, one in all_functions),
    )
    yield gauge(
        "fnkit_function_instances",
        "Current instances, by state: idle, busy, starting.",
        (*_FUNCTION_LABELS, "state"),
        (
            ((*labels, state), count)
            for labels, one in all_functions
            for state, count in (("idle", one.idle), ("busy", one.busy), ("starting", one.starting))
        ),
    )
    yield counter(
        "fnkit_function_instance_starts",
        "Instance starts, by result: ready, failed.",
        (*_FUNCTION_LABELS, "result"),
        (
            ((*labels, result), count)
            for labels, one in all_functions
            for result, count in sorted(one.starts.items())
        ),
    )
    yield counter(
        "fnkit_function_instances_ended",
        "Terminated instances, by reason: scaled-down, oom, timeout, exit, killed, other.",
        (*_FUNCTION_LABELS, "reason"),
        (((*labels, reason), count) for labels, one in all_functions for reason, count in sorted(one.ends.items())),
    )


def _usage_metrics(all_functions: _LabelledFunctions, called: _LabelledFunctions) -> Iterator[Metric]:
    yield gauge(
        "fnkit_function_memory_bytes",
        "Memory usage of all instances, from their control groups or else the resident memory of their processes.",
        _FUNCTION_LABELS,
        ((labels, one.memory_bytes) for labels, one in all_functions if one.memory_bytes is not None),
    )
    yield counter(
        "fnkit_function_gigabyte_seconds",
        "Memory limit multiplied by request duration, which is billed as resource consumption.",
        _FUNCTION_LABELS,
        ((labels, one.gigabyte_seconds) for labels, one in called),
    )
    yield counter(
        "fnkit_function_log_lines_dropped",
        "Log lines dropped because the function exceeded 30,000 lines per minute.",
        _FUNCTION_LABELS,
        ((labels, one.log_lines_dropped) for labels, one in called),
    )


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
