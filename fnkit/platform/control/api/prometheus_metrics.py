"""Renders metrics in Prometheus' text format or in OpenMetrics. Rendering blocks, so it runs in a thread."""

from __future__ import annotations

import gzip
import platform
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from itertools import accumulate
from typing import Final

from prometheus_client.core import (
    CounterMetricFamily,
    GaugeMetricFamily,
    HistogramMetricFamily,
    InfoMetricFamily,
    Metric,
)
from prometheus_client.exposition import choose_encoder
from prometheus_client.process_collector import ProcessCollector

from fnkit.platform.control.counters import ControlMetrics
from fnkit.platform.control.metrics import PlatformMetrics
from fnkit.platform.model import metrics

LabelledValue = tuple[Sequence[str], float]

_FUNCTION_LABELS: Final = ("function", "namespace", "region", "function_id")
_LabelledFunctions = Sequence[tuple[tuple[str, str, str, str], metrics.FunctionMetricsSnapshot]]

_MIB: Final = 1024 * 1024

# Reduces the size to a tenth; higher levels cost more CPU than they save on a local connection.
_GZIP_LEVEL: Final = 1

_HELP: Final = {
    "fnkit_function_requests": (
        "Completed requests to a function, by the status code that the client received; 499 means that the "
        "client disconnected."
    ),
    "fnkit_function_request_duration_seconds": (
        "Time from the last byte of a request to the last byte of its response, with queueing and cold start."
    ),
    "fnkit_function_queue_duration_seconds": "Time that requests waited for an instance, including cold starts.",
    "fnkit_function_cold_starts": "Requests that waited for the start of the instance that processed them.",
    "fnkit_function_cold_start_duration_seconds": "Time that requests waited for the start of an instance.",
    "fnkit_function_queue_depth": "Requests currently waiting for an instance.",
    "fnkit_function_instances": "Current instances, by state: idle, busy, starting.",
    "fnkit_function_instance_starts": "Instance starts, by result: ready, failed.",
    "fnkit_function_instances_ended": (
        "Terminated instances, by reason: scaled-down, oom, timeout, exit, killed, other."
    ),
    "fnkit_function_memory_bytes": (
        "Memory usage of all instances, from their control groups or else the resident memory of their processes."
    ),
    "fnkit_function_gigabyte_seconds": (
        "Memory limit multiplied by request duration, which is billed as resource consumption."
    ),
    "fnkit_function_log_lines_dropped": "Log lines dropped because the function exceeded 30,000 lines per minute.",
    "fnkit_build": "Version of fnkit and Python, and isolation level.",
    "fnkit_data_plane_up": "1 if the data plane responds, otherwise 0.",
    "fnkit_gateway_answers": (
        "Responses of the gateway itself, without a function: unknown host, invalid token, malformed HTTP."
    ),
    "fnkit_gateway_connections": "Open client connections.",
    "fnkit_memory_budget_used_bytes": "Sum of the memory limits of all live instances.",
    "fnkit_memory_budget_limit_bytes": "Maximum sum of the memory limits of all live instances (--memory-budget).",
    "fnkit_otlp_spans": "Spans, by result: exported, or dropped because the collector was slow or unavailable.",
    "fnkit_api_requests": "API requests, by operation and status code.",
    "fnkit_api_request_duration_seconds": (
        "Duration of API requests. A read of a resource that is about to change may wait for up to a second."
    ),
    "fnkit_build_duration_seconds": "Duration of builds, by result: succeeded, failed, cancelled.",
    "fnkit_deliveries": (
        "Finished deliveries of crons and triggers, by kind and result: succeeded, failed, dead, unknown."
    ),
    "fnkit_process_cpu_seconds": "CPU time of the platform's own processes, user and system.",
    "fnkit_process_resident_memory_bytes": "Resident memory of the platform's own processes.",
    "fnkit_process_open_fds": "Open file descriptors of the platform's own processes.",
    "fnkit_process_start_time_seconds": (
        "Start time of the platform's own processes in Unix seconds; a restart resets their counters."
    ),
}


