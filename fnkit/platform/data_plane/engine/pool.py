"""The instances of one deployment: assigns requests to idle ones and decides when another one starts or ends.

Each instance handles one request at a time. Idle instances are taken last in, first out, so that a few stay warm
and the others can end; requests are queued first in, first out. The memory limits of all instances count against
one budget. When idle instances end follows Scaleway's documentation on autoscaling of functions.
"""

from __future__ import annotations

import asyncio
import os
from collections import deque
from collections.abc import Callable, Iterable
from dataclasses import dataclass
from time import monotonic
from typing import Final, Protocol

from fnkit.contract.limits import SCALE_TO_ONE_AFTER_SECONDS, SCALE_TO_ZERO_AFTER_SECONDS
from fnkit.platform.data_plane.counters import FunctionCounters
from fnkit.platform.data_plane.interface import ColdStart, FailureKind, RequestFailure, ResponseHandler
from fnkit.platform.data_plane.workers.call import LocalPendingRequest
from fnkit.platform.data_plane.workers.instance import Instance, WorkerState
from fnkit.platform.model.routing import Route

__all__ = ["MemoryBudget", "Pool", "PoolCallbacks", "ScaleDown", "default_memory_budget"]

_MIB: Final = 1024 * 1024

_MIN_BACKOFF: Final = 0.1
_MAX_BACKOFF: Final = 30.0
_MAX_KILLED_STARTS: Final = 3
_MB_PER_GB: Final = 1024  # per GB in bills: 128 MB are 0.125 GB


def default_memory_budget() -> int:
    """Return half of the memory of this machine, in MB."""
    return os.sysconf("SC_PAGE_SIZE") * os.sysconf("SC_PHYS_PAGES") // _MIB // 2


class MemoryBudget:
    """Sums the memory limits of live instances, in MB. A limit counts in full, whatever an instance uses."""

    def __init__(self, limit: int) -> None:
        self.limit = limit
        self.used = 0

    def reserve(self, memory: int) -> bool:
        """Reserve this much. Return ``False`` if it exceeds the budget."""
        if self.used + memory > self.limit:
            return False
        self.used += memory
        return True

    def release(self, memory: int) -> None:
        """Return memory that was reserved."""
        self.used -= memory


@dataclass(frozen=True, slots=True)
class ScaleDown:
    """Seconds of virtual time that instances may be idle before a deployment scales down.

    Attributes:
        to_one_after: Before it scales down to one instance.
        to_zero_after: Before the last instance ends.
    """

    to_one_after: float = SCALE_TO_ONE_AFTER_SECONDS
    to_zero_after: float = SCALE_TO_ZERO_AFTER_SECONDS

    def surplus(self, idle_since: Iterable[float], *, total: int, min_scale: int, now: float) -> int:
        """Return how many of the longest idle instances must end now.

        Args:
            idle_since: Since when each idle instance has been idle, the longest idle first.
            total: The number of all instances, busy ones too.
            min_scale: The number of instances to keep.
            now: The virtual time.
        """
        ended = 0
        for since in idle_since:
            remaining = total - ended
            if remaining <= min_scale:
                break
            if now - since < (self.to_one_after if remaining > 1 else self.to_zero_after):
                break
            ended += 1
        return ended


class PoolCallbacks(Protocol):
    """What a pool needs from the engine."""

    def now(self) -> float:
        """Return the virtual time."""

    def request_start(self, pool: Pool) -> None:
        """Queue the start of an instance for this pool."""

    def on_ready(self, pool: Pool, instance: Instance) -> None:
        """An instance has started."""

    def on_idle(self, pool: Pool) -> None:
        """An instance became idle."""

    def on_ended(self, pool: Pool, instance: Instance, reason: str, *, expected: bool) -> None:
        """An instance has ended.

        Args:
            pool: Its pool.
            instance: The instance.
            reason: A short phrase.
            expected: It was ended for a reason that lies outside of it.
        """


