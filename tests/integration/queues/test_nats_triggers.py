"""NATS triggers on the platform's own broker: what a handler sees, what is retried, what never blocks what."""

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


async def pending(stream: JetStreamContext, name: str, trigger: str) -> tuple[int, int]:
    """Messages that were not handed out, and that were and are not acknowledged."""
    found = await stream.consumer_info(name, f"fnkit-{trigger}")
    return found.num_pending or 0, found.num_ack_pending or 0


async def drained(stream: JetStreamContext, name: str, trigger: str) -> None:
    async def is_drained() -> bool:
        return await pending(stream, name, trigger) == (0, 0)

    await wait_until_async(is_drained, what=f"the consumer of {name} is drained")


def most_at_once(begins: list[RecordedCall], ends: list[RecordedCall]) -> int:
    steps = sorted([(call.time, 1) for call in begins] + [(call.time, -1) for call in ends])
    running = most = 0
    for _, step in steps:
        running += step
        most = max(most, running)
    return most


def test_a_message_is_one_post_to_a_private_function(platform: QueuePlatform) -> None:
    function = platform.deploy(privacy="private")

    async def scenario() -> None:
        async with connected_client(platform.url) as (client, stream):
            await stream.add_stream(name="ONE", subjects=["one.>"])
            trigger = platform.create_listening_trigger(function, "one.created")
            await client.publish("one.created", b'{"n": 1}', headers={"X-Mine": "1"})
            await client.flush()
            await asyncio.to_thread(platform.wait_for_messages, function, 1)
            await drained(stream, "ONE", trigger)

    asyncio.run(scenario())
    event = platform.calls(function)[0].event
    headers = event["headers"]
    assert isinstance(headers, dict)
    assert (event["httpMethod"], event["path"], event["body"]) == ("POST", "/", '{"n": 1}')
    assert headers["User-Agent"] == "ScalewayServerlessOrchestrator/1.0"
    assert headers["Content-Type"] == "text/plain; charset=utf-8"
    assert "X-Mine" not in headers


def test_what_fails_four_times_is_dead_and_can_be_replayed(platform: QueuePlatform) -> None:
    function = platform.deploy(FAILS_BAD_MESSAGES)

    async def scenario() -> str:
        async with connected_client(platform.url) as (_, stream):
            await stream.add_stream(name="BAD", subjects=["bad"])
            trigger = platform.create_listening_trigger(function, "bad")
            await stream.publish("bad", b"bad news")
            await asyncio.to_thread(platform.wait_for_messages, function, 4)
            await drained(stream, "BAD", trigger)
            return trigger

    trigger = asyncio.run(scenario())
    wait_until(lambda: platform.deliveries(trigger)[0]["status"] == "dead", DEADLINE)
    dead = platform.deliveries(trigger)[0]
    assert (dead["attempts"], dead["http_status"], dead["body"]) == (4, 500, "bad news")
    gaps = [later.time - earlier.time for earlier, later in pairwise(platform.calls(function))]
    assert min(gaps) >= 0.45  # 30 s at 60 times the speed
    platform.deploy_code(function, "def respond(event):\n    return 'ok'\n")
    path = f"/fnkit/v1/regions/fr-par/triggers/{trigger}/replay"
    platform.api.request("POST", path, {"status": "dead"}).ok()
    wait_until(lambda: platform.deliveries(trigger)[0]["status"] == "succeeded", DEADLINE)


def test_messages_that_always_fail_never_block_others(tmp_path: Path) -> None:
    """While the clock stands no message is due a second time: the good ones do not wait until the bad ones are."""
    bad, good = [f"bad {number}" for number in range(40)], [f"good {number}" for number in range(60)]
    with queue_platform(tmp_path, "--manual-clock") as platform:
        function = platform.deploy(FAILS_BAD_MESSAGES)

        async def scenario() -> str:
            async with connected_client(platform.url) as (client, stream):
                await stream.add_stream(name="POISON", subjects=["poison"])
                trigger = platform.create_listening_trigger(function, "poison")
                for body in (*bad, *good):
                    await client.publish("poison", body.encode())
                await client.flush()
                for attempt in range(1, 5):
                    bodies = await asyncio.to_thread(platform.wait_for_messages, function, 60 + 40 * attempt)
                    assert Counter(bodies) == Counter(bad * attempt + good)
                    await asyncio.to_thread(wait_until, partial(tried, platform, trigger, attempt))
                    platform.advance(31)
                await drained(stream, "POISON", trigger)
                return trigger

        trigger = asyncio.run(scenario())
        assert len(platform.deliveries(trigger, status="dead", limit=100)) == 40


