"""The instances of one deployment: assigns requests to idle ones and knows how many more it needs, or fewer.

Each instance handles one request at a time. Idle instances are taken last in, first out, so that a few stay warm
and the others can end; requests are queued first in, first out.

A pool starts nothing: the ``Scaler`` reads ``missing`` after whatever may have changed it, starts instances, and
reports what became of them.
"""

from __future__ import annotations

import asyncio
from collections import deque
from time import monotonic
from typing import Final

from fnkit.platform.data_plane.body_buffer import BodyBuffer
from fnkit.platform.data_plane.counters import FunctionCounters, end_label
from fnkit.platform.data_plane.engine.scale_down import ScaleDown
from fnkit.platform.data_plane.instance import Instance, InstanceState
from fnkit.platform.data_plane.interface import ColdStart, FailureKind, RequestFailure, ResponseHandler
from fnkit.platform.model.routing import Route

_MIN_BACKOFF: Final = 0.1
_MAX_BACKOFF: Final = 30.0
_MAX_BACKOFF_DOUBLINGS: Final = 16
_MAX_KILLED_STARTS: Final = 3  # in a row; what kills more of them may be a reaction to this function
_MB_PER_GB: Final = 1024  # per GB in bills: 128 MB are 0.125 GB


class PooledRequest:
    """A request in a pool: queued, then on an instance, then complete.

    Attributes:
        path: The decoded path, for the log.
        handler: Receives the response; ``None`` once the request is complete or cancelled.
        instance: The instance, while the request is assigned to one.
        timer: Ends the request after the function's timeout.
        queued_at: When it was queued (``time.monotonic``); 0 if it found an idle instance.
        cold_start: The start that it waited for.
    """

    __slots__ = ("cold_start", "handler", "instance", "path", "queued_at", "request_id", "timer")

    def __init__(self, request_id: str, path: str, handler: ResponseHandler) -> None:
        self.request_id = request_id
        self.path = path
        self.handler: ResponseHandler | None = handler
        self.instance: Instance | None = None
        self.timer: asyncio.TimerHandle | None = None
        self.queued_at = 0.0
        self.cold_start: ColdStart | None = None

    @property
    def instance_name(self) -> str:
        """The name of the instance; empty until one is assigned."""
        return self.instance.name if self.instance is not None else ""

    @property
    def was_queued(self) -> bool:
        """Whether the request was queued."""
        return self.queued_at > 0

    def send(self, document: bytes | BodyBuffer) -> None:
        """Send the request to its instance."""
        if self.instance is not None:
            self.instance.send(document)

    def pause(self) -> None:
        """Pause reading the response."""
        if self.instance is not None:
            self.instance.pause()

    def resume(self) -> None:
        """Resume reading."""
        if self.instance is not None:
            self.instance.resume()

    def discard_response(self) -> None:
        """Discard the response. The instance becomes idle when it has finished."""
        self.handler = None
        if self.instance is not None:
            self.instance.discard_response()

    def complete(self) -> None:
        """Complete the request."""
        handler = self._detach()
        if handler is not None:
            handler.on_response_end()

    def fail(self, failure: RequestFailure) -> None:
        """End the request without a response."""
        handler = self._detach()
        if handler is not None:
            handler.on_failure(failure)

    def _detach(self) -> ResponseHandler | None:
        if self.timer is not None:
            self.timer.cancel()
            self.timer = None
        if self.instance is not None:
            self.instance.discard_response()
            self.instance = None
        handler, self.handler = self.handler, None
        return handler


