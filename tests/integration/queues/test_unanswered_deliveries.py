"""Lines of the delivery log that wait for messages which nobody holds, before a real broker: how each ends."""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable
from pathlib import Path

import pytest
from nats.js import JetStreamContext

from fnkit.contract.enums import Status
from fnkit.platform.brokers.model import NatsBroker
from fnkit.platform.control.events.gateway_client import GatewayClient
from fnkit.platform.control.events.queues.consumer import QueueConsumer
from fnkit.platform.control.events.queues.interface import Message, Prefetch
from fnkit.platform.control.events.queues.nats.connection import NatsConnections
from fnkit.platform.control.events.queues.nats.durable_consumers import ConsumerRegistry
from fnkit.platform.control.events.queues.nats.source import NatsMessageSource
from fnkit.platform.control.events.queues.reconciliation import Reconciler
from fnkit.platform.control.events.queues.sqs.queue import QueueAttributes
from fnkit.platform.control.events.queues.sqs.source import infer_outcomes
from fnkit.platform.control.events.queues.target import DeliveryTarget
from fnkit.platform.model.delivery import Delivery
from fnkit.platform.model.records import NatsSource, TriggerRecord
from tests.support.queues import connected, running_broker
from tests.support.scheduling import MachineClock, SchedulerUnderTest, fake_gateway
from tests.support.stored_cron import store_function
from tests.support.waiting import DEADLINE

_SOURCE = NatsSource(subject="orders", account_id="A", project_id="p", region="fr-par")
_RECORD = TriggerRecord(
    id="t",
    region="fr-par",
    function_id="f-1",
    namespace_id="n-f-1",
    project_id="p",
    name="orders",
    description="",
    source=_SOURCE,
    created_at=0,
    status=Status.READY,
)
_HELD = {"held"}


class Ear:
    """A listener at a real broker without hands: messages that it is given stay where they are."""

    def __init__(self, control: SchedulerUnderTest, stream: JetStreamContext, listener: NatsMessageSource) -> None:
        self.stream = stream
        self.log = control.log
        self._control = control
        self._listener = listener
        self._messages: list[Message] = []
        self._unanswered = Reconciler(control.log, "t", listener, _HELD.__contains__)

    async def received(self, number: int) -> list[str]:
        """Publish so many, take them from the broker and log each as under way; returns their ids."""
        intake, heard = Prefetch(), asyncio.Event()
        listening = asyncio.ensure_future(self._listener.listen(intake, lambda _words: heard.set()))
        await heard.wait()
        for one in range(number):
            await self.stream.publish("orders", b"%d" % one)
        messages = await asyncio.gather(*(intake.get() for _ in range(number)))
        listening.cancel()
        await asyncio.gather(listening, return_exceptions=True)
        self._messages = messages
        for message in messages:
            self.begun(message.id)
        return [message.id for message in messages]

    def begun(self, message_id: str) -> None:
        fields = {"kind": "nats", "name": "orders", "function": "hello", "at": "t", "cause": "message"}
        self.log.record("t", Delivery(id=f"d-{message_id}", message_id=message_id, **fields), b"")  # type: ignore[arg-type]  # all texts

    async def ends(self) -> dict[str, str]:
        """Look once; returns each message's status."""
        await self._unanswered.reconcile()
        return {str(one.message_id): one.status for one, _ in self.log.page("t", limit=100)}

    async def acknowledged(self, *ids: str) -> None:
        for message in self._messages:
            if message.id in ids:
                await message.ack()
        async with asyncio.timeout(DEADLINE):
            while await self._unacknowledged() != len(self._messages) - len(ids):
                pass

    async def delivered(self, function: DeliveryTarget) -> None:
        """Hand out again what was not acknowledged, to a function this time; returns when nothing is left."""
        context, door = self._control.context, GatewayClient(self._control.context.settings.delivery_socket)
        subscription = QueueConsumer(context, self.log, door, _RECORD, self._listener, lambda _report: None)
        subscription.refresh(_RECORD, function)
        for message in self._messages:
            await message.nack(0)
        subscription.start()
        async with asyncio.timeout(DEADLINE):
            while await self._unacknowledged():
                pass
        await subscription.stop(1.0)
        door.close()

    async def _unacknowledged(self) -> int:
        return (await self.stream.consumer_info("ORDERS", "fnkit-t")).num_ack_pending or 0


