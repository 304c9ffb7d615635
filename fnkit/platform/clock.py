"""Platform time: a virtual clock with an epoch and a speed, which may be moved by hand (decision 21).

Crons, expiries and timestamps run on it; deadlines of requests, builds and connections run on real time.
"""

from __future__ import annotations

import asyncio
import time
from typing import Final, Protocol

from fnkit.platform.routing import Clock

__all__ = ["PlatformClock", "VirtualClock"]

_NANOSECONDS: Final = 10**9
_LONGEST_WAIT: Final = 60.0
"""Real seconds after which a sleeper looks again: a laptop's suspend moves real time under it."""


class PlatformClock(Protocol):
    """What the control plane asks of time."""

    @property
    def speed(self) -> float:
        """Seconds of platform time in a real one; 0: it stands until it is moved."""
        ...

    def now(self) -> float:
        """Return platform time in Unix seconds."""
        ...

    def now_ns(self) -> int:
        """Return platform time in Unix nanoseconds."""
        ...

    async def wait_until(self, moment: float | None) -> None:
        """Return when ``moment`` (Unix seconds, ``None``: never) has come, or the clock was moved."""
        ...


class VirtualClock:
    """The one clock of a control process. Not for use from several threads."""

    def __init__(self, state: Clock) -> None:
        self._epoch = int(state.epoch * _NANOSECONDS)
        self._real = int(state.real * _NANOSECONDS)
        self._speed = state.speed
        self._moved = asyncio.Event()

    @classmethod
    def starting(cls, stored: Clock | None, speed: float) -> VirtualClock:
        """Continue the stored clock at ``speed``; without one, platform time begins as real time."""
        real = time.time()
        if stored is None:
            return cls(Clock(epoch=real, real=real, speed=speed))
        return cls(Clock(epoch=cls(stored).now(), real=real, speed=speed))

    @property
    def state(self) -> Clock:
        """The clock as the data plane reads it."""
        return Clock(epoch=self._epoch / _NANOSECONDS, real=self._real / _NANOSECONDS, speed=self._speed)

    @property
    def speed(self) -> float:
        """See ``PlatformClock``."""
        return self._speed

    def now_ns(self) -> int:
        """Return platform time in Unix nanoseconds; exact real time where nobody moved the clock."""
        passed = time.time_ns() - self._real
        return self._epoch + (passed if self._speed == 1 else int(passed * self._speed))

    def now(self) -> float:
        """Return platform time in Unix seconds."""
        return self.now_ns() / _NANOSECONDS

    def advance(self, seconds: float) -> Clock:
        """Move the clock forward and return its new state; everyone who waits for it looks again."""
        self._epoch = self.now_ns() + int(seconds * _NANOSECONDS)
        self._real = time.time_ns()
        self._moved.set()
        self._moved = asyncio.Event()
        return self.state

    async def wait_until(self, moment: float | None) -> None:
        """Return when ``moment`` has come, when the clock was moved, or after a minute of real time."""
        timeout = _LONGEST_WAIT
        if moment is not None and self._speed > 0:
            timeout = min(timeout, max(0.0, (moment - self.now()) / self._speed))
        try:
            await asyncio.wait_for(self._moved.wait(), timeout)
        except TimeoutError:
            return
