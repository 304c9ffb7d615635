"""Metrics of the engine: one snapshot of counters, pools, memory and the memory budget."""

from __future__ import annotations

import sys
from collections.abc import Iterable, Mapping
from typing import Final

from fnkit.platform.data_plane.counters import CounterRegistry, FunctionCounters
from fnkit.platform.data_plane.engine.limits import MemoryBudget
from fnkit.platform.data_plane.engine.pool import Pool
from fnkit.platform.data_plane.workers.instance import Instance
from fnkit.platform.data_plane.workers.logs import LogWriter
from fnkit.platform.data_plane.workers.process_memory import process_tree, resident_bytes
from fnkit.platform.model.metrics import EngineMetricsSnapshot, FunctionMetricsSnapshot

_MEMORY_INTERVAL: Final = 1.0


class EngineMetrics:
    """Takes snapshots. Memory is read once a second at most, because each reading is a system call."""

    def __init__(
        self, counters: CounterRegistry, pools: Mapping[str, Pool], budget: MemoryBudget, logs: LogWriter
    ) -> None:
        self._counters = counters
        self._pools = pools
        self._budget = budget
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
            self._memory_bytes = {name: _total_memory(pool.instances) for name, pool in self._pools.items()}
        return EngineMetricsSnapshot(
            functions=tuple(self._collect_function(*function) for function in self._counters.items()),
            memory_used_mb=self._budget.used,
            memory_limit_mb=self._budget.limit,
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


def _total_memory(instances: Iterable[Instance]) -> int | None:
    """Return the memory of these instances in bytes; ``None`` if this machine reports it for none of them.

    It is read from the cgroups, which count everything that handlers started, and shared pages once. Without
    cgroups it is the sum of the resident sets of the processes, which include the pages shared with the zygote.
    """
    readings = [_instance_memory(instance) for instance in instances]
    known = [reading for reading in readings if reading is not None]
    return sum(known) if known or not readings else None


def _instance_memory(instance: Instance) -> int | None:
    if instance.process.groups is not None:
        return instance.process.groups.memory_bytes()
    if not instance.process.pid or sys.platform != "linux":
        return None
    return sum(map(resident_bytes, process_tree(instance.process.pid))) or None
