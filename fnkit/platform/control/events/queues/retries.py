"""Retries of messages: the decision after each attempt, and the queue of messages that wait for the next one.

Scaleway documents that a response with a status of 300 or more is retried up to three times; about 30 s between
attempts were recorded, which is the default visibility timeout of a queue. An attempt that never reached a handler
does not count. Neither does one whose connection broke because the data plane died, since the message did not
cause that.

To retry messages for another reason, add a rule to ``decide``. What the consumer does for each decision is in
``consumer.QueueConsumer``, and what the delivery log records of an attempt in ``model.delivery.Attempt``.
"""

from __future__ import annotations

import asyncio
import enum
import heapq
import itertools
from typing import Final, Generic, TypeVar

from fnkit.platform.control.context import wait_for_first
from fnkit.platform.control.events.gateway_client import FAILURE_STATUS, DeliveryOutcome
from fnkit.platform.model.clock import VirtualClock
from fnkit.platform.model.delivery import Delivery

MAX_ATTEMPTS: Final = 4
RETRY_DELAY_SECONDS: Final = 30.0
"""Platform seconds between two attempts, unless the queue has its own visibility timeout."""

_MAX_QUEUED_MESSAGES: Final = 1000
_MAX_QUEUED_BYTES: Final = 64 * 1024 * 1024

T = TypeVar("T")


class RetryDecision(enum.Enum):
    """What to do with a message after an attempt that did not succeed."""

    RETRY_NOW = "retry_now"  # not counted as an attempt: sent again as soon as the gateway accepts it
    RETRY_LATER = "retry_later"  # the next attempt, after the source's retry delay
    GIVE_UP = "give_up"  # the last attempt failed


def decide(outcome: DeliveryOutcome, delivery: Delivery, attempt: int | None) -> RetryDecision:
    """Decide what to do after an attempt that did not succeed. The first rule that applies wins.

    Args:
        outcome: The outcome of the attempt.
        delivery: The delivery, with this attempt recorded in it.
        attempt: The number of the attempt by the count of the broker (SQS), or ``None`` if the broker has none.
    """
    if outcome.rejected:  # by the gateway: no handler ran
        return RetryDecision.RETRY_NOW
    if outcome.http_status is None:  # no response, because the data plane died
        return RetryDecision.RETRY_NOW
    if (attempt or count_failures(delivery)) < MAX_ATTEMPTS:
        return RetryDecision.RETRY_LATER
    return RetryDecision.GIVE_UP


def count_failures(delivery: Delivery) -> int:
    """Return how many attempts the function answered with a failure."""
    return sum(
        one.http_status is not None and one.http_status >= FAILURE_STATUS for one in delivery.recent_attempts
    )


class RetryQueue(Generic[T]):
    """A bounded priority queue of items, ordered by the time at which they are due."""

    def __init__(self, clock: VirtualClock) -> None:
        self._clock = clock
        self._heap: list[tuple[float, int, int, T]] = []
        self._total_bytes = 0
        self._sequence = itertools.count()
        self._changed = asyncio.Event()

    def put(self, item: T, size: int, delay: float) -> bool:
        """Add an item.

        Args:
            item: The item.
            size: Its size in bytes.
            delay: Seconds of platform time until it is due.

        Returns:
            False if the queue is full. An item larger than the limit is accepted if the queue is empty.
        """
        if len(self._heap) >= _MAX_QUEUED_MESSAGES or (self._heap and self._total_bytes + size > _MAX_QUEUED_BYTES):
            return False
        self._total_bytes += size
        heapq.heappush(self._heap, (self._clock.elapsed() + delay, next(self._sequence), size, item))
        self._changed.set()
        return True

    def pop_due(self) -> list[T]:
        """Remove and return all items that are due."""
        items, now = [], self._clock.elapsed()
        while self._heap and self._heap[0][0] <= now:
            _, _, size, item = heapq.heappop(self._heap)
            self._total_bytes -= size
            items.append(item)
        return items

    async def wait_until_due(self) -> None:
        """Return when an item may be due, or when one was added."""
        self._changed.clear()
        delay = self._heap[0][0] - self._clock.elapsed() if self._heap else None
        await wait_for_first(self._clock.wait(delay), self._changed.wait())
