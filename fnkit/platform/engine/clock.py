"""The virtual clock as the data plane reads it."""

from __future__ import annotations

import time
from typing import Final

from fnkit.platform.routing import Clock

__all__ = ["VirtualClock"]

_NANOSECONDS: Final = 10**9


class VirtualClock:
    """Follows the virtual clock of the control process; shows real time until the first update."""

    def __init__(self) -> None:
        self._clock = Clock(epoch=0.0, real=0.0, speed=1.0)

    @property
    def speed(self) -> float:
        """Virtual seconds per real second; 0 is the manual clock."""
        return self._clock.speed

    def set(self, clock: Clock) -> None:
        """Follow a new clock state."""
        self._clock = clock

    def now(self) -> float:
        """Return the virtual time in Unix seconds."""
        clock = self._clock
        return clock.epoch + (time.time() - clock.real) * clock.speed

    def now_ns(self) -> int:
        """Return the virtual time in Unix nanoseconds."""
        return int(self.now() * _NANOSECONDS)
