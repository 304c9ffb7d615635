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
from fnkit.platform.schedulers.delivery import REFUSED, Outcome

__all__ = ["ATTEMPTS", "SPACING_SECONDS", "Verdict", "failures", "verdict"]

ATTEMPTS: Final = 4
SPACING_SECONDS: Final = 30.0


class Verdict(enum.Enum):
    """What to do with a message after an attempt."""

    TAKEN = "ack"
    SOON = "retry_now"  # not counted as an attempt: sent again as soon as the gateway accepts it
    LATER = "retry_later"  # the next attempt, after the source's retry delay
    LOST = "give_up"  # the last attempt failed


def failures(delivery: Delivery) -> int:
    """Return how many attempts the function answered with a failure."""
    return sum(one.http_status is not None and one.http_status >= REFUSED for one in delivery.tries)


def verdict(outcome: Outcome, delivery: Delivery, attempt: int | None) -> Verdict:
    """Decide what to do after an attempt.

    Args:
        outcome: The outcome of the attempt.
        delivery: The delivery, with this attempt recorded in it.
        attempt: The number of the attempt by the count of the broker, or ``None`` if the broker has none.
    """
    if outcome.succeeded:
        return Verdict.TAKEN
    if outcome.turned_away or outcome.http_status is None:
        return Verdict.SOON
    return Verdict.LOST if (attempt or failures(delivery)) >= ATTEMPTS else Verdict.LATER
