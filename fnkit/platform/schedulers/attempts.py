"""Retries of messages: the decision after each attempt, and the queue of messages that wait for the next one.

Scaleway documents that a response with a status of 300 or more is retried up to three times; about 30 s between
attempts were recorded, which is the default visibility timeout of a queue. An attempt that never reached a handler
does not count. Neither does one whose connection broke because the data plane died, since the message did not
cause that.
"""

from __future__ import annotations

import enum
from typing import Final

from fnkit.platform.records.delivery import Delivery
from fnkit.platform.schedulers.delivery import FAILURE_STATUS, DeliveryOutcome

__all__ = ["MAX_ATTEMPTS", "RETRY_DELAY_SECONDS", "RetryDecision", "count_failures", "decide"]

MAX_ATTEMPTS: Final = 4
RETRY_DELAY_SECONDS: Final = 30.0


class RetryDecision(enum.Enum):
    """What to do with a message after an attempt."""

    ACK = "ack"
    RETRY_NOW = "retry_now"  # not counted as an attempt: sent again as soon as the gateway accepts it
    RETRY_LATER = "retry_later"  # the next attempt, after the source's retry delay
    GIVE_UP = "give_up"  # the last attempt failed


def count_failures(delivery: Delivery) -> int:
    """Return how many attempts the function answered with a failure."""
    return sum(
        one.http_status is not None and one.http_status >= FAILURE_STATUS for one in delivery.recent_attempts
    )


def decide(outcome: DeliveryOutcome, delivery: Delivery, attempt: int | None) -> RetryDecision:
    """Decide what to do after an attempt.

    Args:
        outcome: The outcome of the attempt.
        delivery: The delivery, with this attempt recorded in it.
        attempt: The number of the attempt by the count of the broker, or ``None`` if the broker has none.
    """
    if outcome.succeeded:
        return RetryDecision.ACK
    if outcome.rejected or outcome.http_status is None:
        return RetryDecision.RETRY_NOW
    return (
        RetryDecision.GIVE_UP
        if (attempt or count_failures(delivery)) >= MAX_ATTEMPTS
        else RetryDecision.RETRY_LATER
    )
