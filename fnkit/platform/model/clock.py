"""The platform's virtual clock: the adjustable one of control, and the data plane's copy of it.

Crons, expiries, idle times and timestamps use platform time; timeouts of requests, builds and connections use
real time.
"""

from __future__ import annotations

import asyncio
import time
from typing import Final

from fnkit.platform.model.routing import ClockState

_NANOSECONDS_PER_SECOND: Final = 10**9

_MAX_SLEEP: Final = 60.0
"""Longest sleep in real seconds. The event loop's monotonic clock stops while a laptop is suspended and wall-clock
time does not, so a longer sleep could end much too late."""


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


class VirtualClock:
    """The clock of a control process. Not thread-safe.

    Times are kept as integer nanoseconds: a float of Unix seconds resolves only about 200 ns.
    """

    def __init__(self, state: ClockState) -> None:
        self._epoch_ns = int(state.platform_time * _NANOSECONDS_PER_SECOND)
        self._real_ns = int(state.real_time * _NANOSECONDS_PER_SECOND)
        self._speed = state.speed
        self._advanced = 0.0
        self._change_event = asyncio.Event()

    @classmethod
    def resume(cls, stored: ClockState | None, speed: float) -> VirtualClock:
        """Resume the stored clock at ``speed``; without a stored one, start at real time.

        Platform time continues from the stored epoch and includes the time during which the platform was stopped.
        """
        real = time.time()
        if stored is None:
            return cls(ClockState(platform_time=real, real_time=real, speed=speed))
        return cls(ClockState(platform_time=cls(stored).now(), real_time=real, speed=speed))

    @property
    def state(self) -> ClockState:
        """The state from which the data plane computes the same time."""
        return ClockState(
            platform_time=self._epoch_ns / _NANOSECONDS_PER_SECOND,
            real_time=self._real_ns / _NANOSECONDS_PER_SECOND,
            speed=self._speed,
        )

    @property
    def speed(self) -> float:
        """Platform seconds per real second; 0 for a manual clock, which only ``advance`` moves."""
        return self._speed

    def now_ns(self) -> int:
        """Return platform time in Unix nanoseconds; equal to real time if the clock was never changed."""
        elapsed = time.time_ns() - self._real_ns
        # No float arithmetic at speed 1: it would round the nanoseconds.
        return self._epoch_ns + (elapsed if self._speed == 1 else int(elapsed * self._speed))

    def now(self) -> float:
        """Return platform time in Unix seconds."""
        return self.now_ns() / _NANOSECONDS_PER_SECOND

    def elapsed(self) -> float:
        """Return platform seconds since a fixed moment of this process, for deadlines.

        It only increases, at the speed of the clock and with ``advance``: unlike ``now``, it does not change when
        the machine's clock is set.
        """
        return time.monotonic() * self._speed + self._advanced

    def advance(self, seconds: float) -> ClockState:
        """Move the clock forward, wake every waiter and return the new state."""
        self._advanced += seconds
        self._epoch_ns = self.now_ns() + int(seconds * _NANOSECONDS_PER_SECOND)
        self._real_ns = time.time_ns()
        # Replaced instead of cleared: a waiter whose task has not run yet holds the old event and must find it set.
        self._change_event.set()
        self._change_event = asyncio.Event()
        return self.state

    async def wait_until(self, at: float | None) -> None:
        """Wait until the given platform time, until the clock is moved, or for a minute of real time.

        It may return early, so the caller checks the time again.

        Args:
            at: Unix seconds; ``None`` waits only for a change of the clock.
        """
        await self.wait(None if at is None else at - self.now())

    async def wait(self, seconds: float | None) -> None:
        """Wait for platform seconds, until the clock is moved, or for a minute of real time. It may return early.

        Args:
            seconds: ``None`` waits only for a change of the clock.
        """
        timeout = _MAX_SLEEP
        if seconds is not None and self._speed > 0:
            timeout = min(timeout, max(0.0, seconds / self._speed))
        try:
            await asyncio.wait_for(self._change_event.wait(), timeout)
        except TimeoutError:
            return
