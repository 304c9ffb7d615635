"""Metrics of the engine: one snapshot of counters, pools, memory and the memory budget."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Final

from fnkit.platform.engine.logs import LogWriter
from fnkit.platform.engine.memory import memory_of
from fnkit.platform.engine.meters import FunctionMeter, Meters
from fnkit.platform.engine.pool import Pool
from fnkit.platform.measurements import FunctionMeasurements

__all__ = ["Measuring"]

_FRESH_SECONDS: Final = 1.0


class Measuring:
    """Takes snapshots. Memory is read once a second at most, because each reading is a system call."""

    def __init__(self, meters: Meters, pools: Mapping[str, Pool], logs: LogWriter) -> None:
        self._meters = meters
        self._pools = pools
        self._logs = logs
        self._bytes: dict[str, int | None] = {}
        self._read_at = float("-inf")

    def functions(self, now: float) -> tuple[FunctionMeasurements, ...]:
        """Return the metrics of every function.

        Args:
            now: Real seconds of a monotonic clock.
        """
        if now - self._read_at >= _FRESH_SECONDS:
            self._read_at = now
            self._bytes = {name: memory_of(pool.members) for name, pool in self._pools.items()}
        return tuple(self._function(function_id, meter) for function_id, meter in self._meters.every())

    def _function(self, function_id: str, meter: FunctionMeter) -> FunctionMeasurements:
        pool = self._pools.get(function_id)
        requests = dict(meter.requests)
        waits = meter.all_waits()
        return FunctionMeasurements(
            function_id=function_id,
            name=meter.name,
            namespace=meter.namespace,
            region=meter.region,
            requests=requests,
            durations=meter.durations.value() if requests else None,
            waits=waits if any(waits.counts) else None,
            cold_starts=meter.cold_starts.value() if any(waits.counts) else None,
            starts=dict(meter.starts),
            ended=dict(meter.ended),
            gigabyte_seconds=meter.gigabyte_seconds,
            log_lines_dropped=self._logs.dropped.get(function_id, 0),
            idle=len(pool.idle) if pool is not None else 0,
            busy=pool.busy if pool is not None else 0,
            starting=pool.starting if pool is not None else 0,
            waiting=len(pool.waiting) if pool is not None else 0,
            memory_bytes=self._bytes.get(function_id, 0),
        )
