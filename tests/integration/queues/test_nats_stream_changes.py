"""Streams that are created, deleted or recreated while a trigger consumes their subject."""

from __future__ import annotations

import asyncio
from collections import Counter
from collections.abc import Iterator

import pytest

from tests.support.queue_platform import (
    QueuePlatform,
    connected_client,
    queue_platform,
    sleeping_handler,
    wait_until_acknowledged,
)
from tests.support.waiting import DEADLINE, wait_until

pytestmark = pytest.mark.slow

BURST = 150


@pytest.fixture(scope="module")
def platform(tmp_path_factory: pytest.TempPathFactory) -> Iterator[QueuePlatform]:
    with queue_platform(tmp_path_factory.mktemp("stream-changes")) as running:
        yield running


def wait_for_stream(platform: QueuePlatform, trigger: str, stream: str) -> None:
    wait_until(lambda: platform.last_status(trigger).startswith(f"stream {stream}:"), DEADLINE, what=stream)


@pytest.mark.parametrize("retention", ["limits", "workqueue", "interest"])
def test_trigger_switches_to_new_stream_without_losing_messages(platform: QueuePlatform, retention: str) -> None:
    function = platform.deploy(max_scale=10)
    trigger = platform.create_listening_trigger(function, f"created.{retention}.*")

    async def scenario() -> None:
        async with connected_client(platform.url) as (client, streams):
            await client.publish(f"created.{retention}.a", b"before")
            await client.flush()
            platform.wait_for_messages(function, 1)
            await streams.add_stream(
                name=f"created-{retention}", subjects=[f"created.{retention}.>"], retention=retention
            )
            for number in range(BURST):
                await client.publish(f"created.{retention}.b", b"%d" % number)
            await client.flush()
            wait_for_stream(platform, trigger, f"created-{retention}")
            for number in range(BURST):
                await streams.publish(f"created.{retention}.c", b"after %d" % number)
        wait_until(lambda: set(platform.handled_bodies(function)) >= expected, DEADLINE, what="all messages")

    # These arrive through both the core subscription and the stream.
    during = {str(number) for number in range(BURST)}
    after = {f"after {number}" for number in range(BURST)}
    expected = {"before"} | during | after
    asyncio.run(scenario())
    handled = Counter(platform.handled_bodies(function))
    assert handled.keys() == expected
    assert set(handled.values()) == {1}


def test_recreated_stream_is_consumed_from_its_first_message(platform: QueuePlatform) -> None:
    function = platform.deploy()

    async def scenario() -> None:
        async with connected_client(platform.url) as (_, streams):
            await streams.add_stream(name="again", subjects=["again.>"])
            trigger = platform.create_listening_trigger(function, "again.x")
            for number in range(20):
                await streams.publish("again.x", b"old %d" % number)
            platform.wait_for_messages(function, 20)
            # The advisory about this stream makes control record the ack floor, invalid for the recreated one.
            await streams.add_stream(name="other", subjects=["other.>"])
            await streams.delete_stream("again")
            wait_until(lambda: platform.last_status(trigger).startswith("no stream"), DEADLINE)
            platform.kill("control")
            await streams.add_stream(name="again", subjects=["again.>"])
            for number in range(10):
                await streams.publish("again.x", b"new %d" % number)
        platform.wait_for_messages(function, 30)

    asyncio.run(scenario())
    assert Counter(platform.handled_bodies(function)) == Counter(
        [*(f"old {number}" for number in range(20)), *(f"new {number}" for number in range(10))]
    )


def test_wildcard_trigger_receives_only_published_messages(platform: QueuePlatform) -> None:
    streamed, everything = platform.deploy(name="streamed"), platform.deploy(name="everything")

    async def scenario() -> None:
        async with connected_client(platform.url) as (client, streams):
            await streams.add_stream(name="beside", subjects=["beside.>"])
            platform.create_listening_trigger(streamed, "beside.x")
            platform.create_listening_trigger(everything, "*.>")
            await streams.publish("beside.x", b"persisted")
            platform.wait_for_messages(streamed, 1)
            await client.publish("streamless.y", b"unpersisted")
            await client.flush()
        platform.wait_for_messages(everything, 2)

    asyncio.run(scenario())
    assert sorted(platform.handled_bodies(everything)) == ["persisted", "unpersisted"]


@pytest.mark.long
def test_buffered_messages_survive_connection_loss(platform: QueuePlatform) -> None:
    function = platform.deploy(sleeping_handler(0.05), max_scale=2)
    trigger = platform.create_listening_trigger(function, "buffered.x")

    async def scenario() -> None:
        async with connected_client(platform.url) as (client, _):
            for number in range(60):
                await client.publish("buffered.x", b"%d" % number)
            await client.flush()
            platform.wait_for_messages(function, 2)
        platform.kill("nats")
        platform.wait_for_messages(function, 60)

    asyncio.run(scenario())
    assert Counter(platform.handled_bodies(function)) == Counter(map(str, range(60)))
    wait_until(lambda: platform.is_listening(trigger), DEADLINE)


def test_messages_published_right_after_their_stream_is_created_are_delivered_once(platform: QueuePlatform) -> None:
    function = platform.deploy(max_scale=10)
    subjects = [f"new{number}" for number in range(8)]
    triggers = {subject: platform.create_listening_trigger(function, subject) for subject in subjects}
    bodies = [f"{subject} {number}" for subject in subjects for number in range(5)]

    async def scenario() -> None:
        async with connected_client(platform.url) as (_, streams):
            for subject in subjects:
                await streams.add_stream(name=subject, subjects=[subject])
                for body in bodies:
                    if body.startswith(subject):
                        await streams.publish(subject, body.encode())
            for subject, trigger in triggers.items():
                wait_for_stream(platform, trigger, subject)
                await streams.publish(subject, f"{subject} last".encode())

    async def all_acknowledged() -> None:
        async with connected_client(platform.url) as (_, streams):
            for subject, trigger in triggers.items():
                await wait_until_acknowledged(streams, subject, trigger)

    asyncio.run(scenario())
    expected = Counter([*bodies, *(f"{subject} last" for subject in subjects)])
    # Messages of one trigger are handled concurrently, so the last one may be handled before earlier ones.
    wait_until(lambda: set(platform.handled_bodies(function)) >= set(expected), DEADLINE, what="all messages")
    asyncio.run(all_acknowledged())
    assert Counter(platform.handled_bodies(function)) == expected
