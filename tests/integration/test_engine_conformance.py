"""What every engine does, through the ``Engine`` protocol alone.

An engine joins with its entry in ``ENGINES``: the name of a fixture that opens an ``EngineHarness``.
"""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable
from contextlib import AbstractAsyncContextManager
from pathlib import Path
from typing import TypeAlias

import msgspec
import pytest

from fnkit.platform.data_plane.interface import DeployResult, FailureKind
from tests.support.engine_harness import EngineHarness, open_local_engine
from tests.support.waiting import DEADLINE, wait_until_async

ENGINES = (
    pytest.param("local_engine", id="local"),
    pytest.param("kubernetes_engine", id="kubernetes", marks=(pytest.mark.cluster, pytest.mark.timeout(1800))),
)

Behaviour: TypeAlias = Callable[[EngineHarness], Awaitable[None]]
EngineOpener: TypeAlias = Callable[[Path], AbstractAsyncContextManager[EngineHarness]]
RunBehaviour: TypeAlias = Callable[[Behaviour], None]

HELLO = "def handle(event, context):\n    return 'hello'\n"
VERSION = "def handle(event, context):\n    return '{}'\n"
WAITING = """
import os

def handle(event, context):
    if event["path"] == "/wait":
        wait_for_latch()
    if event["path"] == "/die":
        os._exit(3)
    return "{}"
"""


@pytest.fixture
def local_engine() -> EngineOpener:
    """Return what opens the engine of this machine."""
    return open_local_engine


@pytest.fixture(params=ENGINES)
def run(request: pytest.FixtureRequest, tmp_path: Path) -> RunBehaviour:
    """Run a behaviour on an engine of its own."""
    open_engine: EngineOpener = request.getfixturevalue(request.param)

    async def work(behaviour: Behaviour) -> None:
        async with asyncio.timeout(DEADLINE), open_engine(tmp_path) as harness:
            await behaviour(harness)

    return lambda behaviour: asyncio.run(work(behaviour))


def waiting(harness: EngineHarness, answer: str = "done") -> str:
    """Return the source of a handler that waits for the latch on ``/wait``, and ends its process on ``/die``."""
    return harness.latch.source + WAITING.format(answer)


# Starting


def test_first_request_starts_an_instance_and_later_ones_use_it(run: RunBehaviour) -> None:
    async def behaviour(harness: EngineHarness) -> None:
        route = harness.route("f", HELLO)
        harness.engine.resume(route)
        assert harness.engine.function_ids == {route.function_id}
        assert harness.engine.route(route.function_id) == route
        await harness.wait_for_instances(route)
        calls = []
        for _ in range(3):
            calls.append(harness.call(route))
            assert await calls[-1].body() == "hello"
        requests = [call.request for call in calls if call.request is not None]
        assert [request.was_queued for request in requests] == [True, False, False]
        [first, *later] = [request.cold_start for request in requests]
        assert first is not None
        assert first.ended_at > first.started_at
        assert later == [None, None]
        assert len({call.instance_name for call in calls}) == 1
        await harness.wait_for_instances(route, idle=1)

    run(behaviour)


def test_deployment_starts_an_instance_before_any_request(run: RunBehaviour) -> None:
    async def behaviour(harness: EngineHarness) -> None:
        route = await harness.start("f", HELLO)
        await harness.wait_for_instances(route, idle=1)
        call = harness.call(route)
        assert await call.body() == "hello"
        assert call.request is not None
        assert not call.request.was_queued

    run(behaviour)


def test_min_scale_instances_are_started_and_kept(run: RunBehaviour) -> None:
    async def behaviour(harness: EngineHarness) -> None:
        route = harness.route("f", waiting(harness), min_scale=2)
        harness.engine.resume(route)
        assert not harness.engine.min_scale_reached
        await wait_until_async(lambda: harness.engine.min_scale_reached)
        await harness.wait_for_instances(route, idle=2)
        calls = [harness.call(route, "/wait") for _ in range(3)]
        await harness.wait_for_handlers(3)
        harness.latch.release()
        assert [await call.body() for call in calls] == ["done"] * 3
        harness.advance(1_000_000)
        assert harness.metrics(route).idle == 2
        await harness.wait_for_instances(route, idle=2)
        dead = harness.call(route, "/die")
        assert await dead.failure_kind() is FailureKind.DIED
        await harness.wait_for_instances(route, idle=2)  # without a request that needs it

    run(behaviour)


