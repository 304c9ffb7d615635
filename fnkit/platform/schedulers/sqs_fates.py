"""The outcomes of SQS messages that no process holds any more.

SQS does not report what happened to a message. But a message that still exists is delivered again after its
visibility timeout. So if the queue has nothing to deliver after that, the message is gone.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Final

from fnkit.platform.records.delivery import DeliveryStatus
from fnkit.platform.schedulers.listening import BrokerOutcome
from fnkit.platform.schedulers.sqs_traits import QueueAttributes

__all__ = ["infer_outcomes"]

_NEVER_EMPTY_TIMEOUT: Final = 600.0
"""Seconds after which a message of a queue that is never empty counts as gone."""

_GONE: Final = BrokerOutcome(
    DeliveryStatus.UNKNOWN,
    "the queue no longer delivers the message: it was deleted after success, or another client consumed or "
    "purged it; no response was recorded",
)
_GONE_OR_REDRIVEN: Final = BrokerOutcome(
    DeliveryStatus.UNKNOWN,
    "the queue no longer delivers the message: it was deleted after success, or the redrive policy moved it; "
    "no response was recorded",
)


def infer_outcomes(
    unheld_since: Mapping[str, float], attributes: QueueAttributes, *, last_empty: float, last_response: float
) -> dict[str, BrokerOutcome]:
    """Return the known outcomes. All times are those of the event loop.

    Args:
        unheld_since: When this process ceased to hold each message, by message id.
        attributes: The attributes of the queue.
        last_empty: When the queue last had nothing to deliver.
        last_response: When the queue last responded.
    """
    outcome = _GONE_OR_REDRIVEN if attributes.max_receive_count else _GONE
    return {
        message: outcome
        for message, released_at in unheld_since.items()
        if last_empty >= released_at + attributes.lease_seconds
        or last_response >= released_at + attributes.lease_seconds + _NEVER_EMPTY_TIMEOUT
    }
