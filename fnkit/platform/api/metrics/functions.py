"""The metrics of functions. A function that was never called has only gauges and instance counters."""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from typing import Final

from prometheus_client.core import Metric

from fnkit.platform.api.metrics.families import counter, gauge, histogram
from fnkit.platform.measurements import (
    COLD_START_BOUNDS,
    DURATION_BOUNDS,
    WAIT_BOUNDS,
    FunctionMeasurements,
)

__all__ = ["function_metrics"]

_LABELS: Final = ("function", "namespace", "region", "function_id")
_Functions = Iterable[tuple[tuple[str, str, str, str], FunctionMeasurements]]


def function_metrics(functions: Iterable[FunctionMeasurements]) -> Iterator[Metric]:
    """Yield the metric families of functions."""
    all_functions = [((one.name, one.namespace, one.region, one.function_id), one) for one in functions]
    called = [(labels, one) for labels, one in all_functions if one.requests]
    yield from _requests(called)
    yield from _instances(all_functions)
    yield from _usage(all_functions, called)


def _requests(called: _Functions) -> Iterator[Metric]:
    yield counter(
        "fnkit_function_requests",
        "Completed requests to a function, by the status code that the client received; "
        "499 means that the client disconnected.",
        (*_LABELS, "code"),
        (((*labels, str(code)), count) for labels, one in called for code, count in sorted(one.requests.items())),
    )
    yield histogram(
        "fnkit_function_request_duration_seconds",
        "Time from the last byte of a request to the last byte of its response, with queueing and cold start.",
        _LABELS,
        DURATION_BOUNDS,
        ((labels, one.durations) for labels, one in called),
    )
    yield histogram(
        "fnkit_function_queue_duration_seconds",
        "Time that requests waited for an instance, including cold starts.",
        _LABELS,
        WAIT_BOUNDS,
        ((labels, one.waits) for labels, one in called),
    )
    yield counter(
        "fnkit_function_cold_starts",
        "Requests that waited for the start of the instance that processed them.",
        _LABELS,
        ((labels, sum(one.cold_starts.counts)) for labels, one in called if one.cold_starts is not None),
    )
    yield histogram(
        "fnkit_function_cold_start_duration_seconds",
        "Time that requests waited for the start of an instance.",
        _LABELS,
        COLD_START_BOUNDS,
        ((labels, one.cold_starts) for labels, one in called),
    )


def _instances(all_functions: _Functions) -> Iterator[Metric]:
    yield gauge(
        "fnkit_function_queue_depth",
        "Requests currently waiting for an instance.",
        _LABELS,
        ((labels, one.waiting) for labels, one in all_functions),
    )
    yield gauge(
        "fnkit_function_instances",
        "Current instances, by state: idle, busy, starting.",
        (*_LABELS, "state"),
        (
            ((*labels, state), count)
            for labels, one in all_functions
            for state, count in (("idle", one.idle), ("busy", one.busy), ("starting", one.starting))
        ),
    )
    yield counter(
        "fnkit_function_instance_starts",
        "Instance starts, by result: ready, failed.",
        (*_LABELS, "result"),
        (
            ((*labels, result), count)
            for labels, one in all_functions
            for result, count in sorted(one.starts.items())
        ),
    )
    yield counter(
        "fnkit_function_instances_ended",
        "Terminated instances, by reason: scaled-down, oom, timeout, exit, killed, other.",
        (*_LABELS, "reason"),
        (
            ((*labels, reason), count)
            for labels, one in all_functions
            for reason, count in sorted(one.ended.items())
        ),
    )


def _usage(all_functions: _Functions, called: _Functions) -> Iterator[Metric]:
    yield gauge(
        "fnkit_function_memory_bytes",
        "Memory usage of all instances, from their control groups or else the resident memory of their processes.",
        _LABELS,
        ((labels, one.memory_bytes) for labels, one in all_functions if one.memory_bytes is not None),
    )
    yield counter(
        "fnkit_function_gigabyte_seconds",
        "Memory limit multiplied by request duration, which is billed as resource consumption.",
        _LABELS,
        ((labels, one.gigabyte_seconds) for labels, one in called),
    )
    yield counter(
        "fnkit_function_log_lines_dropped",
        "Log lines dropped because the function exceeded 30,000 lines per minute.",
        _LABELS,
        ((labels, one.log_lines_dropped) for labels, one in called),
    )
