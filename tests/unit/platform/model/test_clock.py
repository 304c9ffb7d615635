"""VirtualClock: real, manual and accelerated time."""

from __future__ import annotations

import asyncio
import time

import pytest

from fnkit.platform.model.clock import VirtualClock
from fnkit.platform.model.routing import ClockState


def test_new_clock_is_real_time() -> None:
    assert abs(VirtualClock.resume(None, 1.0).now() - time.time()) < 60


def test_manual_clock_changes_only_when_advanced() -> None:
    clock = VirtualClock.resume(ClockState(platform_time=1000.0, real_time=0.0, speed=0.0), 0.0)
    assert clock.now() == clock.now() == 1000.0

    state = clock.advance(90)

    assert clock.now() == 1090.0
    assert state.platform_time == 1090.0


def test_resumed_clock_continues_at_its_new_speed() -> None:
    ahead = VirtualClock.resume(None, 1.0)
    ahead.advance(10**6)
    resumed = VirtualClock.resume(ahead.state, 60.0)

    assert abs(resumed.now() - (time.time() + 10**6)) < 60 * 60  # one minute of real time
    assert resumed.state.speed == 60.0


def test_advancing_the_clock_wakes_waiters() -> None:
    async def scenario() -> float:
        clock = VirtualClock.resume(ClockState(platform_time=0.0, real_time=0.0, speed=0.0), 0.0)
        waiting = asyncio.ensure_future(clock.wait_until(60.0))
        await asyncio.sleep(0)
        clock.advance(60)
        await asyncio.wait_for(waiting, 60)
        return clock.now()

    assert asyncio.run(scenario()) == 60.0


def test_fast_clock_shortens_the_wait() -> None:
    async def scenario() -> float:
        clock = VirtualClock.resume(None, 36_000.0)
        started = time.monotonic()
        await clock.wait_until(clock.now() + 3600)
        return time.monotonic() - started

    assert asyncio.run(scenario()) < 60


@pytest.mark.parametrize("jump", [-3600, 3600, -(10**8), 10**8])
def test_deadlines_do_not_move_when_the_machine_clock_is_set(monkeypatch: pytest.MonkeyPatch, jump: int) -> None:
    clock = VirtualClock.resume(None, 1.0)
    began, shown = clock.elapsed(), clock.now()
    real = time.time_ns
    monkeypatch.setattr(time, "time_ns", lambda: real() + jump * 10**9)

    assert abs(clock.now() - shown - jump) < 60
    assert 0 <= clock.elapsed() - began < 60
    clock.advance(100)
    assert 100 <= clock.elapsed() - began < 160
