"""The engine that serves requests with pools of instances, wherever those come from.

``PooledEngine`` knows which pool of instances serves each function, and switches to the pool of a new deployment
when its first instance is ready. The calls go one way: the engine calls pools and the ``Scaler``, which starts and
ends the instances of pools; neither calls back. What takes time is a future of the pool.
"""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Iterable
from functools import partial
from typing import Final

from fnkit.platform.data_plane.counters import CounterRegistry
from fnkit.platform.data_plane.engine.metrics import EngineMetrics
from fnkit.platform.data_plane.engine.pool import Pool, PooledRequest
from fnkit.platform.data_plane.engine.scale_down import ScaleDown
from fnkit.platform.data_plane.engine.scaler import Scaler
from fnkit.platform.data_plane.instance_source import InstanceSource
from fnkit.platform.data_plane.interface import (
    DeployResult,
    FailureKind,
    PendingRequest,
    RequestFailure,
    ResponseHandler,
)
from fnkit.platform.data_plane.logs import LogWriter
from fnkit.platform.model.clock import SyncedClock
from fnkit.platform.model.metrics import EngineMetricsSnapshot
from fnkit.platform.model.routing import Route

_DRAIN_INTERVAL: Final = 0.02


class PooledEngine:
    """An ``Engine``. Not thread-safe: everything runs in the event loop.

    Args:
        source: Starts instances. The engine closes it.
        clock: The virtual clock, which decides when idle instances end.
        logs: Receives messages about instances. The engine closes it.
        on_exit: Called with the deployment and the reason when an instance has ended unexpectedly.
        scale_down: When idle instances end.
        queue_per_instance: How many requests may be queued per instance of ``max_scale`` before requests fail with
            503.

    Attributes:
        counters: The counters of each function.
    """

    def __init__(
        self,
        source: InstanceSource,
        clock: SyncedClock,
        logs: LogWriter,
        on_exit: Callable[[Route, str], None],
        *,
        scale_down: ScaleDown,
        queue_per_instance: int,
    ) -> None:
        self._loop = asyncio.get_running_loop()
        self._queue_per_instance = queue_per_instance
        self.counters = CounterRegistry()
        self._logs = logs
        self._source = source
        self._scaler = Scaler(source, clock, logs, scale_down, on_exit)
        self._pools: dict[str, Pool] = {}  # by function; each serves its requests
        self._pending: dict[str, Pool] = {}  # by function; each proves a deployment with its first instance
        self._metrics = EngineMetrics(self.counters, self._pools, source, logs)

    # Deployments

    @property
    def function_ids(self) -> frozenset[str]:
        """The functions that are served."""
        return frozenset(self._pools)

    def route(self, function_id: str) -> Route | None:
        """Return the deployment of a function that serves requests."""
        pool = self._pools.get(function_id)
        return pool.route if pool is not None else None

    def pending_route(self, function_id: str) -> Route | None:
        """Return the deployment of a function that is being started."""
        pool = self._pending.get(function_id)
        return pool.route if pool is not None else None

    @property
    def min_scale_reached(self) -> bool:
        """Whether every deployment has its ``min_scale`` instances, or has tried and failed."""
        return all(pool.min_scale_reached for pool in self._pools.values())

    def deploy(self, route: Route, on_done: Callable[[DeployResult], None]) -> None:
        """Start one instance and switch to this deployment when it is ready.

        A deployment whose instances can serve the new one, because only names, scale or privacy changed, is updated
        without a start.

        Args:
            route: The deployment.
            on_done: Receives the result. Not called if a newer deployment replaces this one before.
        """
        superseded = self._pending.pop(route.function_id, None)
        if superseded is not None:
            self._scaler.retire(superseded, None)
        current = self._pools.get(route.function_id)
        if current is not None and _is_compatible(current.route, route):
            current.route = route
            self._scaler.start_missing(current)
            on_done(DeployResult(route, import_error=current.import_error))
            return
        pool = self._pending[route.function_id] = self._create_pool(route, must_prove_itself=True)
        pool.first_start.add_done_callback(partial(self._on_first_start, pool, on_done))
        self._scaler.start_missing(pool)

    def _on_first_start(
        self, pool: Pool, on_done: Callable[[DeployResult], None], first_start: asyncio.Future[str | None]
    ) -> None:
        if self._pending.get(pool.route.function_id) is not pool:
            return  # replaced by a newer deployment
        del self._pending[pool.route.function_id]
        failure = first_start.result()
        if failure is None:
            self._switch(pool)
        else:
            self._scaler.retire(pool, None)
        on_done(DeployResult(pool.route, failure, pool.import_error))

    def resume(self, route: Route) -> None:
        """Serve a deployment that was accepted before a restart, without starting an instance first."""
        pool = self._create_pool(route, must_prove_itself=False)
        self._scaler.adopt(pool)
        self._switch(pool)

    def discard_leftovers(self) -> None:
        """End the instances of an earlier process that ``resume`` has not adopted."""
        self._source.discard_leftovers()

    def _create_pool(self, route: Route, *, must_prove_itself: bool) -> Pool:
        queue_limit = self._queue_per_instance * max(1, route.max_scale)
        counters = self.counters.get_or_create(route)
        pool = Pool(route, counters, queue_limit, must_prove_itself=must_prove_itself)
        pool.drained.add_done_callback(partial(self._on_drained, route.function_id))
        return pool

    def _switch(self, pool: Pool) -> None:
        old = self._pools.get(pool.route.function_id)
        self._pools[pool.route.function_id] = pool
        if old is not None:
            self._scaler.retire(old, pool)
        self._scaler.start_missing(pool)

    def _on_drained(self, function_id: str, _drained: asyncio.Future[None]) -> None:
        """The last instance of a retired pool has ended; its last lines may have opened the log again."""
        if function_id not in self._pools and function_id not in self._pending:
            self._logs.close_function(function_id)

    def prestart(self, routes: Iterable[Route]) -> None:
        """Prepare for the first instances of these deployments."""
        self._source.prestart(routes)

    def prestart_interpreter(self, language: str, interpreter: str, memory: int) -> None:
        """Prepare for instances of a deployment in progress: see ``PrestartInterpreter``."""
        self._source.prestart_interpreter(language, interpreter, memory)

    def remove(self, function_id: str) -> None:
        """Stop serving this function. Its instances end when they have completed their requests."""
        for pools in (self._pools, self._pending):
            pool = pools.pop(function_id, None)
            if pool is not None:
                self._scaler.retire(pool, None)
        self._logs.close_function(function_id)
        self.counters.remove(function_id)

    # Requests

    def acquire(
        self, function_id: str, request_id: str, path: str, handler: ResponseHandler
    ) -> PendingRequest | None:
        """Request an instance, first in, first out. Return ``None`` if ``on_failure`` was already called."""
        pool = self._pools.get(function_id)
        if pool is None:
            handler.on_failure(RequestFailure(FailureKind.UNKNOWN, "there is no such function"))
            return None
        request = pool.acquire(request_id, path, handler)
        if pool.queue:
            self._scaler.start_missing(pool)
        return request

    def log_response(self, function_id: str, instance: str, request_id: str, message: str) -> None:
        """Append a line about a response to the log of its function, if that is still served."""
        if function_id in self._pools:
            self._logs.write_response(function_id, instance, request_id, message)

    def cancel(self, request: PendingRequest) -> None:
        """Cancel a request whose client is gone."""
        if isinstance(request, PooledRequest):
            request.discard_response()
            request.resume()  # a slow client may have paused the response; the instance must get rid of it
            if request.instance is None:
                for pool in (*self._pools.values(), *self._pending.values()):
                    if request in pool.queue:
                        pool.cancel(request)
                        return

    def collect_metrics(self) -> EngineMetricsSnapshot:
        """Return a snapshot of all metrics."""
        return self._metrics.collect(self._loop.time())

    # Shrinking and the end

    def sweep(self) -> None:
        """End instances that were idle for too long. Also called when the virtual clock was moved."""
        self._scaler.sweep()

    async def drain(self, seconds: float) -> None:
        """Wait until no request is left, then fail those that remain.

        Args:
            seconds: How long to wait at most.
        """
        deadline = self._loop.time() + seconds
        while self._loop.time() < deadline:
            if not any(pool.queue or pool.busy for pool in self._all_pools()):
                return
            await asyncio.sleep(_DRAIN_INTERVAL)
        for pool in self._all_pools():
            pool.fail_all("the platform is stopping")

    def _all_pools(self) -> set[Pool]:
        """Return the pools that serve functions, and those that still have instances."""
        return {*self._pools.values(), *self._scaler.pools}

    def close(self) -> None:
        """End every instance now."""
        for function_id in [*self._pools, *self._pending]:
            self.remove(function_id)
        self._scaler.close()
        self._source.close()
        self._logs.close()

    async def wait_closed(self) -> None:
        """Wait until nothing is left of the instances, after ``close``."""
        await self._source.wait_closed()


def _is_compatible(current: Route, wanted: Route) -> bool:
    """Return whether instances of one deployment can serve the other: only access and scale differ."""
    return (
        current.generation == wanted.generation
        and current.program == wanted.program
        and current.environment == wanted.environment
        and (current.runtime, current.handler, current.sandbox) == (wanted.runtime, wanted.handler, wanted.sandbox)
        and (current.memory, current.cpu) == (wanted.memory, wanted.cpu)
        and current.private_network_id == wanted.private_network_id
        and (current.name, current.privacy) == (wanted.name, wanted.privacy)
    )
