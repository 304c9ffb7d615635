"""When idle instances end (pure). Source: Scaleway's functions-autoscaling page."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass

from fnkit.contract.limits import SCALE_TO_ONE_AFTER_SECONDS, SCALE_TO_ZERO_AFTER_SECONDS

__all__ = ["ScaleDown"]


@dataclass(frozen=True, slots=True)
class ScaleDown:
    """After how many idle seconds of virtual time a deployment shrinks to one instance, and to none."""

    to_one_after: float = SCALE_TO_ONE_AFTER_SECONDS
    to_zero_after: float = SCALE_TO_ZERO_AFTER_SECONDS

    def surplus(self, idle_since: Iterable[float], *, total: int, min_scale: int, now: float) -> int:
        """Return how many of the longest idle instances end now.

        idle_since: of the idle instances, the longest idle first. total: all instances, busy ones too.
        """
        ended = 0
        for since in idle_since:
            remaining = total - ended
            if remaining <= min_scale:
                break
            if now - since < (self.to_one_after if remaining > 1 else self.to_zero_after):
                break
            ended += 1
        return ended