def _counter(name: str, labels: Sequence[str], rows: Iterable[LabelledValue]) -> Metric:
    """Return a counter; ``name`` excludes the suffix ``_total``, which the encoder adds."""
    return _with_rows(CounterMetricFamily(name, _HELP[name], labels=labels), rows)


def _gauge(name: str, labels: Sequence[str], rows: Iterable[LabelledValue]) -> Metric:
    return _with_rows(GaugeMetricFamily(name, _HELP[name], labels=labels), rows)


def _with_rows(family: CounterMetricFamily | GaugeMetricFamily, rows: Iterable[LabelledValue]) -> Metric:
    for values, value in rows:
        family.add_metric(values, value)
    return family


def _histogram(
    name: str,
    labels: Sequence[str],
    bounds: Sequence[float],
    rows: Iterable[tuple[Sequence[str], metrics.HistogramSnapshot | None]],
) -> Metric:
    """Return a histogram; rows without a value are omitted.

    Prometheus' buckets are cumulative: each counts all observations up to its upper bound.
    """
    family = HistogramMetricFamily(name, _HELP[name], labels=labels)
    edges = [*(repr(float(bound)) for bound in bounds), "+Inf"]
    for values, value in rows:
        if value is not None:
            buckets = list(zip(edges, accumulate(value.counts), strict=True))
            family.add_metric(values, buckets=buckets, sum_value=value.total)
    return family


_PROCESS_METRICS: Final = (
    (_counter, "fnkit_process_cpu_seconds"),
    (_gauge, "fnkit_process_resident_memory_bytes"),
    (_gauge, "fnkit_process_open_fds"),
    (_gauge, "fnkit_process_start_time_seconds"),
)
"""What ``ProcessCollector`` measures and we report. It reads ``/proc``, so only Linux has these metrics."""


def function_metrics(functions: Iterable[metrics.FunctionMetricsSnapshot]) -> Iterator[Metric]:
    """Yield the metric families of functions."""
    everything = [((one.name, one.namespace, one.region, one.function_id), one) for one in functions]
    called = [(labels, one) for labels, one in everything if one.requests]
    yield from _request_metrics(called)
    yield from _instance_metrics(everything)
    memory = ((labels, one.memory_bytes) for labels, one in everything if one.memory_bytes is not None)
    yield _gauge("fnkit_function_memory_bytes", _FUNCTION_LABELS, memory)
    gigabyte_seconds = ((labels, one.gigabyte_seconds) for labels, one in called)
    yield _counter("fnkit_function_gigabyte_seconds", _FUNCTION_LABELS, gigabyte_seconds)
    dropped = ((labels, one.log_lines_dropped) for labels, one in called)
    yield _counter("fnkit_function_log_lines_dropped", _FUNCTION_LABELS, dropped)


def _request_metrics(called: _LabelledFunctions) -> Iterator[Metric]:
    labels = _FUNCTION_LABELS
    requests = _with_label(called, lambda one: one.requests)
    yield _counter("fnkit_function_requests", (*labels, "code"), requests)
    durations = ((values, one.durations) for values, one in called)
    yield _histogram("fnkit_function_request_duration_seconds", labels, metrics.DURATION_BOUNDS, durations)
    waits = ((values, one.queue_waits) for values, one in called)
    yield _histogram("fnkit_function_queue_duration_seconds", labels, metrics.QUEUE_WAIT_BOUNDS, waits)
    cold = [(values, one.cold_starts) for values, one in called]
    starts = ((values, sum(one.counts)) for values, one in cold if one is not None)
    yield _counter("fnkit_function_cold_starts", labels, starts)
    yield _histogram("fnkit_function_cold_start_duration_seconds", labels, metrics.COLD_START_BOUNDS, cold)


