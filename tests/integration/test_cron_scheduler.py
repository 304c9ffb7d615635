"""The cron scheduler when its process crashes, its clock jumps or the gateway fails."""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable
from datetime import UTC, datetime
from pathlib import Path

import msgspec
import pytest

from fnkit.contract.enums import Status
from fnkit.platform.control.events.cron_scheduler import MISFIRE_GRACE
from fnkit.platform.control.events.dispatcher import GATEWAY_RETRY_PERIOD
from tests.support.scheduler_under_test import FakeGateway, ManualMachineClock, SchedulerUnderTest, fake_gateway
from tests.support.stored_records import store_cron, store_function
from tests.support.waiting import wait_until_async

NOON = datetime(2026, 3, 1, 12, tzinfo=UTC).timestamp()
MINUTE = 60.0

Scenario = Callable[[SchedulerUnderTest, FakeGateway], Awaitable[None]]


def run_scenario(
    home: Path,
    scenario: Scenario,
    *,
    schedule: str = "* * * * *",
    started: float = NOON,
    gateway_retry_period: float = GATEWAY_RETRY_PERIOD,
) -> None:
    """Run a scenario with one cron, ``c``, created one second after noon."""

    async def run() -> None:
        under_test = SchedulerUnderTest(
            home, ManualMachineClock(started), gateway_retry_period=gateway_retry_period
        )
        store_cron(under_test.store, "c", schedule=schedule, created_at=started + 1)
        async with fake_gateway(home) as gateway:
            await under_test.start()
            await scenario(under_test, gateway)

    asyncio.run(run())


async def restarted(old: SchedulerUnderTest, moment: float) -> SchedulerUnderTest:
    """Start a new scheduler process on the data of a killed one, at a later time."""
    again = SchedulerUnderTest(Path(old.context.settings.data_dir), ManualMachineClock(moment))
    await again.start()
    await again.wait_until_idle()
    return again


def minutes(under_test: SchedulerUnderTest, cron_id: str = "c") -> list[int]:
    """Return the scheduled runs that were started, in minutes after noon."""
    return [
        round((datetime.fromisoformat(one.at).timestamp() - NOON) / MINUTE)
        for one in under_test.deliveries(cron_id)
    ]


def test_each_scheduled_run_is_sent_once_with_its_arguments(tmp_path: Path) -> None:
    async def scenario(cron: SchedulerUnderTest, gateway: FakeGateway) -> None:
        for number in range(1, 5):
            await cron.set_time(NOON + number * MINUTE)
        await cron.wait_until_idle()
        assert gateway.received == [b'{"cron":"c"}'] * 4
        assert minutes(cron) == [1, 2, 3, 4]
        assert {one.status for one in cron.deliveries("c")} == {"succeeded"}
        await cron.kill()

    run_scenario(tmp_path, scenario)


@pytest.mark.parametrize(("step", "handled"), [("before commit", 1), ("after commit", 0)])
def test_crash_around_commit_sends_run_at_most_once(tmp_path: Path, step: str, handled: int) -> None:
    async def scenario(cron: SchedulerUnderTest, gateway: FakeGateway) -> None:
        await cron.crash_at(NOON + MINUTE, step)
        again = await restarted(cron, NOON + MINUTE + 2)
        assert sum(gateway.handled.values()) == handled
        assert minutes(again) == [1]
        assert [one.status for one in again.deliveries("c")] == ["succeeded" if handled else "failed"]
        await again.kill()

    run_scenario(tmp_path, scenario)


def test_crash_after_send_records_that_function_may_have_run(tmp_path: Path) -> None:
    async def scenario(cron: SchedulerUnderTest, gateway: FakeGateway) -> None:
        gateway.release = asyncio.Event()
        await cron.set_time(NOON + MINUTE)
        await wait_until_async(lambda: gateway.in_flight)
        await cron.kill()
        gateway.release.set()
        again = await restarted(cron, NOON + MINUTE + 1)
        (one,) = again.deliveries("c")
        assert one.status == "failed"
        assert one.error.endswith("the function may have run")
        assert sum(gateway.handled.values()) == 1
        await again.kill()

    run_scenario(tmp_path, scenario)


@pytest.mark.parametrize(
    ("downtime", "caught_up"),
    [(MISFIRE_GRACE - 1, [1]), (2 * MINUTE + 1, [2]), (3600.0, [60]), (86_400.0, [1440])],
)
def test_restart_catches_up_only_runs_of_the_last_minute(
    tmp_path: Path, downtime: float, caught_up: list[int]
) -> None:
    async def scenario(cron: SchedulerUnderTest, gateway: FakeGateway) -> None:
        await cron.set_time(NOON + 30)
        await cron.kill()
        again = await restarted(cron, NOON + 30 + downtime + (0 if downtime < MINUTE else -29.5))
        assert minutes(again) == caught_up
        assert len(gateway.received) == len(caught_up)
        await again.kill()

    run_scenario(tmp_path, scenario)


