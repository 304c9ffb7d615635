"""The attributes of a queue that determine how it is consumed."""

from __future__ import annotations

import json
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Final

from fnkit.platform.schedulers.attempts import ATTEMPTS, SPACING_SECONDS

__all__ = ["ATTRIBUTES", "Traits", "traits_of"]

ATTRIBUTES: Final = ("VisibilityTimeout", "RedrivePolicy")

_SHORTEST_HELD: Final = 3
_PARTS: Final = 3  # extensions per lease


@dataclass(frozen=True, slots=True)
class Traits:
    """The attributes of a queue.

    Attributes:
        visibility_timeout: Seconds for which the queue hides a received message.
        max_receive_count: Receives after which the redrive policy moves a message; 0 without a policy.
        is_fifo: Whether messages of a group are ordered.
    """

    visibility: int = int(SPACING_SECONDS)  # the default of SQS
    attempts: int = 0
    is_fifo: bool = False

    @property
    def held(self) -> int:
        """Seconds for which messages are received: the visibility timeout, but enough to extend it in time."""
        return max(_SHORTEST_HELD, self.visibility)

    @property
    def keep_every(self) -> float:
        """Seconds between two extensions of the visibility of messages in flight."""
        return self.held / _PARTS

    def attempt(self, receive_count: int) -> int:
        """Return the number of an attempt.

        With a redrive policy, the policy decides how often a message is tried. The last attempt before it moves the
        message counts as the last of the four.

        Args:
            receive_count: How often the message was received.
        """
        if not self.attempts:
            return receive_count
        return ATTEMPTS if receive_count >= self.attempts else min(receive_count, ATTEMPTS - 1)


def traits_of(name: str, attributes: Mapping[str, str] | None) -> Traits:
    """Return the attributes of a queue.

    Args:
        name: Name of the queue.
        attributes: The response to ``GetQueueAttributes``, or ``None`` if the keys may not read it.
    """
    is_fifo = name.endswith(".fifo")
    if attributes is None:
        return Traits(is_fifo=is_fifo)
    return Traits(
        visibility=int(attributes.get("VisibilityTimeout", SPACING_SECONDS)),
        attempts=_attempts(attributes.get("RedrivePolicy", "")),
        is_fifo=is_fifo,
    )


def _attempts(policy: str) -> int:
    """Return ``maxReceiveCount``, which is a number or a string; 0 without a policy."""
    if not policy:
        return 0
    try:
        return max(1, int(json.loads(policy)["maxReceiveCount"]))
    except (ValueError, KeyError, TypeError):
        return ATTEMPTS