def test_failed_start_counts_as_attempted_min_scale(run: RunBehaviour) -> None:
    async def behaviour(harness: EngineHarness) -> None:
        harness.engine.resume(harness.route("f", "import os\nos._exit(7)\n", min_scale=1))
        await wait_until_async(lambda: harness.engine.min_scale_reached)

    run(behaviour)


def test_request_whose_instance_cannot_be_started_fails(run: RunBehaviour) -> None:
    async def behaviour(harness: EngineHarness) -> None:
        route = harness.route("f", "import os\nos._exit(7)\n")
        harness.engine.resume(route)
        call = harness.call(route)
        assert await call.failure_kind() is FailureKind.NOT_STARTED
        assert call.failure is not None
        assert "exit 7" in call.failure.message

    run(behaviour)


def test_deployment_whose_handler_cannot_be_imported_serves_and_says_why(run: RunBehaviour) -> None:
    async def behaviour(harness: EngineHarness) -> None:
        result = await harness.deploy(harness.route("f", "raise LookupError('no \u20ac')\n"))
        assert result.failure is None
        assert "LookupError: no \u20ac" in result.import_error
        await harness.wait_for_instances(result.route, idle=1)

    run(behaviour)


# Scaling


def test_concurrent_requests_start_up_to_max_scale_instances_for_one_request_each(run: RunBehaviour) -> None:
    async def behaviour(harness: EngineHarness) -> None:
        route = await harness.start("f", waiting(harness), max_scale=3)
        calls = [harness.call(route, "/wait") for _ in range(5)]
        await harness.wait_for_handlers(3)
        await harness.wait_for_instances(route, busy=3)
        assert harness.metrics(route).queued == 2
        assert (
            len({call.instance_name for call in calls}) == 4
        )  # of three instances, and none for those in the queue
        harness.latch.release()
        assert [await call.body() for call in calls] == ["done"] * 5
        await harness.wait_for_instances(route, idle=3)

    run(behaviour)


def test_queued_requests_are_served_first_in_first_out(run: RunBehaviour) -> None:
    async def behaviour(harness: EngineHarness) -> None:
        route = await harness.start("f", waiting(harness), max_scale=1)
        calls = [harness.call(route, "/wait"), *(harness.call(route) for _ in range(5))]
        await harness.wait_for_handlers(1)
        assert harness.assigned == calls[:1]
        harness.latch.release()
        assert [await call.body() for call in calls] == ["done"] * 6
        assert harness.assigned == calls

    run(behaviour)


def test_request_is_rejected_when_the_queue_is_full(run: RunBehaviour) -> None:
    async def behaviour(harness: EngineHarness) -> None:
        route = await harness.start("f", waiting(harness), max_scale=1)
        calls = [harness.call(route, "/wait") for _ in range(101)]  # one runs, a hundred wait
        rejected = harness.call(route)
        assert rejected.request is None
        assert await rejected.failure_kind() is FailureKind.QUEUE_FULL
        harness.latch.release()
        assert {await call.body() for call in calls} == {"done"}

    run(behaviour)


def test_idle_instances_end_by_the_virtual_clock(run: RunBehaviour) -> None:
    async def behaviour(harness: EngineHarness) -> None:
        route = await harness.start("f", waiting(harness))
        calls = [harness.call(route, "/wait") for _ in range(3)]
        await harness.wait_for_handlers(3)
        harness.latch.release()
        names = {call.instance_name for call in calls if await call.body()}
        harness.advance(29)
        await harness.wait_for_instances(route, idle=3)
        harness.advance(1)
        await harness.wait_for_instances(route, idle=1)
        survivor = harness.call(route)
        assert await survivor.body() == "done"
        assert survivor.instance_name in names
        harness.advance(899)
        await harness.wait_for_instances(route, idle=1)
        harness.advance(1)
        await harness.wait_for_instances(route)
        assert harness.exits == []
        later = harness.call(route)
        assert await later.body() == "done"
        assert later.instance_name not in names

    run(behaviour)


# The end of requests and instances