def test_clock_jump_forward_fires_only_the_last_minute(tmp_path: Path) -> None:
    async def scenario(cron: SchedulerUnderTest, gateway: FakeGateway) -> None:
        await cron.set_time(NOON + MINUTE)
        await cron.set_time(NOON + 300 * MINUTE + 5)
        await cron.set_time(NOON + 301 * MINUTE)
        await cron.wait_until_idle()
        assert minutes(cron) == [1, 300, 301]
        assert len(gateway.received) == 3
        await cron.kill()

    run_scenario(tmp_path, scenario)


def test_clock_set_back_repeats_no_run(tmp_path: Path) -> None:
    async def scenario(cron: SchedulerUnderTest, gateway: FakeGateway) -> None:
        for number in (1, 2, 3, 4, 5):
            await cron.set_time(NOON + number * MINUTE)
        for number in range(-600, 6):
            await cron.set_time(NOON + number * MINUTE)
        await cron.set_time(NOON + 6 * MINUTE)
        await cron.wait_until_idle()
        assert minutes(cron) == [1, 2, 3, 4, 5, 6]
        assert len(gateway.received) == 6
        await cron.kill()

    run_scenario(tmp_path, scenario)


def test_new_cron_runs_after_clock_is_set_back(tmp_path: Path) -> None:
    async def scenario(cron: SchedulerUnderTest, gateway: FakeGateway) -> None:
        await cron.set_time(NOON + 5 * MINUTE)
        await cron.set_time(NOON - 600 * MINUTE)
        store_cron(cron.store, "new", created_at=NOON - 600 * MINUTE)
        cron.scheduler.on_cron_changed("new")
        await cron.set_time(NOON - 599 * MINUTE)
        await cron.wait_until_idle()
        assert minutes(cron, "new") == [-599]
        again_at = NOON - 598 * MINUTE
        await cron.kill()
        again = await restarted(cron, again_at)
        assert minutes(again, "new") == [-599, -598]
        assert len(gateway.received) == 3
        await again.kill()

    run_scenario(tmp_path, scenario)


def test_run_is_retried_while_gateway_is_full(tmp_path: Path) -> None:
    async def scenario(cron: SchedulerUnderTest, gateway: FakeGateway) -> None:
        gateway.mode = "full"
        await cron.set_time(NOON + MINUTE)
        await wait_until_async(lambda: len(gateway.received) >= 2)
        assert cron.deliveries("c")[0].status == "pending"
        gateway.mode = "ok"
        await cron.wait_until_idle()
        assert sum(gateway.handled.values()) == 1
        assert [(one.status, one.attempts) for one in cron.deliveries("c")] == [("succeeded", 1)]
        await cron.kill()

    run_scenario(tmp_path, scenario)


def test_run_fails_when_gateway_stays_unreachable(tmp_path: Path) -> None:
    async def scenario(cron: SchedulerUnderTest, gateway: FakeGateway) -> None:
        (tmp_path / "delivery.sock").unlink()
        await cron.set_time(NOON + MINUTE)
        await cron.wait_until_idle()
        (one,) = cron.deliveries("c")
        assert (one.status, one.http_status) == ("failed", None)
        assert "cannot be reached" in one.error
        assert gateway.received == []
        await cron.kill()

    run_scenario(tmp_path, scenario, gateway_retry_period=0.1)


@pytest.mark.parametrize(("mode", "http_status"), [("fails", 500), ("breaks", None)])
def test_run_is_not_retried_when_handler_may_have_run(tmp_path: Path, mode: str, http_status: int | None) -> None:
    async def scenario(cron: SchedulerUnderTest, gateway: FakeGateway) -> None:
        gateway.mode = mode
        await cron.set_time(NOON + MINUTE)
        await cron.wait_until_idle()
        assert len(gateway.received) == 1
        (one,) = cron.deliveries("c")
        assert (one.status, one.http_status, one.attempts) == ("failed", http_status, 1)
        await cron.kill()

    run_scenario(tmp_path, scenario)


def test_concurrent_runs_are_limited_to_max_scale(tmp_path: Path) -> None:
    async def scenario(cron: SchedulerUnderTest, gateway: FakeGateway) -> None:
        store_function(cron.store, "narrow", max_scale=2)
        for number in range(40):
            store_cron(cron.store, f"n-{number:02}", function_id="narrow", created_at=NOON + 1)
            cron.scheduler.on_cron_changed(f"n-{number:02}")
        gateway.release = asyncio.Event()
        await cron.set_time(NOON + MINUTE)
        await wait_until_async(lambda: len(gateway.received) >= 3)
        for _ in range(100):  # enough for further requests to arrive
            await asyncio.sleep(0)
        assert len(gateway.received) == 3  # two runs of function narrow, one of cron c
        gateway.release.set()
        await cron.wait_until_idle()
        limited = [body for body in gateway.received if b"n-" in body]
        assert len(set(limited)) == len(limited) == 40
        assert gateway.max_in_flight == 3
        await cron.kill()

    run_scenario(tmp_path, scenario)