def _instance_metrics(everything: _LabelledFunctions) -> Iterator[Metric]:
    labels = _FUNCTION_LABELS
    yield _gauge("fnkit_function_queue_depth", labels, ((values, one.queued) for values, one in everything))
    states = (
        ((*values, state), count)
        for values, one in everything
        for state, count in (("idle", one.idle), ("busy", one.busy), ("starting", one.starting))
    )
    yield _gauge("fnkit_function_instances", (*labels, "state"), states)
    starts = _with_label(everything, lambda one: one.starts)
    yield _counter("fnkit_function_instance_starts", (*labels, "result"), starts)
    ends = _with_label(everything, lambda one: one.ends)
    yield _counter("fnkit_function_instances_ended", (*labels, "reason"), ends)


def _with_label(
    functions: _LabelledFunctions,
    counts: Callable[[metrics.FunctionMetricsSnapshot], Mapping[int, int] | Mapping[str, int]],
) -> Iterator[LabelledValue]:
    """Yield one value for each function and each key of its counts, which becomes the last label."""
    for labels, one in functions:
        for key, count in sorted(counts(one).items()):
            yield (*labels, str(key)), count


def platform_metrics(measurements: PlatformMetrics) -> Iterator[Metric]:
    """Yield the metric families of the platform; those of the data plane only while it responds."""
    build = {
        "version": measurements.version,
        "python": platform.python_version(),
        "isolation": measurements.isolation,
    }
    yield InfoMetricFamily("fnkit_build", _HELP["fnkit_build"], value=build)
    yield _gauge("fnkit_data_plane_up", (), [((), measurements.data_plane is not None)])
    if measurements.data_plane is not None:
        yield from _data_plane_metrics(measurements.data_plane)
    yield from _control_metrics(measurements.control)
    yield from _process_metrics(measurements.pids)


def _data_plane_metrics(data_plane: metrics.DataPlaneMetricsSnapshot) -> Iterator[Metric]:
    responses = (((str(code),), count) for code, count in sorted(data_plane.gateway_responses.items()))
    yield _counter("fnkit_gateway_answers", ("code",), responses)
    yield _gauge("fnkit_gateway_connections", (), [((), data_plane.open_connections)])
    engine = data_plane.engine
    yield _gauge("fnkit_memory_budget_used_bytes", (), [((), engine.memory_used_mb * _MIB)])
    if engine.memory_limit_mb is not None:
        yield _gauge("fnkit_memory_budget_limit_bytes", (), [((), engine.memory_limit_mb * _MIB)])
    if data_plane.spans is not None:
        spans = ((("exported",), data_plane.spans.exported), (("dropped",), data_plane.spans.dropped))
        yield _counter("fnkit_otlp_spans", ("result",), spans)


def _control_metrics(control: ControlMetrics) -> Iterator[Metric]:
    requests = (((operation, str(code)), count) for (operation, code), count in sorted(control.requests.items()))
    yield _counter("fnkit_api_requests", ("operation", "code"), requests)
    durations = (((operation,), value) for operation, value in sorted(control.request_durations.items()))
    yield _histogram("fnkit_api_request_duration_seconds", ("operation",), metrics.API_REQUEST_BOUNDS, durations)
    builds = (((result,), value) for result, value in sorted(control.builds.items()))
    yield _histogram("fnkit_build_duration_seconds", ("result",), metrics.BUILD_BOUNDS, builds)
    yield _counter("fnkit_deliveries", ("kind", "result"), sorted(control.deliveries.items()))


def _process_metrics(pids: Mapping[str, int]) -> Iterator[Metric]:
    usages = {name: _read_process_usage(pid) for name, pid in sorted(pids.items())}
    for family, metric in _PROCESS_METRICS:
        rows = (((name,), usage[metric]) for name, usage in usages.items() if metric in usage)
        yield family(metric, ("process",), rows)


def _read_process_usage(pid: int) -> dict[str, float]:
    """Return the usage of a process by metric; empty if its files in ``/proc`` are missing or cannot be read."""
    try:
        families = list(ProcessCollector("fnkit", lambda: pid, registry=None).collect())
    except (ValueError, IndexError):
        return {}
    return {metric.name: metric.samples[0].value for metric in families}


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
