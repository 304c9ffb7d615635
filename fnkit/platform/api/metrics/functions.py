"""The metrics of functions. A function that was never called has only gauges and instance counters."""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from typing import Final

from prometheus_client.core import Metric

from fnkit.platform.api.metrics.families import counter, gauge, histogram
from fnkit.platform.measurements import (
    COLD_START_BOUNDS,
    DURATION_BOUNDS,
    QUEUE_WAIT_BOUNDS,
    FunctionMetricsSnapshot,
)

__all__ = ["function_metrics"]

_FUNCTION_LABELS: Final = ("function", "namespace", "region", "function_id")
_LabelledFunctions = Iterable[tuple[tuple[str, str, str, str], FunctionMetricsSnapshot]]


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
