"""The metrics of each function. One that was never called has gauges alone."""

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
    """Yield every family."""
    every = [((one.name, one.namespace, one.region, one.function_id), one) for one in functions]
    called = [(labels, one) for labels, one in every if one.requests]
    yield from _requests(called)
    yield from _instances(every)
    yield from _usage(every, called)


def _requests(called: _Functions) -> Iterator[Metric]:
    yield counter(
        "fnkit_function_requests",
        "Requests that were sent to a function and are over, by the status that the client got; "
        "499 is a client that went away.",
        (*_LABELS, "code"),
        (((*labels, str(code)), count) for labels, one in called for code, count in sorted(one.requests.items())),
    )
    yield histogram(
        "fnkit_function_request_duration_seconds",
        "From a request's last byte to its answer's, waiting and cold start included.",
        _LABELS,
        DURATION_BOUNDS,
        ((labels, one.durations) for labels, one in called),
    )
    yield histogram(
        "fnkit_function_queue_duration_seconds",
        "How long requests waited for an instance, cold starts included.",
        _LABELS,
        WAIT_BOUNDS,
        ((labels, one.waits) for labels, one in called),
    )
    yield counter(
        "fnkit_function_cold_starts",
        "Requests that waited for the start of the instance that answered them.",
        _LABELS,
        ((labels, sum(one.cold_starts.counts)) for labels, one in called if one.cold_starts is not None),
    )
    yield histogram(
        "fnkit_function_cold_start_duration_seconds",
        "How long these requests waited.",
        _LABELS,
        COLD_START_BOUNDS,
        ((labels, one.cold_starts) for labels, one in called),
    )


def _instances(every: _Functions) -> Iterator[Metric]:
    yield gauge(
        "fnkit_function_queue_depth",
        "Requests that wait for an instance now.",
        _LABELS,
        ((labels, one.waiting) for labels, one in every),
    )
    yield gauge(
        "fnkit_function_instances",
        "Instances now, by state: idle, busy, starting.",
        (*_LABELS, "state"),
        (
            ((*labels, state), count)
            for labels, one in every
            for state, count in (("idle", one.idle), ("busy", one.busy), ("starting", one.starting))
        ),
    )
    yield counter(
        "fnkit_function_instance_starts",
        "Instances that were started, by result: ready, failed.",
        (*_LABELS, "result"),
        (((*labels, result), count) for labels, one in every for result, count in sorted(one.starts.items())),
    )
    yield counter(
        "fnkit_function_instances_ended",
        "Instances that ended, by reason: scaled-down, oom, timeout, exit, killed, other.",
        (*_LABELS, "reason"),
        (((*labels, reason), count) for labels, one in every for reason, count in sorted(one.ended.items())),
    )


def _usage(every: _Functions, called: _Functions) -> Iterator[Metric]:
    yield gauge(
        "fnkit_function_memory_bytes",
        "Memory of all its instances: of their control groups, or the resident sets of their processes.",
        _LABELS,
        ((labels, one.memory_bytes) for labels, one in every if one.memory_bytes is not None),
    )
    yield counter(
        "fnkit_function_gigabyte_seconds",
        "Memory limit times the time that instances held a request: what is billed as resource consumption.",
        _LABELS,
        ((labels, one.gigabyte_seconds) for labels, one in called),
    )
    yield counter(
        "fnkit_function_log_lines_dropped",
        "Log lines beyond 30,000 a minute, which were not kept.",
        _LABELS,
        ((labels, one.log_lines_dropped) for labels, one in called),
    )
