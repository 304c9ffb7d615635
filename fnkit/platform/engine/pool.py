"""The instances of one deployment: assigns requests to idle ones and decides when another one starts or ends.

Each instance handles one request at a time. Idle instances are taken last in, first out, so that a few stay warm
and the others can end; requests are queued first in, first out. The memory limits of all instances count against
one budget. When idle instances end follows Scaleway's documentation on autoscaling of functions.
"""

from __future__ import annotations

import asyncio
from collections import deque
from collections.abc import Callable
from time import monotonic
from typing import Final, Protocol

from fnkit.platform.engine.calls import LocalCall
from fnkit.platform.engine.contract import ColdStart, Failure, FailureKind, Listener
from fnkit.platform.engine.instance import Instance, InstanceState
from fnkit.platform.engine.meters import FunctionMeter
from fnkit.platform.engine.scaling import ScaleDown
from fnkit.platform.routing import Route

__all__ = ["Pool", "PoolHost"]

_BACKOFF_FIRST: Final = 0.1
_BACKOFF_MAX: Final = 30.0
_LOST_STARTS_MAX: Final = 3
_MEGABYTES: Final = 1024  # per GB in bills: 128 MB are 0.125 GB


class PoolHost(Protocol):
    """What a pool needs from the engine."""

    def now(self) -> float:
        """Return the virtual time."""

    def request_start(self, pool: Pool) -> None:
        """Queue the start of an instance for this pool."""

    def became_ready(self, pool: Pool, instance: Instance) -> None:
        """An instance has started."""

    def became_idle(self, pool: Pool) -> None:
        """An instance became idle."""

    def ended(self, pool: Pool, instance: Instance, reason: str, *, expected: bool) -> None:
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
        callbacks: PoolHost,
        counters: FunctionMeter,
        queue_limit: int,
        on_first_start: Callable[[str | None], None],
    ) -> None:
        self.route = route
        self.meter = counters
        self.idle: list[Instance] = []
        self.members: set[Instance] = set()
        self.waiting: deque[LocalCall] = deque()
        self.starting = 0
        self.retired = False
        self.said_starved = False
        self._host = callbacks
        self._queue_limit = queue_limit
        self._first: Callable[[str | None], None] | None = on_first_start
        self._ending: set[Instance] = set()
        self._failures = 0  # consecutive failed starts
        self._lost_starts = 0  # consecutive starts that were killed from outside
        self._loop = asyncio.get_running_loop()

    @property
    def busy(self) -> int:
        """The number of instances that handle a request."""
        return sum(1 for instance in self.members if instance.state is InstanceState.BUSY)

    @property
    def total(self) -> int:
        """The number of instances that are ready or starting."""
        return len(self.members) - len(self._ending) + self._requested

    @property
    def _requested(self) -> int:
        """The number of requested starts that have no process yet."""
        return self.starting - sum(1 for instance in self.members if instance.state is InstanceState.STARTING)

    @property
    def needs_start(self) -> bool:
        """Whether a requested start is still needed; other instances may have served the queue meanwhile."""
        if self.retired:
            return False
        ready = len(self.members) - len(self._ending)
        return self._first is not None or bool(self.waiting) or ready < self.route.min_scale

    @property
    def has_minimum(self) -> bool:
        """Whether ``min_scale`` instances are ready, or could not be started."""
        ready = len(self.members) - len(self._ending) - (self.starting - self._requested)
        return ready >= self.route.min_scale or self._failures > 0

    @property
    def gives_memory_back(self) -> bool:
        """Whether an instance of this pool is being ended."""
        return bool(self._ending)

    # Requests

    def acquire(self, request_id: str, listener: Listener) -> LocalCall | None:
        """Assign a request to an idle instance, or queue it. Return ``None`` if the queue is full."""
        if not self.idle and len(self.waiting) >= self._queue_limit:
            message = f"{self.route.name} is at its maximum scale and its queue is full"
            listener.failed(Failure(FailureKind.QUEUE_FULL, message))
            return None
        call = LocalCall(request_id, listener)
        call.timer = self._loop.call_later(self.route.timeout, self._expire, call)
        if (instance := self._take_idle()) is not None:
            self.meter.at_once += 1
            self._give(instance, call)
        else:
            call.waiting_since = monotonic()
            self.waiting.append(call)
            self.grow()
        return call

    def adopt(self, calls: deque[LocalCall]) -> None:
        """Take over the queue of an older deployment. The timeouts of its requests keep running."""
        for call in calls:
            if call.timer is not None:
                # The old timer refers to the old pool.
                remaining = max(0.0, call.timer.when() - self._loop.time())
                call.timer.cancel()
                call.timer = self._loop.call_later(remaining, self._expire, call)
            self.waiting.append(call)
        while self.waiting and (instance := self._take_idle()) is not None:
            self._give(instance, self.waiting.popleft())
        self.grow()

    def _take_idle(self) -> Instance | None:
        while self.idle:
            instance = self.idle.pop()
            if not instance.is_leaving:
                return instance
        return None

    def forget(self, call: LocalCall) -> None:
        """Remove a request from the queue. One that is assigned completes without a receiver."""
        call.listener = None
        if call.server is None and call in self.waiting:
            self.waiting.remove(call)
            call.fail(Failure(FailureKind.STOPPING, "the client is gone"))

    def give_up(self, reason: str) -> None:
        """Fail every request, because the data plane is about to end.

        Distinguishes requests that never reached a handler (safe to retry) from those that may have run.
        """
        waiting, self.waiting = self.waiting, deque()
        for call in waiting:
            call.fail(Failure(FailureKind.STOPPING, reason))
        for instance in self.members:
            if instance.call is not None:
                instance.call.fail(Failure(FailureKind.DIED, self._died(reason)))

    def _died(self, reason: str) -> str:
        return f"the instance of {self.route.name} ended while it answered: {reason}"

    def _give(self, instance: Instance, call: LocalCall) -> None:
        if call.waiting_since:
            self._end_waiting(instance, call)
        call.server = instance
        instance.serve(call)
        if call.listener is not None:
            call.listener.granted(call)

    def _end_waiting(self, instance: Instance, call: LocalCall) -> None:
        """Count the queueing time, and record the cold start of a request that waited for a new instance."""
        if not instance.has_served:
            call.cold_start = ColdStart(instance.began, instance.ready_at)
        self.meter.waited(monotonic() - call.waiting_since, is_cold=not instance.has_served)

    def _expire(self, call: LocalCall) -> None:
        seconds = f"{self.route.timeout:g} s"
        instance = call.server
        if isinstance(instance, Instance):
            instance.kill(f"timed out after {seconds}")
        elif call in self.waiting:
            self.waiting.remove(call)
        call.fail(Failure(FailureKind.TIMEOUT, f"{self.route.name} did not answer within {seconds}"))

    # Growing

    def grow(self) -> None:
        """Start instances for queued requests and for ``min_scale``, up to ``max_scale``."""
        if self.retired:
            return
        for_requests = len(self.waiting) - self.starting
        for_minimum = self.route.min_scale - self.total
        wanted = min(max(for_requests, for_minimum), max(self.route.max_scale, 1) - self.total)
        for _ in range(wanted):
            self.starting += 1
            self._host.request_start(self)

    def start_one(self) -> None:
        """Start one instance regardless of need: the first of a deployment, which proves that it works."""
        self.starting += 1
        self._host.request_start(self)

    def start_failed(self, reason: str) -> None:
        """Note that a requested start failed.

        The oldest queued request fails with it; the others get another start.
        """
        self.starting -= 1
        self._failures += 1
        self.meter.starts["failed"] += 1
        self._tell_first(reason)
        if self.waiting:
            message = f"{self.route.name} could not be started: {reason}"
            self.waiting.popleft().fail(Failure(FailureKind.NOT_STARTED, message))
            self.grow()
        else:
            self._replace_later()

    def begun(self, instance: Instance) -> None:
        """Note that a requested start has a process. It ends at once if the pool has been retired meanwhile."""
        if self.retired:
            self._end(instance)

    def start_dropped(self) -> None:
        """Note that a requested start was cancelled because it is no longer needed."""
        self.starting -= 1

    def instance_ready(self, instance: Instance) -> None:
        """Report the first start, and use the instance."""
        self.starting -= 1
        self.meter.starts["ready"] += 1
        self.said_starved = False
        self._lost_starts = 0
        self._tell_first(None)
        self._offer(instance)
        self._host.became_ready(self, instance)

    def _tell_first(self, reason: str | None) -> None:
        first, self._first = self._first, None
        if first is not None:
            first(reason)

    def instance_free(self, instance: Instance) -> None:
        """Record usage, and reuse the instance."""
        self._failures = 0
        self._bill(instance)
        self._offer(instance)

    def _bill(self, instance: Instance) -> None:
        """Count the time for which the instance held a request: memory × duration, as the real platform bills."""
        self.meter.gigabyte_seconds += (monotonic() - instance.busy_since) * self.route.memory / _MEGABYTES
        instance.busy_since = 0.0

    def _offer(self, instance: Instance) -> None:
        if instance in self._ending or instance.is_leaving:
            return
        if self.retired or len(self.members) - len(self._ending) > max(self.route.max_scale, 1):
            self._end(instance)
        elif self.waiting:
            self._give(instance, self.waiting.popleft())
        else:
            instance.idle_since = self._host.now()
            self.idle.append(instance)
            self._host.became_idle(self)

    # Shrinking

    def sweep(self, rule: ScaleDown, now: float) -> None:
        """End instances that were idle for too long."""
        since = [instance.idle_since for instance in self.idle]
        surplus = rule.surplus(since, total=self.total, min_scale=self.route.min_scale, now=now)
        for instance in self.idle[:surplus]:
            self._end(instance)
        del self.idle[:surplus]

    def spare_idle(self) -> Instance | None:
        """Return the instance that has been idle longest, unless ``min_scale`` keeps it."""
        return self.idle[0] if self.idle and self.total > self.route.min_scale else None

    def evict(self, instance: Instance) -> None:
        """End this idle instance, because its memory is needed elsewhere."""
        self.idle.remove(instance)
        self._end(instance)

    def _end(self, instance: Instance) -> None:
        self._ending.add(instance)
        instance.kill("no longer needed")

    def retire(self, successor: Pool | None) -> None:
        """Stop accepting requests. Assigned requests complete; queued ones go to the successor, or fail."""
        self.retired = True
        for instance in self.idle:
            self._end(instance)
        self.idle.clear()
        for instance in self.members:
            if instance.state is InstanceState.STARTING:  # its import may never end
                self._end(instance)
        waiting, self.waiting = self.waiting, deque()
        if successor is not None:
            successor.adopt(waiting)
            return
        for call in waiting:
            call.fail(Failure(FailureKind.STOPPING, f"{self.route.name} is no longer served"))

    def instance_ended(self, instance: Instance, reason: str) -> None:
        """Fail the request that the instance held, and replace the instance if necessary.

        A start that was killed from outside is repeated, as its cause is not the function; a function that fails by
        itself is restarted with a growing delay.
        """
        expected = instance in self._ending
        if instance.busy_since:
            self._bill(instance)
        self.members.discard(instance)
        self._ending.discard(instance)
        if instance in self.idle:
            self.idle.remove(instance)
        call, instance.call = instance.call, None
        if call is not None:
            call.fail(Failure(FailureKind.DIED, self._died(reason)))
        self._host.ended(self, instance, reason, expected=expected)
        if not instance.was_ready and instance.ended_by_others and self._lost_starts < _LOST_STARTS_MAX:
            self._lost_starts += 1
            self._host.request_start(self)
        elif not instance.was_ready:
            self.start_failed(reason)
        elif expected or self.waiting:
            self.grow()
        else:
            self._failures += 1
            self._replace_later()

    def _replace_later(self) -> None:
        if self.total < self.route.min_scale and not self.retired:
            delay = min(_BACKOFF_MAX, _BACKOFF_FIRST * 2 ** min(self._failures, 16))
            self._loop.call_later(delay, self.grow)
