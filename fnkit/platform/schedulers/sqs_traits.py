"""The attributes of a queue that determine how it is consumed."""

from __future__ import annotations

import json
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Final

from fnkit.platform.schedulers.attempts import MAX_ATTEMPTS, RETRY_DELAY_SECONDS

__all__ = ["ATTRIBUTE_NAMES", "QueueAttributes", "parse_attributes"]

ATTRIBUTE_NAMES: Final = ("VisibilityTimeout", "RedrivePolicy")

_MIN_LEASE_SECONDS: Final = 3
_EXTENSIONS_PER_LEASE: Final = 3  # extensions per lease


@dataclass(frozen=True, slots=True)
class QueueAttributes:
    """The attributes of a queue.

    Attributes:
        visibility_timeout: Seconds for which the queue hides a received message.
        max_receive_count: Receives after which the redrive policy moves a message; 0 without a policy.
        is_fifo: Whether messages of a group are ordered.
    """

    visibility_timeout: int = int(RETRY_DELAY_SECONDS)  # the default of SQS
    max_receive_count: int = 0
    is_fifo: bool = False

    @property
    def lease_seconds(self) -> int:
        """Seconds for which messages are received: the visibility timeout, but enough to extend it in time."""
        return max(_MIN_LEASE_SECONDS, self.visibility_timeout)

    @property
    def lease_interval(self) -> float:
        """Seconds between two extensions of the visibility of messages in flight."""
        return self.lease_seconds / _EXTENSIONS_PER_LEASE

    def attempt_number(self, receive_count: int) -> int:
        """Return the number of an attempt.

        With a redrive policy, the policy decides how often a message is tried. The last attempt before it moves the
        message counts as the last of the four.

        Args:
            receive_count: How often the message was received.
        """
        if not self.max_receive_count:
            return receive_count
        return MAX_ATTEMPTS if receive_count >= self.max_receive_count else min(receive_count, MAX_ATTEMPTS - 1)


def parse_attributes(name: str, attributes: Mapping[str, str] | None) -> QueueAttributes:
    """Return the attributes of a queue.

    Args:
        name: Name of the queue.
        attributes: The response to ``GetQueueAttributes``, or ``None`` if the keys may not read it.
    """
    is_fifo = name.endswith(".fifo")
    if attributes is None:
        return QueueAttributes(is_fifo=is_fifo)
    return QueueAttributes(
        visibility_timeout=int(attributes.get("VisibilityTimeout", RETRY_DELAY_SECONDS)),
        max_receive_count=_parse_max_receive_count(attributes.get("RedrivePolicy", "")),
        is_fifo=is_fifo,
    )


def _parse_max_receive_count(policy: str) -> int:
    """Return ``maxReceiveCount``, which is a number or a string; 0 without a policy."""
    if not policy:
        return 0
    try:
        return max(1, int(json.loads(policy)["maxReceiveCount"]))
    except (ValueError, KeyError, TypeError):
        return MAX_ATTEMPTS
