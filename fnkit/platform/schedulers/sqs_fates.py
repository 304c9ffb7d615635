"""What became of messages of SQS that nobody here holds (pure).

No service says what it did with a message. But one that it still has appears again when its visibility timeout is
over; so where the queue then has nothing to hand out, it is not there any more.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Final

from fnkit.platform.records.delivery import DeliveryStatus
from fnkit.platform.schedulers.listening import Fate
from fnkit.platform.schedulers.sqs_traits import Traits

__all__ = ["queue_fates"]

_LONG_SECONDS: Final = 600.0
"""After so long a queue that is never empty has had every chance to hand a message out."""

_NOT_SEEN: Final = Fate(
    DeliveryStatus.UNKNOWN,
    "the queue does not hand the message out any more: it was deleted, as only what a function took is, or "
    "somebody else took or purged it; an answer was not written down",
)
_NOT_SEEN_AFTER_REDRIVE: Final = Fate(
    DeliveryStatus.UNKNOWN,
    "the queue does not hand the message out any more: it was deleted, as only what a function took is, or its "
    "redrive policy moved it; an answer was not written down",
)


def queue_fates(since: Mapping[str, float], traits: Traits, *, emptied: float, heard: float) -> dict[str, Fate]:
    """Return what is known; all times are the event loop's.

    since: from when nobody held each message. emptied: when the queue had nothing to hand out. heard: when it
    answered for the last time.
    """
    fate = _NOT_SEEN_AFTER_REDRIVE if traits.attempts else _NOT_SEEN
    return {
        message: fate
        for message, moment in since.items()
        if emptied >= moment + traits.held or heard >= moment + traits.held + _LONG_SECONDS
    }
