"""When idle instances end: as Scaleway documents it for functions, with times that can be changed."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass

from fnkit.contract.limits import SCALE_TO_ONE_AFTER_SECONDS, SCALE_TO_ZERO_AFTER_SECONDS


@dataclass(frozen=True, slots=True)
class ScaleDown:
    """Seconds of virtual time that instances may be idle before a deployment scales down.

    Attributes:
        to_one_after: Before it scales down to one instance.
        to_zero_after: Before the last instance ends.
    """

    to_one_after: float = SCALE_TO_ONE_AFTER_SECONDS
    to_zero_after: float = SCALE_TO_ZERO_AFTER_SECONDS

    def surplus(self, idle_since: Iterable[float], *, total: int, min_scale: int, now: float) -> int:
        """Return how many of the longest idle instances must end now.

        Args:
            idle_since: Since when each idle instance has been idle, the longest idle first.
            total: The number of all instances, busy ones too.
            min_scale: The number of instances to keep.
            now: The virtual time.
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