def tried(platform: QueuePlatform, trigger: str, attempts: int) -> bool:
    """Whether the log says that 40 messages failed so often."""
    failed = [one for one in platform.deliveries(trigger, limit=100) if one["http_status"] == 500]
    return [one["attempts"] for one in failed] == [attempts] * 40


def test_at_most_ten_are_in_flight(platform: QueuePlatform) -> None:
    with handler_latch() as latch:
        waits = latch.source + "def respond(event):\n    wait_for_latch()\n    return 'ok'\n"
        function = platform.deploy(waits, max_scale=20, memory=128)

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
                await drained(stream, "TEN", trigger)

        asyncio.run(scenario())
    assert most_at_once(platform.calls(function), platform.calls(function, "end")) == 10


def test_nothing_is_pulled_that_cannot_be_handed_over(platform: QueuePlatform) -> None:
    function = platform.deploy(sleeping_handler(0.25), max_scale=1)

    async def scenario() -> int:
        async with connected_client(platform.url) as (client, stream):
            await stream.add_stream(name="SLOW", subjects=["slow"])
            trigger = platform.create_listening_trigger(function, "slow")
            for number in range(8):
                await client.publish("slow", b"%d" % number)
            await client.flush()
            most = 0
            while len(platform.handled_bodies(function)) < 8:
                most = max(most, (await pending(stream, "SLOW", trigger))[1])
            return most

    assert asyncio.run(scenario()) <= 2  # JetStream may hand out the next before it has noted an acknowledgement
    assert most_at_once(platform.calls(function), platform.calls(function, "end")) == 1


def test_a_function_that_is_not_deployed_yet_loses_nothing(platform: QueuePlatform) -> None:
    function = platform.create_function()

    async def scenario() -> None:
        async with connected_client(platform.url) as (_, stream):
            await stream.add_stream(name="EARLY", subjects=["early"])
            trigger = platform.create_listening_trigger(function, "early")
            for number in range(5):
                await stream.publish("early", b"%d" % number)
            assert await pending(stream, "EARLY", trigger) == (5, 0)
            await asyncio.to_thread(platform.deploy_code, function, "def respond(event):\n    return 'ok'\n")
            await asyncio.to_thread(platform.wait_for_messages, function, 5)

    asyncio.run(scenario())
    assert sorted(platform.handled_bodies(function)) == ["0", "1", "2", "3", "4"]


def test_a_subject_without_a_stream_is_delivered_at_most_once_and_says_so(platform: QueuePlatform) -> None:
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


def test_a_trigger_takes_its_consumer_with_it_and_so_does_its_function(platform: QueuePlatform) -> None:
    function = platform.deploy()

    async def scenario() -> None:
        async with connected_client(platform.url) as (_, stream):
            await stream.add_stream(name="ENDS", subjects=["ends.>"])
            first, second = (
                platform.create_listening_trigger(function, "ends.a"),
                platform.create_listening_trigger(function, "ends.b"),
            )
            platform.api.request("DELETE", f"{API}/triggers/{first}").ok()
            await gone(stream, first)
            assert await pending(stream, "ENDS", second) == (0, 0)
            platform.api.request("DELETE", f"{API}/functions/{function}").ok()
            await gone(stream, second)

    async def gone(stream: JetStreamContext, trigger: str) -> None:
        async def is_deleted() -> bool:
            try:
                await pending(stream, "ENDS", trigger)
            except NotFoundError:
                return True
            return False

        await wait_until_async(is_deleted, what=f"the consumer of {trigger} is deleted")

    asyncio.run(scenario())


def test_a_consumer_that_somebody_deleted_is_made_again(platform: QueuePlatform) -> None:
    function = platform.deploy()

    async def scenario() -> None:
        async with connected_client(platform.url) as (_, stream):
            await stream.add_stream(name="REMADE", subjects=["remade"])
            trigger = platform.create_listening_trigger(function, "remade")
            await stream.publish("remade", b"before")
            await asyncio.to_thread(platform.wait_for_messages, function, 1)
            await stream.delete_consumer("REMADE", f"fnkit-{trigger}")
            await stream.publish("remade", b"after")
            await asyncio.to_thread(platform.wait_for_messages, function, 2)

    asyncio.run(scenario())
    assert platform.handled_bodies(function) == ["before", "after"]