def test_timeout_fails_the_request_and_ends_its_instance(run: RunBehaviour) -> None:
    async def behaviour(harness: EngineHarness) -> None:
        route = await harness.start("f", waiting(harness), timeout=0.2, max_scale=1)
        calls = [harness.call(route, "/wait"), harness.call(route, "/wait")]
        assert [await call.failure_kind() for call in calls] == [FailureKind.TIMEOUT] * 2
        assert calls[0].failure is not None
        assert calls[0].failure.message == "f did not answer within 0.2 s"
        await wait_until_async(lambda: harness.exits)
        assert harness.exits[0] == "timed out after 0.2 s"
        assert (await harness.deploy(msgspec.structs.replace(route, timeout=30.0))).failure is None
        later = harness.call(route)
        assert await later.body() == "done"
        assert later.instance_name != calls[0].instance_name

    run(behaviour)


def test_instance_that_dies_fails_its_request_and_is_replaced(run: RunBehaviour) -> None:
    async def behaviour(harness: EngineHarness) -> None:
        route = await harness.start("f", waiting(harness), max_scale=1)
        dead, queued = harness.call(route, "/die"), harness.call(route)
        assert await dead.failure_kind() is FailureKind.DIED
        assert await queued.body() == "done"
        assert queued.instance_name != dead.instance_name
        assert harness.exits == ["exit 3"]
        assert harness.metrics(route).ends == {"exit": 1}

    run(behaviour)


def test_cancelled_request_frees_its_place_or_its_instance(run: RunBehaviour) -> None:
    async def behaviour(harness: EngineHarness) -> None:
        route = await harness.start("f", waiting(harness), max_scale=1)
        running, queued, kept = (harness.call(route, path) for path in ("/wait", "/die", "/"))
        await harness.wait_for_handlers(1)
        for call in (running, queued):
            assert call.request is not None
            harness.engine.cancel(call.request)
        assert harness.metrics(route).queued == 1
        harness.latch.release()
        assert await kept.body() == "done"
        assert kept.instance_name == running.instance_name
        assert harness.assigned == [running, kept]
        assert not running.finished.done()
        await harness.wait_for_instances(route, idle=1)

    run(behaviour)


# Deployments


def test_deployments_under_load_lose_no_request(run: RunBehaviour) -> None:
    async def behaviour(harness: EngineHarness) -> None:
        route = await harness.start("f", VERSION.format(1), max_scale=2)
        seen: list[str] = []
        stop = asyncio.Event()

        async def client() -> None:
            while not stop.is_set():
                seen.append(await harness.call(route).body())

        clients = [asyncio.create_task(client()) for _ in range(4)]
        for version in range(2, 5):
            await harness.start("f", VERSION.format(version), max_scale=2)
            assert await harness.call(route).body() == str(version)
        stop.set()
        await asyncio.gather(*clients)
        assert set(seen) <= {"1", "2", "3", "4"}
        await wait_until_async(lambda: harness.instance_count() <= 2)  # those of the last deployment

    run(behaviour)


def test_deployment_takes_over_the_queue_and_the_old_one_finishes_its_request(run: RunBehaviour) -> None:
    async def behaviour(harness: EngineHarness) -> None:
        old = await harness.start("f", waiting(harness, "old"), max_scale=1)
        running, queued = harness.call(old, "/wait"), harness.call(old)
        await harness.wait_for_handlers(1)
        new = await harness.start("f", waiting(harness, "new"), max_scale=1)
        assert await queued.body() == "new"
        harness.latch.release()
        assert await running.body() == "old"
        await harness.wait_for_instances(new, idle=1)

    run(behaviour)


def test_failed_first_start_is_reported_and_the_old_deployment_serves(run: RunBehaviour) -> None:
    async def behaviour(harness: EngineHarness) -> None:
        old = await harness.start("f", VERSION.format(1))
        new = harness.route("f", "import os\nos._exit(7)\n")
        result = await harness.deploy(new)
        assert result.route == new
        assert result.failure is not None
        assert "exit 7" in result.failure
        assert harness.engine.route(old.function_id) == old
        assert harness.engine.pending_route(old.function_id) is None
        assert await harness.call(old).body() == "1"

    run(behaviour)