class Pool:
    """The instances of one deployment, and the requests that wait for one.

    Args:
        route: The deployment.
        callbacks: The engine.
        counters: The counters of the function.
        queue_limit: The maximum number of queued requests.
        on_first_start: Receives the result of the first start: ``None``, or why it failed.

    Attributes:
        idle: The idle instances, the longest idle first.
        instances: All instances that have a process.
        queue: The queued requests, the oldest first.
        starting: How many starts were requested and are not complete.
        retired: Whether the pool has been replaced or removed.
    """

    def __init__(
        self,
        route: Route,
        callbacks: PoolCallbacks,
        counters: FunctionCounters,
        queue_limit: int,
        on_first_start: Callable[[str | None], None],
    ) -> None:
        self.route = route
        self.counters = counters
        self.idle: list[Instance] = []
        self.instances: set[Instance] = set()
        self.queue: deque[LocalPendingRequest] = deque()
        self.starting = 0
        self.retired = False
        self.budget_warning_logged = False
        self._callbacks = callbacks
        self._queue_limit = queue_limit
        self._on_first_start: Callable[[str | None], None] | None = on_first_start
        self._terminating: set[Instance] = set()
        self._failures = 0  # consecutive failed starts
        self._killed_starts = 0  # consecutive starts that were killed from outside
        self._loop = asyncio.get_running_loop()

    @property
    def busy(self) -> int:
        """The number of instances that handle a request."""
        return sum(1 for instance in self.instances if instance.state is WorkerState.BUSY)

    @property
    def total(self) -> int:
        """The number of instances that are ready or starting."""
        return len(self.instances) - len(self._terminating) + self._requested

    @property
    def _requested(self) -> int:
        """The number of requested starts that have no process yet."""
        return self.starting - sum(1 for instance in self.instances if instance.state is WorkerState.STARTING)

    @property
    def is_start_needed(self) -> bool:
        """Whether a requested start is still needed; other instances may have served the queue meanwhile."""
        if self.retired:
            return False
        ready = len(self.instances) - len(self._terminating)
        return self._on_first_start is not None or bool(self.queue) or ready < self.route.min_scale

    @property
    def min_scale_reached(self) -> bool:
        """Whether ``min_scale`` instances are ready, or could not be started."""
        ready = len(self.instances) - len(self._terminating) - (self.starting - self._requested)
        return ready >= self.route.min_scale or self._failures > 0

    @property
    def is_releasing_memory(self) -> bool:
        """Whether an instance of this pool is being ended."""
        return bool(self._terminating)

    # Requests

    def acquire(self, request_id: str, handler: ResponseHandler) -> LocalPendingRequest | None:
        """Assign a request to an idle instance, or queue it. Return ``None`` if the queue is full."""
        if not self.idle and len(self.queue) >= self._queue_limit:
            message = f"{self.route.name} is at its maximum scale and its queue is full"
            handler.on_failure(RequestFailure(FailureKind.QUEUE_FULL, message))
            return None
        call = LocalPendingRequest(request_id, handler)
        call.timer = self._loop.call_later(self.route.timeout, self._on_timeout, call)
        if (instance := self._acquire_idle()) is not None:
            self.counters.immediate += 1
            self._assign(instance, call)
        else:
            call.queued_at = monotonic()
            self.queue.append(call)
            self.grow()
        return call

    def adopt_queue(self, requests: deque[LocalPendingRequest]) -> None:
        """Take over the queue of an older deployment. The timeouts of its requests keep running."""
        for call in requests:
            if call.timer is not None:
                # The old timer refers to the old pool.
                remaining = max(0.0, call.timer.when() - self._loop.time())
                call.timer.cancel()
                call.timer = self._loop.call_later(remaining, self._on_timeout, call)
            self.queue.append(call)
        while self.queue and (instance := self._acquire_idle()) is not None:
            self._assign(instance, self.queue.popleft())
        self.grow()

    def _acquire_idle(self) -> Instance | None:
        while self.idle:
            instance = self.idle.pop()
            if not instance.is_terminating:
                return instance
        return None

    def cancel(self, request: LocalPendingRequest) -> None:
        """Remove a request from the queue. One that is assigned completes without a receiver."""
        request.handler = None
        if request.assigned_instance is None and request in self.queue:
            self.queue.remove(request)
            request.fail(RequestFailure(FailureKind.STOPPING, "the client is gone"))

    def fail_all(self, reason: str) -> None:
        """Fail every request, because the data plane is about to end.

        Distinguishes requests that never reached a handler (safe to retry) from those that may have run.
        """
        waiting, self.queue = self.queue, deque()
        for call in waiting:
            call.fail(RequestFailure(FailureKind.STOPPING, reason))
        for instance in self.instances:
            if instance.request is not None:
                instance.request.fail(RequestFailure(FailureKind.DIED, self._died_message(reason)))

    def _died_message(self, reason: str) -> str:
        return f"the instance of {self.route.name} ended while it answered: {reason}"

    def _assign(self, instance: Instance, request: LocalPendingRequest) -> None:
        if request.queued_at:
            self._record_wait(instance, request)
        request.assigned_instance = instance
        instance.assign_request(request)
        if request.handler is not None:
            request.handler.on_assigned(request)

    def _record_wait(self, instance: Instance, request: LocalPendingRequest) -> None:
        """Count the queueing time, and record the cold start of a request that waited for a new instance."""
        if not instance.has_served:
            request.cold_start = ColdStart(instance.start_began_at, instance.ready_at)
        self.counters.count_wait(monotonic() - request.queued_at, is_cold=not instance.has_served)

    def _on_timeout(self, request: LocalPendingRequest) -> None:
        seconds = f"{self.route.timeout:g} s"
        instance = request.assigned_instance
        if isinstance(instance, Instance):
            instance.kill(f"timed out after {seconds}")
        elif request in self.queue:
            self.queue.remove(request)
        request.fail(RequestFailure(FailureKind.TIMEOUT, f"{self.route.name} did not answer within {seconds}"))

    # Growing

    def grow(self) -> None:
        """Start instances for queued requests and for ``min_scale``, up to ``max_scale``."""
        if self.retired:
            return
        for_requests = len(self.queue) - self.starting
        for_minimum = self.route.min_scale - self.total
        wanted = min(max(for_requests, for_minimum), max(self.route.max_scale, 1) - self.total)
        for _ in range(wanted):
            self.starting += 1
            self._callbacks.request_start(self)

    def start_one(self) -> None:
        """Start one instance regardless of need: the first of a deployment, which proves that it works."""
        self.starting += 1
        self._callbacks.request_start(self)

    def on_start_failed(self, reason: str) -> None:
        """Note that a requested start failed.

        The oldest queued request fails with it; the others get another start.
        """
        self.starting -= 1
        self._failures += 1
        self.counters.starts["failed"] += 1
        self._report_first_start(reason)
        if self.queue:
            message = f"{self.route.name} could not be started: {reason}"
            self.queue.popleft().fail(RequestFailure(FailureKind.NOT_STARTED, message))
            self.grow()
        else:
            self._replace_later()

    def on_launch(self, instance: Instance) -> None:
        """Note that a requested start has a process. It ends at once if the pool has been retired meanwhile."""
        if self.retired:
            self._terminate(instance)

    def on_start_cancelled(self) -> None:
        """Note that a requested start was cancelled because it is no longer needed."""
        self.starting -= 1

    def instance_ready(self, instance: Instance) -> None:
        """Report the first start, and use the instance."""
        self.starting -= 1
        self.counters.starts["ready"] += 1
        self.budget_warning_logged = False
        self._killed_starts = 0
        self._report_first_start(None)
        self._make_available(instance)
        self._callbacks.on_ready(self, instance)

    def _report_first_start(self, reason: str | None) -> None:
        first, self._on_first_start = self._on_first_start, None
        if first is not None:
            first(reason)

    def instance_idle(self, instance: Instance) -> None:
        """Record usage, and reuse the instance."""
        self._failures = 0
        self._record_usage(instance)
        self._make_available(instance)

    def _record_usage(self, instance: Instance) -> None:
        """Count the time for which the instance held a request: memory × duration, as the real platform bills."""
        self.counters.gigabyte_seconds += (monotonic() - instance.busy_since) * self.route.memory / _MB_PER_GB
        instance.busy_since = 0.0

    def _make_available(self, instance: Instance) -> None:
        if instance in self._terminating or instance.is_terminating:
            return
        if self.retired or len(self.instances) - len(self._terminating) > max(self.route.max_scale, 1):
            self._terminate(instance)
        elif self.queue:
            self._assign(instance, self.queue.popleft())
        else:
            instance.idle_since = self._callbacks.now()
            self.idle.append(instance)
            self._callbacks.on_idle(self)

    # Shrinking

    def sweep(self, rule: ScaleDown, now: float) -> None:
        """End instances that were idle for too long."""
        since = [instance.idle_since for instance in self.idle]
        surplus = rule.surplus(since, total=self.total, min_scale=self.route.min_scale, now=now)
        for instance in self.idle[:surplus]:
            self._terminate(instance)
        del self.idle[:surplus]

    def oldest_idle(self) -> Instance | None:
        """Return the instance that has been idle longest, unless ``min_scale`` keeps it."""
        return self.idle[0] if self.idle and self.total > self.route.min_scale else None

    def evict(self, instance: Instance) -> None:
        """End this idle instance, because its memory is needed elsewhere."""
        self.idle.remove(instance)
        self._terminate(instance)

    def _terminate(self, instance: Instance) -> None:
        self._terminating.add(instance)
        instance.kill("no longer needed")

    def retire(self, successor: Pool | None) -> None:
        """Stop accepting requests. Assigned requests complete; queued ones go to the successor, or fail."""
        self.retired = True
        for instance in self.idle:
            self._terminate(instance)
        self.idle.clear()
        for instance in self.instances:
            if instance.state is WorkerState.STARTING:  # its import may never end
                self._terminate(instance)
        waiting, self.queue = self.queue, deque()
        if successor is not None:
            successor.adopt_queue(waiting)
            return
        for call in waiting:
            call.fail(RequestFailure(FailureKind.STOPPING, f"{self.route.name} is no longer served"))

    def instance_ended(self, instance: Instance, reason: str) -> None:
        """Fail the request that the instance held, and replace the instance if necessary.

        A start that was killed from outside is repeated, as its cause is not the function; a function that fails by
        itself is restarted with a growing delay.
        """
        expected = instance in self._terminating
        if instance.busy_since:
            self._record_usage(instance)
        self.instances.discard(instance)
        self._terminating.discard(instance)
        if instance in self.idle:
            self.idle.remove(instance)
        call, instance.request = instance.request, None
        if call is not None:
            call.fail(RequestFailure(FailureKind.DIED, self._died_message(reason)))
        self._callbacks.on_ended(self, instance, reason, expected=expected)
        if not instance.was_ready and instance.was_killed_externally and self._killed_starts < _MAX_KILLED_STARTS:
            self._killed_starts += 1
            self._callbacks.request_start(self)
        elif not instance.was_ready:
            self.on_start_failed(reason)
        elif expected or self.queue:
            self.grow()
        else:
            self._failures += 1
            self._replace_later()

    def _replace_later(self) -> None:
        if self.total < self.route.min_scale and not self.retired:
            delay = min(_MAX_BACKOFF, _MIN_BACKOFF * 2 ** min(self._failures, 16))
            self._loop.call_later(delay, self.grow)
