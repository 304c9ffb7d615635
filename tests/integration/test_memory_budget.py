"""Starts and the memory budget of the local engine: what they reserve, and how they wait for it."""

from __future__ import annotations

import asyncio
from pathlib import Path

import msgspec
import pytest

from fnkit.platform.data_plane.interface import FailureKind
from fnkit.platform.model.routing import LocalProgram
from tests.support.engine_harness import EngineHarness, open_local_engine
from tests.support.waiting import DEADLINE, wait_until_async

SOURCE = """
def handle(event, context):
    if event["path"] == "/wait":
        wait_for_latch()
    return context["functionName"]
"""


def memory_used(harness: EngineHarness) -> int:
    return harness.engine.collect_metrics().memory_used_mb


def test_failed_start_returns_its_memory(tmp_path: Path) -> None:
    async def work() -> None:
        async with asyncio.timeout(DEADLINE), open_local_engine(tmp_path, memory_budget=256) as harness:
            program = LocalProgram(interpreter="/no/such/python", code_dir=str(tmp_path))
            for _ in range(5):  # more than there are slots for starts
                route = msgspec.structs.replace(harness.route("f", "", memory=256), program=program)
                result = await harness.deploy(route)
                assert (result.failure or "").startswith("/no/such/python: ")
                assert memory_used(harness) == 0
            started = await harness.start("f", harness.latch.source + SOURCE, memory=256)
            assert await harness.call(started).body() == "f"

    asyncio.run(work())


def test_start_waits_for_memory_and_takes_that_of_an_idle_instance(
    tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    async def work() -> None:
        async with asyncio.timeout(DEADLINE), open_local_engine(tmp_path, memory_budget=256) as harness:
            first = await harness.start("first", harness.latch.source + SOURCE, memory=256)
            running = harness.call(first, "/wait")
            await harness.wait_for_handlers(1)
            deployed = asyncio.create_task(harness.start("second", harness.latch.source + SOURCE, memory=256))
            warning = "second waiting: the memory budget of 256 MB (--memory-budget) is in use"
            await wait_until_async(lambda: warning in caplog.messages)
            assert not deployed.done()
            harness.engine.resume(harness.route("third", ""))
            harness.engine.remove(
                "third"
            )  # what may have changed makes the start try again, and it logs nothing new
            harness.latch.release()
            assert await running.body() == "first"
            second = await deployed
            assert memory_used(harness) == 256
            assert [await harness.call(route).body() for route in (first, second, first)] == [
                "first",
                "second",
                "first",
            ]
            assert caplog.messages.count(warning) == 1
            assert harness.exits == []
            assert memory_used(harness) == 256

    asyncio.run(work())


def test_start_is_given_up_with_the_last_request_that_needed_it(tmp_path: Path) -> None:
    async def work() -> None:
        async with asyncio.timeout(DEADLINE), open_local_engine(tmp_path, memory_budget=256) as harness:
            first = await harness.start("first", harness.latch.source + SOURCE, memory=256)
            running = harness.call(first, "/wait")
            await harness.wait_for_handlers(1)
            second = harness.route("second", SOURCE, memory=256, timeout=0.2)
            harness.engine.resume(second)
            assert await harness.call(second).failure_kind() is FailureKind.TIMEOUT
            harness.latch.release()
            assert await running.body() == "first"
            await wait_until_async(lambda: harness.metrics(second).starting == 0)
            assert (harness.metrics(first).idle, harness.metrics(second).idle) == (1, 0)

    asyncio.run(work())
