"""The virtual clock as the data plane reads it."""

from __future__ import annotations

import time
from typing import Final

from fnkit.platform.routing import ClockState

__all__ = ["SyncedClock"]

_NANOSECONDS_PER_SECOND: Final = 10**9


class SyncedClock:
    """Follows the virtual clock of the control process; shows real time until the first update."""

    def __init__(self) -> None:
        self._clock = ClockState(platform_time=0.0, real_time=0.0, speed=1.0)

    @property
    def speed(self) -> float:
        """Virtual seconds per real second; 0 is the manual clock."""
        return self._clock.speed

    def set(self, clock: ClockState) -> None:
        """Follow a new clock state."""
        self._clock = clock

    def now(self) -> float:
        """Return the virtual time in Unix seconds."""
        clock = self._clock
        return clock.platform_time + (time.time() - clock.real_time) * clock.speed

    def now_ns(self) -> int:
        """Return the virtual time in Unix nanoseconds."""
        return int(self.now() * _NANOSECONDS_PER_SECOND)
