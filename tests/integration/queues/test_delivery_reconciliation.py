"""A delivery with an unknown outcome whose message a real broker delivers again."""

from __future__ import annotations

import asyncio
from pathlib import Path

from nats.js import JetStreamContext

from fnkit.platform.brokers.model import NatsBroker
from fnkit.platform.control.events.gateway_client import DeliveryTarget, GatewayClient
from fnkit.platform.control.events.queues.consumer import QueueConsumer
from fnkit.platform.control.events.queues.interface import Message, Prefetch
from fnkit.platform.control.events.queues.nats.connection import NatsConnections
from fnkit.platform.control.events.queues.nats.durable_consumers import ConsumerRegistry
from fnkit.platform.control.events.queues.nats.source import NatsMessageSource
from fnkit.platform.model.delivery import Delivery
from tests.support.queue_platform import connected_client, running_nats_server
from tests.support.scheduler_under_test import ManualMachineClock, SchedulerUnderTest, fake_gateway
from tests.support.stored_records import nats_source, nats_trigger_record, store_function
from tests.support.waiting import DEADLINE

_RECORD = nats_trigger_record("t", "orders")
_TARGET = DeliveryTarget(function_id="f-1", function="hello", host="hello", timeout=10.0, max_concurrency=1)


async def receive_message(source: NatsMessageSource, stream: JetStreamContext) -> Message:
    """Publish a message and receive it from the broker without acknowledging it."""
    prefetch, listening = Prefetch(), asyncio.Event()
    task = asyncio.ensure_future(source.listen(prefetch, lambda _description: listening.set()))
    await listening.wait()
    await stream.publish("orders", b"late")
    message = await prefetch.get()
    task.cancel()
    await asyncio.gather(task, return_exceptions=True)
    return message


async def unacknowledged_count(stream: JetStreamContext) -> int:
    return (await stream.consumer_info("ORDERS", "fnkit-t")).num_ack_pending or 0


async def redeliver_message(home: Path, url: str) -> None:
    control = SchedulerUnderTest(home, ManualMachineClock(1_800_000_000.0))
    store_function(control.store, "f-1")
    with control.store.transaction():
        control.store.triggers.insert(_RECORD)
    broker = NatsBroker(url=f"nats://{url.partition('@')[2]}", user="me", password="right")
    source = NatsMessageSource(
        NatsConnections(), broker, "t", nats_source("orders"), ConsumerRegistry(control.context)
    )
    gateway = GatewayClient(control.context.settings.delivery_socket)
    consumer = QueueConsumer(control.context, control.log, gateway, _RECORD, source, lambda _status: None)
    consumer.refresh(_RECORD, _TARGET)
    async with connected_client(url) as (_, stream), fake_gateway(home):
        await stream.add_stream(name="ORDERS", subjects=["orders"])
        message = await receive_message(source, stream)
        delivery = Delivery(
            id="delivery",
            kind="nats",
            name="orders",
            function="hello",
            at="t",
            cause="message",
            message_id=message.id,
        )
        control.log.record("t", delivery.finished("unknown", "not recorded"), b"")
        await message.nack(0)
        consumer.start()
        async with asyncio.timeout(DEADLINE):
            while await unacknowledged_count(stream):
                pass
        await consumer.stop(1.0)
        (found,) = [record for record, _ in control.log.table().page("t", limit=9)]
    gateway.close()
    await control.kill()
    assert (found.message_id, found.id) == (message.id, "delivery")
    assert (found.status, found.attempts, found.error) == ("succeeded", 1, "")


def test_redelivered_message_updates_its_unknown_delivery_record(tmp_path: Path) -> None:
    with running_nats_server(tmp_path / "broker") as broker:
        asyncio.run(redeliver_message(tmp_path, broker.url))
