"""Metrics of the engine: one snapshot of counters, pools and memory."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Final

from fnkit.platform.data_plane.counters import CounterRegistry, FunctionCounters
from fnkit.platform.data_plane.engine.pool import Pool
from fnkit.platform.data_plane.instance_source import InstanceSource
from fnkit.platform.data_plane.logs import LogWriter
from fnkit.platform.model.metrics import EngineMetricsSnapshot, FunctionMetricsSnapshot

_MEMORY_INTERVAL: Final = 1.0


class EngineMetrics:
    """Takes snapshots. Memory is read once a second at most, because each reading may be a system call."""

    def __init__(
        self, counters: CounterRegistry, pools: Mapping[str, Pool], source: InstanceSource, logs: LogWriter
    ) -> None:
        self._counters = counters
        self._pools = pools
        self._source = source
        self._logs = logs
        self._memory_bytes: dict[str, int | None] = {}
        self._memory_read_at = float("-inf")

    def collect(self, now: float) -> EngineMetricsSnapshot:
        """Return a snapshot.

        Args:
            now: Real seconds of a monotonic clock.
        """
        if now - self._memory_read_at >= _MEMORY_INTERVAL:
            self._memory_read_at = now
            self._memory_bytes = {
                name: self._source.memory_usage(pool.instances) for name, pool in self._pools.items()
            }
        return EngineMetricsSnapshot(
            functions=tuple(self._collect_function(*function) for function in self._counters.items()),
            memory_used_mb=self._source.memory_used,
            memory_limit_mb=self._source.memory_limit,
        )

    def _collect_function(self, function_id: str, counters: FunctionCounters) -> FunctionMetricsSnapshot:
        pool = self._pools.get(function_id)
        requests = dict(counters.requests)
        waits = counters.all_waits()
        return FunctionMetricsSnapshot(
            function_id=function_id,
            name=counters.route.name,
            namespace=counters.route.namespace,
            region=counters.route.region,
            requests=requests,
            durations=counters.durations.snapshot() if requests else None,
            queue_waits=waits if any(waits.counts) else None,
            cold_starts=counters.cold_starts.snapshot() if any(waits.counts) else None,
            starts=dict(counters.starts),
            ends=dict(counters.ended),
            gigabyte_seconds=counters.gigabyte_seconds,
            log_lines_dropped=self._logs.dropped.get(function_id, 0),
            idle=len(pool.idle) if pool is not None else 0,
            busy=pool.busy if pool is not None else 0,
            starting=pool.starting if pool is not None else 0,
            queued=len(pool.queue) if pool is not None else 0,
            memory_bytes=self._memory_bytes.get(function_id, 0),
        )