def test_newer_deployment_replaces_one_that_is_starting(run: RunBehaviour) -> None:
    async def behaviour(harness: EngineHarness) -> None:
        results: list[DeployResult] = []
        first = harness.route("f", f"{harness.latch.source}\nwait_for_latch()\n{VERSION.format(1)}")
        harness.engine.deploy(first, results.append)
        await harness.wait_for_handlers(1)
        assert harness.engine.pending_route("f") == first
        assert harness.engine.route("f") is None
        second = await harness.start("f", VERSION.format(2))
        assert harness.engine.pending_route("f") is None
        assert harness.engine.route("f") == second
        await harness.wait_for_instances(second, idle=1)
        assert results == []
        assert harness.exits == []

    run(behaviour)


def test_compatible_change_keeps_instances(run: RunBehaviour) -> None:
    async def behaviour(harness: EngineHarness) -> None:
        route = await harness.start("f", HELLO)
        before = harness.call(route)
        assert await before.body() == "hello"
        changed = msgspec.structs.replace(route, hosts=("f.test", "f.example"), max_scale=2)
        assert await harness.deploy(changed) == DeployResult(changed)
        after = harness.call(changed)
        assert await after.body() == "hello"
        assert after.instance_name == before.instance_name
        assert harness.engine.route("f") == changed

    run(behaviour)


@pytest.mark.parametrize(
    "changes",
    [{"environment": {"NAME": "value"}}, {"memory": 512}, {"handler": "handler.other"}],
    ids=["environment", "memory", "handler"],
)
def test_change_of_what_runs_replaces_instances(run: RunBehaviour, changes: dict[str, object]) -> None:
    async def behaviour(harness: EngineHarness) -> None:
        route = await harness.start("f", f"{HELLO}\nother = handle\n")
        before = harness.call(route)
        assert await before.body() == "hello"
        changed = msgspec.structs.replace(route, **changes)
        assert await harness.deploy(changed) == DeployResult(changed)
        after = harness.call(changed)
        assert await after.body() == "hello"
        assert after.instance_name != before.instance_name
        await harness.wait_for_instances(changed, idle=1)

    run(behaviour)


# The end of functions and of the engine


def test_removed_function_finishes_its_requests_and_gets_no_more(run: RunBehaviour) -> None:
    async def behaviour(harness: EngineHarness) -> None:
        route = await harness.start("f", waiting(harness), max_scale=1)
        running, queued = harness.call(route, "/wait"), harness.call(route)
        await harness.wait_for_handlers(1)
        harness.engine.remove(route.function_id)
        assert harness.engine.function_ids == frozenset()
        assert await queued.failure_kind() is FailureKind.STOPPING
        assert await harness.call(route).failure_kind() is FailureKind.UNKNOWN
        harness.latch.release()
        assert await running.body() == "done"
        await wait_until_async(lambda: harness.instance_count() == 0)
        assert harness.engine.collect_metrics().functions == ()
        assert harness.exits == []

    run(behaviour)


def test_drain_waits_for_requests(run: RunBehaviour) -> None:
    async def behaviour(harness: EngineHarness) -> None:
        route = await harness.start("f", waiting(harness), max_scale=1)
        running, queued = harness.call(route, "/wait"), harness.call(route)
        await harness.wait_for_handlers(1)
        drained = asyncio.create_task(harness.engine.drain(DEADLINE))
        harness.latch.release()
        await drained
        assert [call.finished.done() for call in (running, queued)] == [True, True]
        assert [await running.body(), await queued.body()] == ["done", "done"]

    run(behaviour)


def test_drain_fails_requests_after_its_time(run: RunBehaviour) -> None:
    async def behaviour(harness: EngineHarness) -> None:
        route = await harness.start("f", waiting(harness), max_scale=1)
        running, queued = harness.call(route, "/wait"), harness.call(route)
        await harness.wait_for_handlers(1)
        await harness.engine.drain(0.0)
        assert await running.failure_kind() is FailureKind.DIED  # its handler may have had effects
        assert await queued.failure_kind() is FailureKind.STOPPING

    run(behaviour)


def test_closed_engine_leaves_nothing(run: RunBehaviour) -> None:
    async def behaviour(harness: EngineHarness) -> None:
        route = await harness.start("f", waiting(harness))
        harness.call(route, "/wait")
        await harness.wait_for_handlers(1)
        other = await harness.start("g", HELLO, min_scale=1)
        assert harness.engine.function_ids == {route.function_id, other.function_id}
        assert not harness.is_gone()
        harness.engine.close()
        await harness.engine.wait_closed()
        await wait_until_async(harness.is_gone)
        assert harness.engine.function_ids == frozenset()

    run(behaviour)