def test_runs_of_one_cron_overlap_when_function_scales(tmp_path: Path) -> None:
    async def scenario(cron: SchedulerUnderTest, gateway: FakeGateway) -> None:
        gateway.release = asyncio.Event()
        await cron.set_time(NOON + MINUTE)
        await cron.set_time(NOON + 2 * MINUTE)
        await wait_until_async(lambda: gateway.in_flight >= 2)
        gateway.release.set()
        await cron.wait_until_idle()
        assert [one.status for one in cron.deliveries("c")] == ["succeeded"] * 2
        await cron.kill()

    run_scenario(tmp_path, scenario)


def test_run_due_during_update_waits_for_the_update(tmp_path: Path) -> None:
    async def scenario(cron: SchedulerUnderTest, gateway: FakeGateway) -> None:
        cron.clock.wall = NOON + MINUTE - 0.001
        cron.update_cron("c", notify=False, status=Status.PENDING, args={"new": True})
        await cron.set_time(NOON + MINUTE)
        assert gateway.received == []
        cron.update_cron("c", status=Status.READY)
        await cron.set_time(NOON + MINUTE + 0.5)
        await cron.set_time(NOON + 2 * MINUTE)
        await cron.wait_until_idle()
        assert gateway.received == [b'{"new":true}'] * 2
        assert minutes(cron) == [1, 2]
        await cron.kill()

    run_scenario(tmp_path, scenario)


def test_updated_cron_repeats_no_run_and_follows_new_schedule(tmp_path: Path) -> None:
    async def scenario(cron: SchedulerUnderTest, gateway: FakeGateway) -> None:
        await cron.set_time(NOON + MINUTE)
        cron.update_cron("c", args={})
        await cron.set_time(NOON + MINUTE + 1)
        cron.clock.wall = NOON + MINUTE + 30
        cron.update_cron("c", schedule="*/5 * * * *", schedule_changed_at=int(cron.clock.wall * 10**9))
        for number in range(2, 11):
            await cron.set_time(NOON + number * MINUTE)
        await cron.wait_until_idle()
        assert minutes(cron) == [1, 5, 10]
        assert len(gateway.received) == 3
        await cron.kill()

    run_scenario(tmp_path, scenario)


def test_runs_missed_while_undeployed_are_skipped(tmp_path: Path) -> None:
    async def scenario(cron: SchedulerUnderTest, gateway: FakeGateway) -> None:
        function = cron.store.functions.get("f-1")
        assert function is not None
        with cron.store.transaction():
            cron.store.functions.update(msgspec.structs.replace(function, serving=None))
        for number in range(1, 6):
            await cron.set_time(NOON + number * MINUTE)
        with cron.store.transaction():
            cron.store.functions.update(function)
        cron.update_cron("c", args={"late": 1})
        await cron.set_time(NOON + 5 * MINUTE + 30)
        await cron.set_time(NOON + 6 * MINUTE)
        await cron.wait_until_idle()
        assert minutes(cron) == [6]
        assert len(gateway.received) == 1
        await cron.kill()

    run_scenario(tmp_path, scenario)


def test_stopped_clock_moved_forward_fires_every_run_across_restart(tmp_path: Path) -> None:
    async def run() -> None:
        clock = ManualMachineClock(NOON, speed=0.0)
        cron = SchedulerUnderTest(tmp_path, clock)
        store_cron(cron.store, "c", created_at=NOON)
        async with fake_gateway(tmp_path) as gateway:
            await cron.start()
            await cron.set_time(NOON + 100 * MINUTE)
            await cron.wait_until_idle()
            assert minutes(cron) == list(range(1, 101))
            await cron.crash_at(NOON + 200 * MINUTE, "before commit")
            again = SchedulerUnderTest(tmp_path, ManualMachineClock(NOON + 200 * MINUTE, speed=0.0))
            await again.start()
            await again.wait_until_idle()
            assert minutes(again) == list(range(1, 201))
            assert len(gateway.received) == 200
            await again.kill()

    asyncio.run(run())


def test_full_database_delays_run_without_losing_it(tmp_path: Path) -> None:
    async def scenario(cron: SchedulerUnderTest, gateway: FakeGateway) -> None:
        connection = cron.store._connection
        cron.update_cron("c", args={"large": "x" * 200_000})  # its delivery record needs new pages
        connection.execute(f"PRAGMA max_page_count={connection.execute('PRAGMA page_count').fetchone()[0]}")
        check = asyncio.ensure_future(cron.set_time(NOON + MINUTE))
        await asyncio.sleep(0)
        assert not check.done()
        assert gateway.received == []
        connection.execute("PRAGMA max_page_count=1000000")
        await check
        await cron.wait_until_idle()
        assert minutes(cron) == [1]
        assert len(gateway.received) == 1
        await cron.kill()

    run_scenario(tmp_path, scenario)
