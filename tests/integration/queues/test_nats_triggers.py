"""NATS triggers on the bundled broker: requests to handlers, retries, concurrency and consumers."""

from __future__ import annotations

import asyncio
from collections import Counter
from collections.abc import Iterator
from functools import partial
from itertools import pairwise
from pathlib import Path

import pytest
from nats.js import JetStreamContext
from nats.js.errors import NotFoundError

from tests.support.control_process import API
from tests.support.handler_latch import handler_latch
from tests.support.queue_platform import (
    FAILS_BAD_MESSAGES,
    QueuePlatform,
    connected_client,
    queue_platform,
    sleeping_handler,
)
from tests.support.recording_handlers import RecordedCall
from tests.support.waiting import DEADLINE, wait_until, wait_until_async

pytestmark = pytest.mark.slow


@pytest.fixture(scope="module")
def platform(tmp_path_factory: pytest.TempPathFactory) -> Iterator[QueuePlatform]:
    with queue_platform(tmp_path_factory.mktemp("queues")) as running:
        yield running


async def pending_counts(stream: JetStreamContext, name: str, trigger: str) -> tuple[int, int]:
    """Return how many messages are undelivered, and how many are delivered but unacknowledged."""
    info = await stream.consumer_info(name, f"fnkit-{trigger}")
    return info.num_pending or 0, info.num_ack_pending or 0


async def wait_until_drained(stream: JetStreamContext, name: str, trigger: str) -> None:
    async def is_drained() -> bool:
        return await pending_counts(stream, name, trigger) == (0, 0)

    await wait_until_async(is_drained, what=f"the consumer of {name} is drained")


def max_concurrency(begins: list[RecordedCall], ends: list[RecordedCall]) -> int:
    steps = sorted([(call.time, 1) for call in begins] + [(call.time, -1) for call in ends])
    running = highest = 0
    for _, step in steps:
        running += step
        highest = max(highest, running)
    return highest


def test_message_is_delivered_to_private_function_as_one_post(platform: QueuePlatform) -> None:
    function = platform.deploy(privacy="private")

    async def scenario() -> None:
        async with connected_client(platform.url) as (client, stream):
            await stream.add_stream(name="ONE", subjects=["one.>"])
            trigger = platform.create_listening_trigger(function, "one.created")
            await client.publish("one.created", b'{"n": 1}', headers={"X-Mine": "1"})
            await client.flush()
            await asyncio.to_thread(platform.wait_for_messages, function, 1)
            await wait_until_drained(stream, "ONE", trigger)

    asyncio.run(scenario())
    event = platform.calls(function)[0].event
    headers = event["headers"]
    assert isinstance(headers, dict)
    assert (event["httpMethod"], event["path"], event["body"]) == ("POST", "/", '{"n": 1}')
    assert headers["User-Agent"] == "ScalewayServerlessOrchestrator/1.0"
    assert headers["Content-Type"] == "text/plain; charset=utf-8"
    assert "X-Mine" not in headers


def test_message_is_dead_after_four_failures_and_replayable(platform: QueuePlatform) -> None:
    function = platform.deploy(FAILS_BAD_MESSAGES)

    async def scenario() -> str:
        async with connected_client(platform.url) as (_, stream):
            await stream.add_stream(name="BAD", subjects=["bad"])
            trigger = platform.create_listening_trigger(function, "bad")
            await stream.publish("bad", b"bad news")
            await asyncio.to_thread(platform.wait_for_messages, function, 4)
            await wait_until_drained(stream, "BAD", trigger)
            return trigger

    trigger = asyncio.run(scenario())
    wait_until(lambda: platform.deliveries(trigger)[0]["status"] == "dead", DEADLINE)
    dead = platform.deliveries(trigger)[0]
    assert (dead["attempts"], dead["http_status"], dead["body"]) == (4, 500, "bad news")
    gaps = [later.time - earlier.time for earlier, later in pairwise(platform.calls(function))]
    assert min(gaps) >= 0.45  # 30 s on a clock that runs 60 times as fast
    platform.deploy_code(function, "def respond(event):\n    return 'ok'\n")
    path = f"/fnkit/v1/regions/fr-par/triggers/{trigger}/replay"
    platform.api.request("POST", path, {"status": "dead"}).ok()
    wait_until(lambda: platform.deliveries(trigger)[0]["status"] == "succeeded", DEADLINE)


@pytest.mark.long
def test_messages_that_always_fail_never_block_others(tmp_path: Path) -> None:
    """The clock is stopped, so that no retry is due before all messages were attempted once."""
    bad, good = [f"bad {number}" for number in range(40)], [f"good {number}" for number in range(60)]
    with queue_platform(tmp_path, "--manual-clock") as platform:
        function = platform.deploy(FAILS_BAD_MESSAGES)

        async def scenario() -> str:
            async with connected_client(platform.url) as (client, stream):
                await stream.add_stream(name="FAILING", subjects=["failing"])
                trigger = platform.create_listening_trigger(function, "failing")
                for body in (*bad, *good):
                    await client.publish("failing", body.encode())
                await client.flush()
                for attempt in range(1, 5):
                    bodies = await asyncio.to_thread(platform.wait_for_messages, function, 60 + 40 * attempt)
                    assert Counter(bodies) == Counter(bad * attempt + good)
                    await asyncio.to_thread(wait_until, partial(has_attempts, platform, trigger, attempt))
                    platform.advance(31)
                await wait_until_drained(stream, "FAILING", trigger)
                return trigger

        trigger = asyncio.run(scenario())
        assert len(platform.deliveries(trigger, status="dead", limit=100)) == 40


