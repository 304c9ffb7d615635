"""NATS messages of every shape, and streams that are not as simple as one subject."""

from __future__ import annotations

import asyncio
from collections import Counter
from collections.abc import Iterator

import pytest
from nats.aio.client import Client
from nats.js import JetStreamContext
from nats.js.api import AckPolicy, RetentionPolicy
from nats.js.errors import NotFoundError

from fnkit.contract.invocation.event import decode_text
from tests.support.queue_platform import QueuePlatform, connected_client, queue_platform
from tests.support.waiting import DEADLINE, wait_until, wait_until_async

pytestmark = pytest.mark.slow

LARGEST = 1024 * 1024  # nats-server's max_payload
BINARY = bytes(range(256))


@pytest.fixture(scope="module")
def platform(tmp_path_factory: pytest.TempPathFactory) -> Iterator[QueuePlatform]:
    with queue_platform(tmp_path_factory.mktemp("messages")) as running:
        yield running


async def settled(stream: JetStreamContext, name: str, trigger: str) -> None:
    """Return when everything in a stream was acknowledged."""

    async def is_settled() -> bool:
        found = await stream.consumer_info(name, f"fnkit-{trigger}")
        return (found.num_pending, found.num_ack_pending) == (0, 0)

    await wait_until_async(is_settled, what=f"the consumer of {name} is drained")


async def publish_every_shape(client: Client, subject: str) -> None:
    """See ``EVERY_SHAPE``; the binary one is no text, as any request's body may be none."""
    await client.publish(subject, b"plain")
    await client.publish(subject, b"with headers", headers={"X-Mine": "1", "Nats-Msg-Id": "7"})
    await client.publish(subject, b"")
    # As brokers mark what is no message: these are.
    await client.publish(subject, b"", headers={"Status": "100"})
    await client.publish(subject, b"", headers={"Status": "409", "Nats-Pending-Messages": "4"})
    await client.publish(subject, b"", headers={"Status": "404", "Description": "No Messages"})
    await client.publish(subject, BINARY)
    await client.publish(subject, b"x" * LARGEST)
    await client.flush()


EVERY_SHAPE = Counter(["plain", "with headers", "", "", "", "", decode_text(BINARY), "x" * LARGEST])


def test_a_stream_s_messages_of_every_shape_are_handled_once_and_acknowledged(platform: QueuePlatform) -> None:
    function = platform.deploy()

    async def scenario() -> str:
        async with connected_client(platform.url) as (client, stream):
            await stream.add_stream(name="SHAPES", subjects=["shapes.>"])
            trigger = platform.create_listening_trigger(function, "shapes.*.all")
            await publish_every_shape(client, "shapes.of.all")
            await asyncio.to_thread(platform.wait_for_messages, function, EVERY_SHAPE.total())
            await settled(stream, "SHAPES", trigger)
            return trigger

    trigger = asyncio.run(scenario())
    assert Counter(platform.handled_bodies(function)) == EVERY_SHAPE
    assert {one["status"] for one in platform.deliveries(trigger)} == {"succeeded"}
    assert "Traceback" not in platform.log


def test_a_subject_s_messages_of_every_shape_are_handled_once_and_no_reply_is_sent(platform: QueuePlatform) -> None:
    function = platform.deploy()
    trigger = platform.create_listening_trigger(function, "unkept.shapes")

    async def scenario() -> None:
        async with connected_client(platform.url) as (client, _):
            inbox = client.new_inbox()
            replies = await client.subscribe(inbox)
            await publish_every_shape(client, "unkept.shapes")
            await client.publish("unkept.shapes", b"answer me", reply=inbox)
            await client.flush()
            await asyncio.to_thread(platform.wait_for_messages, function, EVERY_SHAPE.total() + 1)
            wait_until(lambda: len(platform.deliveries(trigger)) == EVERY_SHAPE.total() + 1, DEADLINE)
            await client.publish(inbox, b"the first and only one")
            assert (await replies.next_msg(DEADLINE)).data == b"the first and only one"

    asyncio.run(scenario())
    assert Counter(platform.handled_bodies(function)) == EVERY_SHAPE + Counter(["answer me"])