class Pool:
    """The instances of one deployment, and the requests that wait for one.

    Args:
        route: The deployment.
        counters: The counters of the function.
        queue_limit: The maximum number of queued requests.
        must_prove_itself: Start an instance even if nothing needs one: the first of a deployment, which proves that
            it works.

    Attributes:
        first_start: Done with the result of the first start: ``None``, or why it failed.
        import_error: The end of the traceback if the newest instance could not import its handler, else empty.
        drained: Done when the pool is retired and its last instance has ended.
        idle: The idle instances, the longest idle first.
        instances: All instances that were started and have not ended.
        queue: The queued requests, the oldest first.
        starting: How many starts are under way, from the decision to a ready instance.
        retired: Whether the pool has been replaced or removed.
    """

    def __init__(
        self, route: Route, counters: FunctionCounters, queue_limit: int, *, must_prove_itself: bool
    ) -> None:
        self._loop = asyncio.get_running_loop()
        self.route = route
        self.counters = counters
        self.first_start: asyncio.Future[str | None] = self._loop.create_future()
        self.drained: asyncio.Future[None] = self._loop.create_future()
        self.import_error = ""
        self.idle: list[Instance] = []
        self.instances: set[Instance] = set()
        self.queue: deque[PooledRequest] = deque()
        self.starting = 0
        self.retired = False
        self._queue_limit = queue_limit
        self._must_prove_itself = must_prove_itself
        self._not_ready: set[Instance] = set()  # those of ``instances`` whose handler is not imported yet
        self._occupied: set[Instance] = set()  # those of ``_not_ready`` that complete an earlier process's request
        self._terminating: set[Instance] = set()
        self._failures = 0  # consecutive failed starts
        self._killed_starts = 0  # consecutive starts that were killed from outside

    @property
    def busy(self) -> int:
        """The number of instances that handle a request."""
        return sum(1 for instance in self.instances if instance.state is InstanceState.BUSY)

    @property
    def total(self) -> int:
        """The number of instances that are ready or starting."""
        return len(self.instances) - len(self._terminating) + self.starting - len(self._not_ready)

    @property
    def missing(self) -> int:
        """How many instances must be started for queued requests and for ``min_scale``, up to ``max_scale``."""
        if self.retired:
            return 0
        # Each start under way will serve one queued request. ``min_scale`` needs no such deduction: ``total``
        # contains the starts.
        total, starting = self.total, self.starting - len(self._occupied)
        for_proof = 1 if self._must_prove_itself and not starting else 0
        wanted = max(len(self.queue) - starting, self.route.min_scale - total, for_proof)
        return max(0, min(wanted, max(self.route.max_scale, 1) - total))

    @property
    def is_start_needed(self) -> bool:
        """Whether a start is still needed; other instances may have served the queue meanwhile."""
        if self.retired:
            return False
        # Not ``total``, which contains the start that asks.
        ready = len(self.instances) - len(self._terminating)
        return self._must_prove_itself or bool(self.queue) or ready < self.route.min_scale

    @property
    def min_scale_reached(self) -> bool:
        """Whether ``min_scale`` instances are ready, or could not be started."""
        ready = len(self.instances) - len(self._terminating) - len(self._not_ready)
        return ready >= self.route.min_scale or self._failures > 0

    @property
    def is_releasing_memory(self) -> bool:
        """Whether an instance of this pool is being ended."""
        return bool(self._terminating)

    # Requests

    def acquire(self, request_id: str, path: str, handler: ResponseHandler) -> PooledRequest | None:
        """Assign a request to an idle instance, or queue it. Return ``None`` if the queue is full."""
        if not self.idle and len(self.queue) >= self._queue_limit:
            message = f"{self.route.name} is at its maximum scale and its queue is full"
            handler.on_failure(RequestFailure(FailureKind.QUEUE_FULL, message))
            return None
        request = PooledRequest(request_id, path, handler)
        request.timer = self._loop.call_later(self.route.timeout, self._on_timeout, request)
        if (instance := self._acquire_idle()) is not None:
            self.counters.immediate += 1
            self._assign(instance, request)
        else:
            request.queued_at = monotonic()
            self.queue.append(request)
        return request

    def adopt_queue(self, requests: deque[PooledRequest]) -> None:
        """Take over the queue of an older deployment. The timeouts of its requests keep running."""
        for request in requests:
            if request.timer is not None:
                # The old timer refers to the old pool.
                remaining = max(0.0, request.timer.when() - self._loop.time())
                request.timer.cancel()
                request.timer = self._loop.call_later(remaining, self._on_timeout, request)
            self.queue.append(request)
        while self.queue and (instance := self._acquire_idle()) is not None:
            self._assign(instance, self.queue.popleft())

    def _acquire_idle(self) -> Instance | None:
        while self.idle:
            instance = self.idle.pop()
            # Its process may have ended a moment ago, before ``on_ended`` is called.
            if instance.is_waiting:
                return instance
        return None

    def cancel(self, request: PooledRequest) -> None:
        """Remove a request from the queue."""
        self.queue.remove(request)
        request.fail(RequestFailure(FailureKind.STOPPING, "the client is gone"))

    def fail_all(self, reason: str) -> None:
        """Fail every request, because the data plane is about to end.

        Distinguishes requests that never reached a handler (safe to retry) from those that may have run.
        """
        waiting, self.queue = self.queue, deque()
        for request in waiting:
            request.fail(RequestFailure(FailureKind.STOPPING, reason))
        for instance in self.instances:
            if instance.request is not None:
                instance.request.fail(RequestFailure(FailureKind.DIED, self._died_message(reason)))

    def _died_message(self, reason: str) -> str:
        return f"the instance of {self.route.name} ended while it answered: {reason}"

    def _assign(self, instance: Instance, request: PooledRequest) -> None:
        if request.queued_at:
            self._record_wait(instance, request)
        request.instance = instance
        instance.assign_request(request)
        if request.handler is not None:
            request.handler.on_assigned(request)

    def _record_wait(self, instance: Instance, request: PooledRequest) -> None:
        """Count the queueing time, and record the cold start of a request that waited for a new instance."""
        if not instance.has_served:
            request.cold_start = ColdStart(instance.start_began_at, instance.ready_at)
        self.counters.count_wait(monotonic() - request.queued_at, is_cold=not instance.has_served)

    def _on_timeout(self, request: PooledRequest) -> None:
        seconds = f"{self.route.timeout:g} s"
        if request.instance is not None:
            # Nothing else stops a handler, and an instance that still runs one cannot take another request.
            request.instance.kill(f"timed out after {seconds}")
        elif request in self.queue:
            self.queue.remove(request)
        request.fail(RequestFailure(FailureKind.TIMEOUT, f"{self.route.name} did not answer within {seconds}"))

    # Starts, as the scaler reports them

    def on_start_cancelled(self) -> None:
        """Note that a start was cancelled because it is no longer needed."""
        self.starting -= 1
        self._check_drained()

    def on_start_failed(self, reason: str) -> float:
        """Note that a start failed. The oldest queued request fails with it; the others get another start.

        Returns:
            Seconds to wait before missing instances are started.
        """
        self.starting -= 1
        self._failures += 1
        self.counters.starts["failed"] += 1
        self._report_first_start(reason)
        self._check_drained()
        if not self.queue:
            return self._backoff
        # One request for each failed start: its client gets the error now, instead of 504 after the timeout, and a
        # start that fails by chance does not fail the whole queue.
        message = f"{self.route.name} could not be started: {reason}"
        self.queue.popleft().fail(RequestFailure(FailureKind.NOT_STARTED, message))
        return 0.0

    def add(self, instance: Instance) -> None:
        """Add the instance of a start. It ends at once if the pool has been retired meanwhile."""
        self.instances.add(instance)
        self._not_ready.add(instance)
        if self.retired:
            self._terminate(instance)

    def note_occupied(self, instance: Instance) -> None:
        """Let no queued request wait for an adopted instance that still has a request, if others can be started."""
        if instance in self._not_ready:
            self._occupied.add(instance)

    def on_ready(self, instance: Instance) -> bool:
        """Report the first start, and use the instance. Return whether it is idle."""
        self._not_ready.discard(instance)
        self._occupied.discard(instance)
        self.starting -= 1
        self.counters.starts["ready"] += 1
        self._killed_starts = 0
        self.import_error = instance.import_error
        self._report_first_start(None)
        return self._make_available(instance)

    def _report_first_start(self, reason: str | None) -> None:
        self._must_prove_itself = False
        if not self.first_start.done():
            self.first_start.set_result(reason)

    @property
    def _backoff(self) -> float:
        doublings = min(self._failures, _MAX_BACKOFF_DOUBLINGS)
        return min(_MAX_BACKOFF, _MIN_BACKOFF * 2.0**doublings)

    # Completed requests

    def on_idle(self, instance: Instance) -> bool:
        """Record usage, and reuse the instance. Return whether it is idle."""
        self._failures = 0
        self._record_usage(instance)
        return self._make_available(instance)

    def _record_usage(self, instance: Instance) -> None:
        """Count the time for which the instance held a request: memory × duration, as the real platform bills."""
        self.counters.gigabyte_seconds += (monotonic() - instance.busy_since) * self.route.memory / _MB_PER_GB
        instance.busy_since = 0.0

    def _make_available(self, instance: Instance) -> bool:
        if instance in self._terminating or instance.is_terminating:
            return False
        # ``max_scale`` may have been lowered since this instance was started.
        if self.retired or len(self.instances) - len(self._terminating) > max(self.route.max_scale, 1):
            self._terminate(instance)
            return False
        if self.queue:
            self._assign(instance, self.queue.popleft())
            return False
        self.idle.append(instance)
        return True

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
        for instance in self._not_ready:  # its import may never end
            self._terminate(instance)
        self._check_drained()
        waiting, self.queue = self.queue, deque()
        if successor is not None:
            successor.adopt_queue(waiting)
            return
        for request in waiting:
            request.fail(RequestFailure(FailureKind.STOPPING, f"{self.route.name} is no longer served"))

    def is_end_expected(self, instance: Instance) -> bool:
        """Return whether this instance was ended for a reason that lies outside of it."""
        return instance in self._terminating

    def on_ended(self, instance: Instance, reason: str) -> float:
        """Fail the request that the instance held, and count its end.

        A start that was killed from outside does not count as failed, since the function did not cause it. After
        failed starts, the delay before the next one grows.

        Returns:
            Seconds to wait before missing instances are started.
        """
        expected, was_occupied = self.is_end_expected(instance), instance in self._occupied
        if instance.busy_since:
            self._record_usage(instance)
        for group in (self.instances, self._not_ready, self._occupied, self._terminating):
            group.discard(instance)
        if instance in self.idle:
            self.idle.remove(instance)
        request, instance.request = instance.request, None
        if request is not None:
            request.fail(RequestFailure(FailureKind.DIED, self._died_message(reason)))
        self.counters.ended[end_label(reason, expected=expected)] += 1
        if was_occupied:
            self.starting -= 1  # an earlier process has started it
        elif not instance.was_ready:
            if not instance.was_killed_externally or self._killed_starts >= _MAX_KILLED_STARTS:
                return self.on_start_failed(reason)
            self._killed_starts += 1
            self.starting -= 1
        self._check_drained()
        if expected or self.queue or not instance.was_ready:
            return 0.0  # no delay for queued requests: they did not cause the end
        self._failures += 1
        return self._backoff

    def _check_drained(self) -> None:
        if self.retired and not self.instances and not self.starting and not self.drained.done():
            self.drained.set_result(None)
