"""Whatever happens to processes, clocks and crons: no tick fires twice, and none is lost to a short death."""

from __future__ import annotations

import asyncio
import tempfile
from dataclasses import dataclass, field
from datetime import UTC, datetime
from pathlib import Path

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from fnkit.contract.cron import CronSchedule
from tests.support.examples import examples
from tests.support.scheduler_under_test import FakeGateway, ManualMachineClock, SchedulerUnderTest, fake_gateway
from tests.support.stored_records import store_cron

NOON = datetime(2026, 3, 1, 12, tzinfo=UTC).timestamp()
SCHEDULES = ("* * * * *", "*/2 * * * *", "*/7 * * * *", "0 * * * *", "5,6 * * * *")
CRONS = ("a", "b")

STEPS = st.lists(
    st.one_of(
        st.tuples(st.just("pass"), st.integers(1, 150)),
        st.tuples(st.just("set"), st.integers(-4000, 4000)),
        st.tuples(st.just("die"), st.sampled_from(["before commit", "after commit", "idle"]), st.integers(0, 110)),
        st.tuples(st.just("args"), st.sampled_from(CRONS)),
        st.tuples(st.just("schedule"), st.sampled_from(CRONS), st.sampled_from(SCHEDULES)),
        st.tuples(st.just("fire"), st.sampled_from(CRONS)),
    ),
    max_size=14,
)


@dataclass
class World:
    """One machine: its clock, its store, and the control process that runs at the moment."""

    home: Path
    running: SchedulerUnderTest
    schedules: dict[str, set[str]]
    fired_by_hand: int = 0
    dead: set[str] = field(default_factory=set)

    async def take(self, step: tuple[object, ...]) -> None:
        clock = self.running.clock
        match step:
            case ("pass" | "set", int(seconds)):
                await self.running.set_time(clock.wall + seconds)
            case ("die", str(when), int(seconds)):
                await self.running.crash_at(clock.wall + seconds, when)
                self.running = SchedulerUnderTest(self.home, ManualMachineClock(clock.wall))
                await self.running.start()
            case ("args", str(name)):
                self.running.update_cron(name, args={"cron": name, "changed": True})
            case ("schedule", str(name), str(schedule)):
                self.schedules[name].add(schedule)
                self.running.update_cron(name, schedule=schedule, schedule_changed_at=int(clock.wall * 10**9))
            case ("fire", str(name)):
                self.running.history.fire("fr-par", name)
                self.fired_by_hand += 1
            case _:
                raise AssertionError(step)


async def lived(home: Path, steps: list[tuple[object, ...]]) -> tuple[World, FakeGateway]:
    """Run the steps; everything is quiet at the end."""
    running = SchedulerUnderTest(home, ManualMachineClock(NOON))
    for name in CRONS:
        store_cron(running.store, name, created_at=NOON)
    async with fake_gateway(home) as gateway:
        await running.start()
        world = World(home, running, {name: {"* * * * *"} for name in CRONS})
        for step in steps:
            await world.take(step)
        await world.running.wait_until_idle()
    return world, gateway


def ticks(world: World, name: str) -> list[float]:
    return [datetime.fromisoformat(one.at).timestamp() for one in world.running.deliveries(name)]


@pytest.mark.slow
@settings(max_examples=examples(60), deadline=None, suppress_health_check=[HealthCheck.too_slow])
@given(STEPS)
def test_no_tick_is_begun_twice_and_each_is_one_of_the_schedules(steps: list[tuple[object, ...]]) -> None:
    async def run(home: Path) -> None:
        world, gateway = await lived(home, steps)
        begun = 0
        for name in CRONS:
            found = ticks(world, name)
            assert len(set(found)) == len(found), steps
            for tick in found:
                assert any(CronSchedule.parse(text).next_after(tick - 1) == tick for text in world.schedules[name])
            begun += len(found)
        assert len(gateway.received) <= begun + world.fired_by_hand
        await world.running.kill()

    with tempfile.TemporaryDirectory() as folder:
        asyncio.run(run(Path(folder)))


@pytest.mark.slow
@settings(max_examples=examples(40), deadline=None, suppress_health_check=[HealthCheck.too_slow])
@given(
    st.lists(st.tuples(st.sampled_from(["pass", "before commit", "after commit"]), st.integers(1, 59)), max_size=25)
)
def test_no_tick_is_lost_to_deaths_that_last_less_than_a_minute(steps: list[tuple[str, int]]) -> None:
    async def run(home: Path) -> None:
        taken: list[tuple[object, ...]] = [
            ("pass", seconds) if what == "pass" else ("die", what, seconds) for what, seconds in steps
        ]
        world, gateway = await lived(home, taken)
        passed = int((world.running.clock.wall - NOON) // 60)
        for name in CRONS:
            assert ticks(world, name) == [NOON + 60 * number for number in range(1, passed + 1)]
        cut = sum(one.status == "failed" for name in CRONS for one in world.running.deliveries(name))
        assert len(gateway.received) >= 2 * passed - cut
        await world.running.kill()

    with tempfile.TemporaryDirectory() as folder:
        asyncio.run(run(Path(folder)))
