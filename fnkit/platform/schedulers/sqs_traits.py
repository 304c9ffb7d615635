"""What a queue's own attributes say about how it is to be listened to (pure)."""

from __future__ import annotations

import json
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Final

from fnkit.platform.schedulers.attempts import ATTEMPTS, SPACING_SECONDS

__all__ = ["ATTRIBUTES", "Traits", "traits_of"]

ATTRIBUTES: Final = ("VisibilityTimeout", "RedrivePolicy")

_SHORTEST_HELD: Final = 3
_PARTS: Final = 3  # a message is kept three times within what it is held for


@dataclass(frozen=True, slots=True)
class Traits:
    """visibility: seconds for which the queue hides a message that was received.

    attempts: it moves one away after so many; 0: it has no redrive policy. is_fifo: its groups have an order.
    """

    visibility: int = int(SPACING_SECONDS)  # what a queue has that says nothing
    attempts: int = 0
    is_fifo: bool = False

    @property
    def held(self) -> int:
        """Seconds for which we take a message: the queue's own, and not less than we need to keep it in time."""
        return max(_SHORTEST_HELD, self.visibility)

    @property
    def keep_every(self) -> float:
        """Seconds after which what is held must be kept."""
        return self.held / _PARTS

    def attempt(self, received: int) -> int:
        """Return which of the four attempts this is, for a message that was received so many times.

        Where the queue has a policy, its number of attempts counts: the last one that it leaves us is the fourth.
        """
        if not self.attempts:
            return received
        return ATTEMPTS if received >= self.attempts else min(received, ATTEMPTS - 1)


def traits_of(name: str, attributes: Mapping[str, str] | None) -> Traits:
    """Return what ``GetQueueAttributes`` answered of that queue; ``None``: it may not be asked."""
    is_fifo = name.endswith(".fifo")
    if attributes is None:
        return Traits(is_fifo=is_fifo)
    return Traits(
        visibility=int(attributes.get("VisibilityTimeout", SPACING_SECONDS)),
        attempts=_attempts(attributes.get("RedrivePolicy", "")),
        is_fifo=is_fifo,
    )


def _attempts(policy: str) -> int:
    """Return ``maxReceiveCount``, which comes as a number or as a text; 0 without a policy."""
    if not policy:
        return 0
    try:
        return max(1, int(json.loads(policy)["maxReceiveCount"]))
    except (ValueError, KeyError, TypeError):
        return ATTEMPTS
