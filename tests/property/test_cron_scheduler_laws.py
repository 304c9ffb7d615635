"""Across crashes, clock changes and cron updates, no run fires twice, and short outages lose no run."""

from __future__ import annotations

import asyncio
import tempfile
from dataclasses import dataclass
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
        st.tuples(
            st.just("crash"), st.sampled_from(["before commit", "after commit", "idle"]), st.integers(0, 110)
        ),
        st.tuples(st.just("args"), st.sampled_from(CRONS)),
        st.tuples(st.just("schedule"), st.sampled_from(CRONS), st.sampled_from(SCHEDULES)),
        st.tuples(st.just("fire"), st.sampled_from(CRONS)),
    ),
    max_size=14,
)


@dataclass
class Simulation:
    """One machine: its clock, its store, and its current control process."""

    home: Path
    running: SchedulerUnderTest
    schedules: dict[str, set[str]]
    manual_runs: int = 0

    async def apply(self, step: tuple[object, ...]) -> None:
        clock = self.running.clock
        match step:
            case ("pass" | "set", int(seconds)):
                await self.running.set_time(clock.wall + seconds)
            case ("crash", str(when), int(seconds)):
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
                self.manual_runs += 1
            case _:
                raise AssertionError(step)


async def simulate(home: Path, steps: list[tuple[object, ...]]) -> tuple[Simulation, FakeGateway]:
    """Run the steps and wait until the scheduler is idle."""
    running = SchedulerUnderTest(home, ManualMachineClock(NOON))
    for name in CRONS:
        store_cron(running.store, name, created_at=NOON)
    async with fake_gateway(home) as gateway:
        await running.start()
        simulation = Simulation(home, running, {name: {"* * * * *"} for name in CRONS})
        for step in steps:
            await simulation.apply(step)
        await simulation.running.wait_until_idle()
    return simulation, gateway


def run_times(simulation: Simulation, name: str) -> list[float]:
    return [datetime.fromisoformat(one.at).timestamp() for one in simulation.running.deliveries(name)]


@pytest.mark.slow
@settings(max_examples=examples(60), deadline=None, suppress_health_check=[HealthCheck.too_slow])
@given(STEPS)
def test_no_run_starts_twice_and_each_matches_a_schedule(steps: list[tuple[object, ...]]) -> None:
    async def run(home: Path) -> None:
        simulation, gateway = await simulate(home, steps)
        started = 0
        for name in CRONS:
            found = run_times(simulation, name)
            assert len(set(found)) == len(found), steps
            for run_time in found:
                assert any(
                    CronSchedule.parse(text).next_after(run_time - 1) == run_time
                    for text in simulation.schedules[name]
                )
            started += len(found)
        assert len(gateway.received) <= started + simulation.manual_runs
        await simulation.running.kill()

    with tempfile.TemporaryDirectory() as folder:
        asyncio.run(run(Path(folder)))


@pytest.mark.slow
@settings(max_examples=examples(40), deadline=None, suppress_health_check=[HealthCheck.too_slow])
@given(
    st.lists(st.tuples(st.sampled_from(["pass", "before commit", "after commit"]), st.integers(1, 59)), max_size=25)
)
def test_no_run_is_lost_in_outages_of_less_than_a_minute(steps: list[tuple[str, int]]) -> None:
    async def run(home: Path) -> None:
        simulated_steps: list[tuple[object, ...]] = [
            ("pass", seconds) if what == "pass" else ("crash", what, seconds) for what, seconds in steps
        ]
        simulation, gateway = await simulate(home, simulated_steps)
        minutes = int((simulation.running.clock.wall - NOON) // 60)
        for name in CRONS:
            assert run_times(simulation, name) == [NOON + 60 * number for number in range(1, minutes + 1)]
        interrupted = sum(one.status == "failed" for name in CRONS for one in simulation.running.deliveries(name))
        assert len(gateway.received) >= 2 * minutes - interrupted
        await simulation.running.kill()

    with tempfile.TemporaryDirectory() as folder:
        asyncio.run(run(Path(folder)))