def listen(home: Path, scenario: Callable[[Ear], Awaitable[None]], retention: str = "limits") -> None:
    """Run a scenario at a broker of its own with one stream."""

    async def run(url: str) -> None:
        control = SchedulerUnderTest(home, MachineClock(1_800_000_000.0))
        store_function(control.store, "f-1")
        with control.store.transaction():
            control.store.triggers.insert(_RECORD)
        plain = NatsBroker(url=f"nats://{url.partition('@')[2]}", user="me", password="right")
        listener = NatsMessageSource(NatsConnections(), plain, "t", _SOURCE, ConsumerRegistry(control.context))
        async with connected(url) as (_, client):
            await client.add_stream(name="ORDERS", subjects=["orders"], retention=retention)
            async with fake_gateway(home):
                await scenario(Ear(control, client, listener))
        await control.kill()

    with running_broker(home / "broker") as broker:
        asyncio.run(run(broker.url))


@pytest.mark.parametrize("retention", ["limits", "workqueue"])
def test_what_was_acknowledged_succeeded_and_the_rest_may_still_come(tmp_path: Path, retention: str) -> None:
    async def scenario(ear: Ear) -> None:
        first, second, third = await ear.received(3)
        assert set((await ear.ends()).values()) == {"pending"}
        await ear.acknowledged(first, third)
        assert await ear.ends() == {first: "succeeded", second: "pending", third: "pending"}
        (one,) = [one for one, _ in ear.log.page("t", limit=9) if one.message_id == first]
        assert (one.attempts, one.http_status, one.duration_ms) == (1, None, None)
        assert "acknowledged" in one.error

    listen(tmp_path, scenario, retention=retention)


def test_what_the_stream_dropped_and_what_no_stream_kept_is_told_apart(tmp_path: Path) -> None:
    async def scenario(ear: Ear) -> None:
        (dropped,) = await ear.received(1)
        ear.begun("0f9a2b1c-of-no-stream")
        ear.begun("held")
        await ear.stream.purge_stream("ORDERS")
        assert await ear.ends() == {dropped: "unknown", "0f9a2b1c-of-no-stream": "failed", "held": "pending"}

    listen(tmp_path, scenario)


def test_another_stream_of_the_same_name_says_nothing_of_a_message(tmp_path: Path) -> None:
    async def scenario(ear: Ear) -> None:
        (former,) = await ear.received(1)
        await ear.stream.delete_stream("ORDERS")
        await ear.stream.add_stream(name="ORDERS", subjects=["orders"])
        newer = await ear.received(2)
        await ear.acknowledged(*newer)
        assert await ear.ends() == {former: "unknown", newer[0]: "succeeded", newer[1]: "succeeded"}

    listen(tmp_path, scenario)


def test_a_message_that_comes_after_all_goes_on_in_its_own_line(tmp_path: Path) -> None:
    async def scenario(ear: Ear) -> None:
        (late,) = await ear.received(1)
        (line,) = [one for one, _ in ear.log.page("t", limit=9)]
        ear.log.record("t", line.finished("unknown", "nobody knows"), b"")
        await ear.delivered(DeliveryTarget(function="hello", host="hello", timeout=10.0, max_concurrency=1))
        (one,) = [one for one, _ in ear.log.page("t", limit=9)]
        assert (one.message_id, one.id, one.status, one.attempts, one.error) == (late, line.id, "succeeded", 1, "")

    listen(tmp_path, scenario)


@pytest.mark.parametrize(
    ("emptied", "heard", "known"),
    [(0.0, 50.0, False), (109.0, 109.0, False), (110.0, 110.0, True), (0.0, 700.0, False), (0.0, 710.0, True)],
)
def test_a_queue_must_have_run_dry_after_the_visibility_timeout_or_been_asked_for_long(
    emptied: float, heard: float, *, known: bool
) -> None:
    found = infer_outcomes(
        {"m": 100.0}, QueueAttributes(visibility_timeout=10), last_empty=emptied, last_response=heard
    )
    assert ("m" in found) == known
    redriven = infer_outcomes(
        {"m": 100.0},
        QueueAttributes(visibility_timeout=10, max_receive_count=2),
        last_empty=emptied,
        last_response=heard,
    )
    assert ("m" in redriven and "redrive" in redriven["m"].reason) == known
