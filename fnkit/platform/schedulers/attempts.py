"""How often a message is tried, and what becomes of it after an attempt (pure).

Published: an answer of 300 and more is retried up to three times. Recorded: about 30 s apart, which is a queue's
default visibility timeout. What no handler saw is no attempt; neither is a connection that broke because the data
plane died: the message did nothing wrong.
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
    """What becomes of a message now."""

    TAKEN = "taken"
    SOON = "soon"  # nobody saw it, or nobody knows: as soon as the gateway is there
    LATER = "later"  # the next attempt
    LOST = "lost"  # that was the last one


def failures(delivery: Delivery) -> int:
    """How many attempts a function answered with a failure."""
    return sum(one.http_status is not None and one.http_status >= REFUSED for one in delivery.tries)


def verdict(outcome: Outcome, delivery: Delivery, attempt: int | None) -> Verdict:
    """Judge an attempt, which ``delivery`` knows already. attempt: the broker's count, if that counts."""
    if outcome.succeeded:
        return Verdict.TAKEN
    if outcome.turned_away or outcome.http_status is None:
        return Verdict.SOON
    return Verdict.LOST if (attempt or failures(delivery)) >= ATTEMPTS else Verdict.LATER