def test_what_is_purged_is_not_handled_and_what_comes_after_is(platform: QueuePlatform) -> None:
    function = platform.create_function()

    async def scenario() -> None:
        async with connected_client(platform.url) as (client, stream):
            await stream.add_stream(name="PURGED", subjects=["purged"])
            trigger = platform.create_listening_trigger(function, "purged")
            for number in range(20):
                await client.publish("purged", b"old %d" % number)
            await client.flush()
            await stream.purge_stream("PURGED")
            await stream.publish("purged", b"new")
            await asyncio.to_thread(platform.deploy_code, function, "def respond(event):\n    return 'ok'\n")
            await asyncio.to_thread(platform.wait_for_messages, function, 1)
            await settled(stream, "PURGED", trigger)

    asyncio.run(scenario())
    assert platform.handled_bodies(function) == ["new"]


def test_a_subject_that_only_several_streams_cover_together_is_heard_once_and_says_at_most_once(
    platform: QueuePlatform,
) -> None:
    function = platform.deploy()

    async def scenario() -> str:
        async with connected_client(platform.url) as (client, stream):
            await stream.add_stream(name="PART-A", subjects=["parts.a"])
            await stream.add_stream(name="PART-B", subjects=["parts.b.>"])
            trigger = platform.create_listening_trigger(function, "parts.>")
            for subject in ("parts.a", "parts.b.c", "parts.elsewhere"):
                await client.publish(subject, subject.encode())
            await client.flush()
            await asyncio.to_thread(platform.wait_for_messages, function, 3)
            return trigger

    trigger = asyncio.run(scenario())
    assert sorted(platform.handled_bodies(function)) == ["parts.a", "parts.b.c", "parts.elsewhere"]
    assert f"{trigger} (parts--): no stream covers parts.>: each message is delivered at most once" in platform.log


def test_a_consumer_that_is_deleted_again_and_again_loses_nothing(platform: QueuePlatform) -> None:
    function = platform.deploy()

    async def deleted(stream: JetStreamContext, consumer: str) -> None:
        async def is_deleted() -> bool:
            try:
                await stream.delete_consumer("TORN", consumer)
            except NotFoundError:  # deleted before, and not yet recreated
                return False
            return True

        await wait_until_async(is_deleted, what=f"the consumer {consumer} is deleted")

    async def scenario() -> None:
        async with connected_client(platform.url) as (_, stream):
            await stream.add_stream(name="TORN", subjects=["torn"])
            trigger = platform.create_listening_trigger(function, "torn")
            for round_number in range(3):
                for number in range(10):
                    await stream.publish("torn", b"%d" % (round_number * 10 + number))
                await deleted(stream, f"fnkit-{trigger}")
                await asyncio.to_thread(platform.wait_for_messages, function, (round_number + 1) * 10)

    asyncio.run(scenario())
    assert Counter(platform.handled_bodies(function)) == Counter(str(number) for number in range(30))


def test_a_stream_that_takes_no_consumer_is_named_with_its_reason_and_heard_once_it_does(
    platform: QueuePlatform,
) -> None:
    function = platform.deploy()

    async def scenario() -> None:
        async with connected_client(platform.url) as (_, stream):
            await stream.add_stream(name="TAKEN", subjects=["taken"], retention=RetentionPolicy.WORK_QUEUE)
            await stream.add_consumer("TAKEN", durable_name="other", ack_policy=AckPolicy.EXPLICIT)
            trigger = platform.create_trigger(function, "taken")
            wait_until(lambda: platform.api.get("triggers", trigger)["status"] == "error", DEADLINE)
            assert platform.api.get("triggers", trigger)["error_message"] == (
                "stream TAKEN does not accept a consumer for this trigger: "
                "filtered consumer not unique on workqueue stream"
            )
            await stream.publish("taken", b"there before")
            await stream.delete_consumer("TAKEN", "other")
            await asyncio.to_thread(platform.wait_for_messages, function, 1)
            await settled(stream, "TAKEN", trigger)

    asyncio.run(scenario())
    assert platform.handled_bodies(function) == ["there before"]
