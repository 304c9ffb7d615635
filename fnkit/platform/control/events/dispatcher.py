"""Dispatches requests of cron runs and replays to their functions, each at most once.

A function gets at most as many requests at a time as it has instances. The others wait here in order, so that many
simultaneous runs do not fill the queue of the gateway and displace real requests. A request that the gateway itself
rejected (it is restarting, or its queue is full) reached no handler and is sent again for ``GATEWAY_RETRY_PERIOD``.
Every other outcome is final: a response of the function, and a broken connection, since the function may have run.
"""

from __future__ import annotations

import asyncio
import logging
import time
from collections import deque
from typing import Final

import msgspec

from fnkit.platform.control.context import ControlContext
from fnkit.platform.control.events.delivery_log import DeliveryLog
from fnkit.platform.control.events.firing import DispatchRequest
from fnkit.platform.control.events.gateway_client import DeliveryOutcome, GatewayClient
from fnkit.platform.model.delivery import DeliveryStatus

GATEWAY_RETRY_PERIOD: Final = 60.0
"""Real seconds for which a request that the gateway rejects is sent again."""
_MIN_BACKOFF: Final = 0.05
_MAX_BACKOFF: Final = 1.0
_MAX_PENDING: Final = 5000  # requests; more cron runs start only when there are fewer
_MESSAGE_CONTENT_TYPE: Final = "text/plain; charset=utf-8"
_logger = logging.getLogger(__name__)


class Dispatcher:
    """Sends requests to functions in background tasks. Lives on one event loop."""

    def __init__(
        self,
        context: ControlContext,
        log: DeliveryLog,
        gateway: GatewayClient | None = None,
        retry_period: float = GATEWAY_RETRY_PERIOD,
    ) -> None:
        """Create a dispatcher.

        Args:
            context: What all parts of control share.
            log: The delivery log.
            gateway: Sends requests to functions; by default over a connection of its own.
            retry_period: Real seconds for which a request that the gateway rejects is sent again.
        """
        self._context = context
        self._gateway = gateway or GatewayClient(context.settings.delivery_socket)
        self._log = log
        self._retry_period = retry_period
        self._limiter = KeyedLimiter()
        self._pending = 0
        self._capacity_freed = asyncio.Event()

    def dispatch(self, request: DispatchRequest) -> None:
        """Start sending a request. Its outcome is written to the delivery log."""
        self._pending += 1
        task = self._context.tasks.start(self._deliver(request), f"delivery to {request.target.host}")
        task.add_done_callback(self._on_done)

    async def wait_for_capacity(self) -> None:
        """Return when the number of pending requests is below the limit."""
        while self._pending >= _MAX_PENDING:
            self._capacity_freed.clear()
            await self._capacity_freed.wait()

    def _on_done(self, _task: asyncio.Task[None]) -> None:
        self._pending -= 1
        self._capacity_freed.set()

    async def _deliver(self, request: DispatchRequest) -> None:
        await self._limiter.acquire(request.target.function_id, request.target.max_concurrency)
        lag_ms = self._lag_ms(request)
        try:
            outcome = await self._post_with_retries(request)
        finally:
            self._limiter.release(request.target.function_id)
        delivery = request.delivery.with_attempt(
            http_status=outcome.http_status, duration_ms=outcome.duration_ms, error=outcome.error
        ).finished(DeliveryStatus.SUCCEEDED if outcome.succeeded else DeliveryStatus.FAILED)
        self._log.record(request.source_id, msgspec.structs.replace(delivery, lag_ms=lag_ms), request.body)

    def _lag_ms(self, request: DispatchRequest) -> float | None:
        """Return the delay of a cron's run in real milliseconds.

        ``None`` for other requests, and on a manual clock, whose time does not pass between two moves.
        """
        if request.scheduled_at is None or not self._context.clock.speed:
            return None
        return round((self._context.clock.now() - request.scheduled_at) / self._context.clock.speed * 1000, 3)

    async def _post_with_retries(self, request: DispatchRequest) -> DeliveryOutcome:
        content_type = "application/json" if request.delivery.kind == "cron" else _MESSAGE_CONTENT_TYPE
        target = request.target
        deadline, pause = time.monotonic() + self._retry_period, _MIN_BACKOFF
        while True:
            # The delivery's ID is the request's: it finds what the function logged.
            outcome = await self._gateway.post(
                target.host, request.body, content_type, target.timeout, request.delivery.id
            )
            if not outcome.rejected or time.monotonic() >= deadline:
                return outcome
            if pause == _MIN_BACKOFF:
                _logger.warning("The gateway rejected a delivery to %s; retrying: %s", target.host, outcome.error)
            await asyncio.sleep(pause)
            pause = min(_MAX_BACKOFF, pause * 2)


class KeyedLimiter:
    """A limit of concurrent holders per key. Lives on one event loop; not thread-safe."""

    def __init__(self) -> None:
        self._in_use: dict[str, int] = {}
        self._waiters: dict[str, deque[tuple[asyncio.Future[None], int]]] = {}

    async def acquire(self, key: str, limit: int) -> None:
        """Wait until fewer than ``limit`` holders have the key, and acquire it. Each call needs one ``release``."""
        if not self._waiters.get(key) and self._in_use.get(key, 0) < limit:
            self._in_use[key] = self._in_use.get(key, 0) + 1
            return
        waiter: asyncio.Future[None] = asyncio.get_running_loop().create_future()
        self._waiters.setdefault(key, deque()).append((waiter, limit))
        try:
            await waiter
        except asyncio.CancelledError:
            if waiter.done() and not waiter.cancelled():
                self.release(key)  # it was acquired in the same iteration of the event loop as the cancellation
            raise

    def release(self, key: str) -> None:
        """Release the key, and pass it to the waiters that their limit allows."""
        self._in_use[key] -= 1
        waiters = self._waiters.get(key)
        while waiters:
            waiter, limit = waiters[0]
            if not waiter.cancelled():
                if self._in_use[key] >= limit:
                    return
                self._in_use[key] += 1
                waiter.set_result(None)
            waiters.popleft()
        self._waiters.pop(key, None)
        if not self._in_use[key]:
            del self._in_use[key]
