"""NATS messages with unusual payloads and headers, and streams with unusual configurations."""

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
from tests.support.queue_platform import QueuePlatform, connected_client, queue_platform, wait_until_acknowledged
from tests.support.waiting import DEADLINE, wait_until, wait_until_async

pytestmark = pytest.mark.slow

LARGEST = 1024 * 1024  # nats-server's max_payload
BINARY = bytes(range(256))


@pytest.fixture(scope="module")
def platform(tmp_path_factory: pytest.TempPathFactory) -> Iterator[QueuePlatform]:
    with queue_platform(tmp_path_factory.mktemp("messages")) as running:
        yield running


async def publish_payloads(client: Client, subject: str) -> None:
    """Publish a message for each of ``PAYLOADS``; the binary one is not valid UTF-8."""
    await client.publish(subject, b"plain")
    await client.publish(subject, b"with headers", headers={"X-Mine": "1", "Nats-Msg-Id": "7"})
    await client.publish(subject, b"")
    # Brokers use these headers for control messages; published ones are ordinary messages.
    await client.publish(subject, b"", headers={"Status": "100"})
    await client.publish(subject, b"", headers={"Status": "409", "Nats-Pending-Messages": "4"})
    await client.publish(subject, b"", headers={"Status": "404", "Description": "No Messages"})
    await client.publish(subject, BINARY)
    await client.publish(subject, b"x" * LARGEST)
    await client.flush()


PAYLOADS = Counter(["plain", "with headers", "", "", "", "", decode_text(BINARY), "x" * LARGEST])


def test_stream_messages_of_any_payload_are_delivered_once_and_acked(platform: QueuePlatform) -> None:
    function = platform.deploy()

    async def scenario() -> str:
        async with connected_client(platform.url) as (client, stream):
            await stream.add_stream(name="PAYLOADS", subjects=["payloads.>"])
            trigger = platform.create_listening_trigger(function, "payloads.*.all")
            await publish_payloads(client, "payloads.of.all")
            await asyncio.to_thread(platform.wait_for_messages, function, PAYLOADS.total())
            await wait_until_acknowledged(stream, "PAYLOADS", trigger)
            return trigger

    trigger = asyncio.run(scenario())
    assert Counter(platform.handled_bodies(function)) == PAYLOADS
    assert {one["status"] for one in platform.deliveries(trigger)} == {"succeeded"}
    assert "Traceback" not in platform.log


def test_core_messages_of_any_payload_are_delivered_once_without_reply(platform: QueuePlatform) -> None:
    function = platform.deploy()
    trigger = platform.create_listening_trigger(function, "unpersisted.payloads")

    async def scenario() -> None:
        async with connected_client(platform.url) as (client, _):
            inbox = client.new_inbox()
            replies = await client.subscribe(inbox)
            await publish_payloads(client, "unpersisted.payloads")
            await client.publish("unpersisted.payloads", b"reply requested", reply=inbox)
            await client.flush()
            await asyncio.to_thread(platform.wait_for_messages, function, PAYLOADS.total() + 1)
            wait_until(lambda: len(platform.deliveries(trigger)) == PAYLOADS.total() + 1, DEADLINE)
            await client.publish(inbox, b"only reply")
            assert (await replies.next_msg(DEADLINE)).data == b"only reply"

    asyncio.run(scenario())
    assert Counter(platform.handled_bodies(function)) == PAYLOADS + Counter(["reply requested"])


def test_purged_messages_are_not_delivered(platform: QueuePlatform) -> None:
    function = platform.create_function()

    async def scenario() -> None:
        async with connected_client(platform.url) as (_, stream):
            await stream.add_stream(name="PURGED", subjects=["purged"])
            trigger = platform.create_listening_trigger(function, "purged")
            await wait_until_async(lambda: platform.last_status(trigger).startswith("stream PURGED:"))
            for number in range(20):
                await stream.publish("purged", b"old %d" % number)  # acknowledged: the stream has it
            await stream.purge_stream("PURGED")
            await stream.publish("purged", b"new")
            await asyncio.to_thread(platform.deploy_code, function, "def respond(event):\n    return 'ok'\n")
            await asyncio.to_thread(platform.wait_for_messages, function, 1)
            await wait_until_acknowledged(stream, "PURGED", trigger)

    asyncio.run(scenario())
    assert platform.handled_bodies(function) == ["new"]


def test_subject_not_covered_by_one_stream_is_delivered_at_most_once(platform: QueuePlatform) -> None:
    function = platform.deploy()

    async def scenario() -> str:
        async with connected_client(platform.url) as (client, stream):
            await stream.add_stream(name="PART-A", subjects=["parts.a"])
            await stream.add_stream(name="PART-B", subjects=["parts.b.>"])
            trigger = platform.create_listening_trigger(function, "parts.>")
            for subject in ("parts.a", "parts.b.c", "parts.uncovered"):
                await client.publish(subject, subject.encode())
            await client.flush()
            await asyncio.to_thread(platform.wait_for_messages, function, 3)
            return trigger

    trigger = asyncio.run(scenario())
    assert sorted(platform.handled_bodies(function)) == ["parts.a", "parts.b.c", "parts.uncovered"]
    assert f"{trigger} (parts--): no stream covers parts.>: each message is delivered at most once" in platform.log


def test_repeated_consumer_deletion_loses_no_messages(platform: QueuePlatform) -> None:
    function = platform.deploy()

    async def delete_consumer(stream: JetStreamContext, consumer: str) -> None:
        async def is_deleted() -> bool:
            try:
                await stream.delete_consumer("RECREATED", consumer)
            except NotFoundError:  # the platform has not recreated it yet
                return False
            return True

        await wait_until_async(is_deleted, what=f"the consumer {consumer} is deleted")

    async def scenario() -> None:
        async with connected_client(platform.url) as (_, stream):
            await stream.add_stream(name="RECREATED", subjects=["recreated"])
            trigger = platform.create_listening_trigger(function, "recreated")
            for round_number in range(3):
                for number in range(10):
                    await stream.publish("recreated", b"%d" % (round_number * 10 + number))
                await delete_consumer(stream, f"fnkit-{trigger}")
                await asyncio.to_thread(platform.wait_for_messages, function, (round_number + 1) * 10)

    asyncio.run(scenario())
    assert Counter(platform.handled_bodies(function)) == Counter(str(number) for number in range(30))


def test_stream_that_rejects_the_consumer_sets_error_until_it_accepts(platform: QueuePlatform) -> None:
    function = platform.deploy()

    async def scenario() -> None:
        async with connected_client(platform.url) as (_, stream):
            await stream.add_stream(name="REJECTING", subjects=["rejecting"], retention=RetentionPolicy.WORK_QUEUE)
            await stream.add_consumer("REJECTING", durable_name="other", ack_policy=AckPolicy.EXPLICIT)
            trigger = platform.create_trigger(function, "rejecting")
            wait_until(lambda: platform.api.get("triggers", trigger)["status"] == "error", DEADLINE)
            assert platform.api.get("triggers", trigger)["error_message"] == (
                "stream REJECTING does not accept a consumer for this trigger: "
                "filtered consumer not unique on workqueue stream"
            )
            await stream.publish("rejecting", b"published before")
            await stream.delete_consumer("REJECTING", "other")
            await asyncio.to_thread(platform.wait_for_messages, function, 1)
            await wait_until_acknowledged(stream, "REJECTING", trigger)

    asyncio.run(scenario())
    assert platform.handled_bodies(function) == ["published before"]