def has_attempts(platform: QueuePlatform, trigger: str, attempts: int) -> bool:
    """Whether 40 deliveries failed, each with that number of attempts."""
    failed = [one for one in platform.deliveries(trigger, limit=100) if one["http_status"] == 500]
    return [one["attempts"] for one in failed] == [attempts] * 40


def test_at_most_ten_messages_are_in_flight(platform: QueuePlatform) -> None:
    with handler_latch() as latch:
        handler = latch.source + "def respond(event):\n    wait_for_latch()\n    return 'ok'\n"
        function = platform.deploy(handler, max_scale=20, memory=128)

        async def scenario() -> None:
            async with connected_client(platform.url) as (client, stream):
                await stream.add_stream(name="TEN", subjects=["ten"])
                trigger = platform.create_listening_trigger(function, "ten")
                for number in range(80):
                    await client.publish("ten", b"%d" % number)
                await client.flush()
                await asyncio.to_thread(wait_until, lambda: latch.waiting_count == 10)
                latch.release()
                await asyncio.to_thread(platform.wait_for_messages, function, 80)
                await wait_until_drained(stream, "TEN", trigger)

        asyncio.run(scenario())
    assert max_concurrency(platform.calls(function), platform.calls(function, "end")) == 10


@pytest.mark.long
def test_no_message_is_pulled_without_a_free_delivery_slot(platform: QueuePlatform) -> None:
    function = platform.deploy(sleeping_handler(0.25), max_scale=1)

    async def scenario() -> int:
        async with connected_client(platform.url) as (client, stream):
            await stream.add_stream(name="SLOW", subjects=["slow"])
            trigger = platform.create_listening_trigger(function, "slow")
            for number in range(8):
                await client.publish("slow", b"%d" % number)
            await client.flush()
            unacknowledged = 0
            while len(platform.handled_bodies(function)) < 8:
                unacknowledged = max(unacknowledged, (await pending_counts(stream, "SLOW", trigger))[1])
            return unacknowledged

    # Two, because JetStream may deliver the next message before it has processed an acknowledgement.
    assert asyncio.run(scenario()) <= 2
    assert max_concurrency(platform.calls(function), platform.calls(function, "end")) == 1


def test_messages_stay_in_stream_until_function_is_deployed(platform: QueuePlatform) -> None:
    function = platform.create_function()

    async def scenario() -> None:
        async with connected_client(platform.url) as (_, stream):
            await stream.add_stream(name="EARLY", subjects=["early"])
            trigger = platform.create_listening_trigger(function, "early")
            for number in range(5):
                await stream.publish("early", b"%d" % number)
            assert await pending_counts(stream, "EARLY", trigger) == (5, 0)
            await asyncio.to_thread(platform.deploy_code, function, "def respond(event):\n    return 'ok'\n")
            await asyncio.to_thread(platform.wait_for_messages, function, 5)

    asyncio.run(scenario())
    assert sorted(platform.handled_bodies(function)) == ["0", "1", "2", "3", "4"]


def test_subject_without_stream_is_delivered_at_most_once(platform: QueuePlatform) -> None:
    function = platform.deploy(FAILS_BAD_MESSAGES)
    trigger = platform.create_listening_trigger(function, "news.*")

    async def scenario() -> None:
        async with connected_client(platform.url) as (client, _):
            await client.publish("news.today", b"good")
            await client.publish("news.today", b"bad")
            await client.flush()
            await asyncio.to_thread(platform.wait_for_messages, function, 5)

    asyncio.run(scenario())
    assert f"{trigger} (news--): no stream covers news.*: each message is delivered at most once" in platform.log
    assert sorted(platform.handled_bodies(function)) == ["bad"] * 4 + ["good"]
    wait_until(lambda: {one["status"] for one in platform.deliveries(trigger)} == {"succeeded", "dead"}, DEADLINE)


def test_deleting_trigger_or_function_deletes_consumer(platform: QueuePlatform) -> None:
    function = platform.deploy()

    async def scenario() -> None:
        async with connected_client(platform.url) as (_, stream):
            await stream.add_stream(name="DELETED", subjects=["deleted.>"])
            first, second = (
                platform.create_listening_trigger(function, "deleted.a"),
                platform.create_listening_trigger(function, "deleted.b"),
            )
            platform.api.request("DELETE", f"{API}/triggers/{first}").ok()
            await wait_until_deleted(stream, first)
            assert await pending_counts(stream, "DELETED", second) == (0, 0)
            platform.api.request("DELETE", f"{API}/functions/{function}").ok()
            await wait_until_deleted(stream, second)

    async def wait_until_deleted(stream: JetStreamContext, trigger: str) -> None:
        async def is_deleted() -> bool:
            try:
                await pending_counts(stream, "DELETED", trigger)
            except NotFoundError:
                return True
            return False

        await wait_until_async(is_deleted, what=f"the consumer of {trigger} is deleted")

    asyncio.run(scenario())


def test_deleted_consumer_is_recreated(platform: QueuePlatform) -> None:
    function = platform.deploy()

    async def scenario() -> None:
        async with connected_client(platform.url) as (_, stream):
            await stream.add_stream(name="RECREATED", subjects=["recreated"])
            trigger = platform.create_listening_trigger(function, "recreated")
            await stream.publish("recreated", b"before")
            await asyncio.to_thread(platform.wait_for_messages, function, 1)
            await stream.delete_consumer("RECREATED", f"fnkit-{trigger}")
            await stream.publish("recreated", b"after")
            await asyncio.to_thread(platform.wait_for_messages, function, 2)

    asyncio.run(scenario())
    assert platform.handled_bodies(function) == ["before", "after"]
