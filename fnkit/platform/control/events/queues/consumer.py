"""The consumer core: processes the messages of one trigger, in the same way for every kind of broker.

1. **Receive.** The ``MessageSource`` puts messages into the ``Prefetch``, at most as many as there are free
   delivery slots. A trigger has up to ten slots, and at most one per instance of its function.
2. **Deliver.** A slot takes a message and posts it to the function. While the gateway rejects the request, the slot
   keeps the message and tries again, so that no further messages are requested.
3. **Acknowledge.** A message is acknowledged only after the function handled it.
4. **Retry.** ``retries.decide`` decides what happens after an attempt. After a failure, the message waits in the
   ``RetryQueue`` until its next attempt is due, without using a slot. After the last attempt it is dead: the
   delivery log stores it, then the broker removes it.

A message that the broker delivers again while it is in flight, or shortly after it was handled, is not sent to the
function twice.
"""

from __future__ import annotations

import asyncio
import contextlib
import itertools
import logging
import uuid
from collections.abc import Callable
from dataclasses import dataclass
from functools import partial
from typing import Final, Generic, TypeVar, assert_never

from fnkit.platform.control.context import ControlContext
from fnkit.platform.control.events.delivery_log import DeliveryLog
from fnkit.platform.control.events.gateway_client import DeliveryOutcome, DeliveryTarget, GatewayClient
from fnkit.platform.control.events.queues.interface import BrokerError, Message, MessageSource, Prefetch
from fnkit.platform.control.events.queues.retries import RetryDecision, RetryQueue, decide
from fnkit.platform.control.timestamps import format_microseconds
from fnkit.platform.model.delivery import Delivery, DeliveryStatus
from fnkit.platform.model.records import TriggerRecord

_MAX_IN_FLIGHT: Final = 10  # requests of one trigger, as Scaleway documents
_CONTENT_TYPE: Final = "text/plain; charset=utf-8"
_MIN_BACKOFF: Final = 0.05
_MAX_GATEWAY_BACKOFF: Final = 1.0
_MAX_SOURCE_BACKOFF: Final = 5.0  # until a failed source is started again
_STOPPED_CLOCK_DELAY: Final = 1.0  # real seconds until the broker delivers a message again, on a manual clock

_FAST_RESPONSE_MS: Final = 50.0  # responses within this time allow prefetching
_PREFETCH_PER_SLOT: Final = 8  # a pull request costs as much as a message, so messages are requested in batches
_MAX_PREFETCH_BYTES: Final = 4 * 1024 * 1024

_SLOW_START_SECONDS: Final = 0.05
_RECENT_IDS_PER_GENERATION: Final = 5000
_COUNTER_VALUES: Final = 2**32

_logger = logging.getLogger(__name__)
T = TypeVar("T")


@dataclass(frozen=True, slots=True)
class ConsumerStatus:
    """Status of a trigger's consumer.

    Attributes:
        state: ``idle`` (no broker is configured), ``listening`` or ``trouble``.
        message: Details.
    """

    state: str
    message: str


@dataclass(slots=True)
class _InFlight:
    """A message that this process holds.

    Attributes:
        message: The latest copy of it.
        started_ns: When its processing started, in Unix nanoseconds of platform time.
        delivery: Its delivery as in the log. ``None`` as long as the log has none: most messages are handled
            before.
    """

    message: Message
    started_ns: int
    delivery: Delivery | None


class QueueConsumer:
    """Consumes the messages of one trigger. Lives on one event loop."""

    def __init__(
        self,
        context: ControlContext,
        log: DeliveryLog,
        gateway: GatewayClient,
        record: TriggerRecord,
        source: MessageSource,
        on_status_change: Callable[[ConsumerStatus], None],
    ) -> None:
        """Create a consumer; ``start`` runs it.

        Args:
            context: What all parts of control share.
            log: The delivery log.
            gateway: Sends requests to functions.
            record: The trigger.
            source: The source of its messages. The consumer closes it.
            on_status_change: Called with each new status.
        """
        self._clock = context.clock
        self._log = log
        self._gateway = gateway
        self._source = source
        self._on_status_change = on_status_change
        self._ids = IdGenerator()

        # What ``refresh`` updates
        self._record = record
        self._target: DeliveryTarget | None = None
        self._target_changed = asyncio.Event()

        # Messages on their way through this process
        self._prefetch = Prefetch()
        self._in_flight: dict[str, _InFlight] = {}
        self._slow_starts = SlowStartNotifier(self._log_started, _SLOW_START_SECONDS)
        self._unacknowledged: dict[str, tuple[_InFlight, DeliveryOutcome]] = {}
        self._retry_queue: RetryQueue[_InFlight] = RetryQueue(context.clock)
        self._recent_ids = RecentIds()

        # The connections to the broker and to the gateway
        self._connected = False
        self._gateway_unavailable = False
        self._made_progress = True  # since the last extension of the leases

        # Tasks
        self._tasks: list[asyncio.Task[None]] = []
        self._lease_task: asyncio.Task[None] | None = None
        self._busy_slots: set[asyncio.Task[None]] = set()
        self._ack_tasks: set[asyncio.Task[None]] = set()
        self._is_stopping = False

    def start(self) -> None:
        """Start receiving messages. Nothing is delivered before ``refresh`` was called with a target."""
        self._lease_task = asyncio.ensure_future(self._extend_leases())
        loops = (self._run_source(), self._run_due_retries(), *map(self._run_slot, range(_MAX_IN_FLIGHT)))
        self._tasks = [self._lease_task, *map(asyncio.ensure_future, loops)]

    def refresh(self, record: TriggerRecord, target: DeliveryTarget | None) -> None:
        """Update the trigger and the target; ``None`` if the function has no deployment."""
        self._record, self._target = record, target
        self._target_changed.set()
        self._target_changed = asyncio.Event()

    async def stop(self, seconds: float) -> None:
        """Stop requesting messages, wait up to ``seconds`` for those in flight, and close the source."""
        self._is_stopping = True
        for task in self._tasks:
            if task not in self._busy_slots and task is not self._lease_task:
                task.cancel()
        if self._busy_slots:
            await asyncio.wait(self._busy_slots, timeout=seconds)
        await asyncio.gather(*self._ack_tasks, return_exceptions=True)
        for task in self._tasks:
            task.cancel()
        await asyncio.gather(*self._tasks, return_exceptions=True)
        await self._source.close()

    # 1. Receive

    async def _run_source(self) -> None:
        backoff = _MIN_BACKOFF
        while True:
            self._connected = False
            try:
                await self._source.listen(self._prefetch, self._on_listening)
            except BrokerError as error:
                self._on_status_change(ConsumerStatus("trouble", str(error)))
            except Exception:
                _logger.exception("The message source of trigger %s failed.", self._record.id)
                self._on_status_change(ConsumerStatus("trouble", "internal error"))
            backoff = _MIN_BACKOFF if self._connected else min(_MAX_SOURCE_BACKOFF, backoff * 2)
            await asyncio.sleep(backoff)

    def _on_listening(self, description: str) -> None:
        self._connected = True
        self._on_status_change(ConsumerStatus("listening", description))

    async def _extend_leases(self) -> None:
        """Keep the broker from delivering the messages that this process holds to another consumer."""
        while True:
            await asyncio.sleep(self._source.lease_interval)
            with contextlib.suppress(BrokerError):
                await self._return_prefetched_if_slow()
                held = [in_flight.message for in_flight in self._in_flight.values()] + self._prefetch.buffered
                if held:
                    await self._source.extend(held)

    async def _return_prefetched_if_slow(self) -> None:
        """Return prefetched messages to the broker if no message finished during a whole lease interval.

        They were requested while the function responded fast, and would now wait for too long. Another consumer may
        take them.
        """
        if self._busy_slots and not self._made_progress:
            self._prefetch.limit = 0
        self._made_progress = False
        if self._source.can_prefetch and self._busy_slots and not self._prefetch.limit:
            for message in self._prefetch.drain():
                await message.nack(0)

    # 2. Deliver

    async def _run_slot(self, slot: int) -> None:
        task = asyncio.current_task()
        while not self._is_stopping and task is not None:
            if self._target is None or slot >= self._target.max_concurrency:
                await self._target_changed.wait()
                continue
            message = await self._prefetch.get()
            self._busy_slots.add(task)
            try:
                await self._process(message)
            except BrokerError as error:
                _logger.info(
                    "Trigger %s: %s; the broker delivers message %s again.", self._record.id, error, message.id
                )
            except Exception:
                _logger.exception(
                    "Processing message %s of trigger %s failed; the broker delivers it again.",
                    message.id,
                    self._record.id,
                )
                await asyncio.sleep(_MAX_GATEWAY_BACKOFF)
            finally:
                self._busy_slots.discard(task)
                self._made_progress = True

    async def _process(self, message: Message) -> None:
        # A second copy of a message in flight: its lease expired. Acknowledge by the new copy from now on.
        if (in_flight := self._in_flight.get(message.id)) is not None:
            in_flight.message = message
            return
        if message.id in self._recent_ids:
            await message.ack()
            return
        entry = _InFlight(message, self._clock.now_ns(), self._find_delivery(message))
        self._in_flight[message.id] = entry
        is_held = False
        try:
            if entry.delivery is None or entry.delivery.status == DeliveryStatus.PENDING:
                is_held = await self._deliver(entry)
            else:
                await self._repeat_ack(message, entry.delivery)
        finally:
            if not is_held:
                self._in_flight.pop(message.id, None)

    async def _deliver(self, entry: _InFlight) -> bool:
        """Send a message until the outcome is final for now.

        Returns:
            Whether the message is still held, because it waits for a retry or for its acknowledgement.
        """
        self._slow_starts.add(entry)
        backoff = _MIN_BACKOFF
        while True:
            outcome = await self._post(entry.message.body)
            if outcome.succeeded:
                self._gateway_unavailable = False
                self._adjust_prefetch(outcome, len(entry.message.body))
                return await self._on_success(entry, outcome)
            entry.delivery = self._get_delivery(entry)
            if not outcome.rejected:
                entry.delivery = entry.delivery.with_attempt(
                    http_status=outcome.http_status, duration_ms=outcome.duration_ms, error=outcome.error
                )
            match decide(outcome, entry.delivery, entry.message.attempt):
                case RetryDecision.RETRY_LATER:
                    return await self._schedule_retry(entry, entry.delivery)
                case RetryDecision.GIVE_UP:
                    await self._give_up(entry.message, entry.delivery)
                    return False
                case RetryDecision.RETRY_NOW:
                    self._warn_gateway_unavailable(outcome)
                    await asyncio.sleep(backoff)
                    backoff = min(_MAX_GATEWAY_BACKOFF, backoff * 2)
                case decision:
                    assert_never(decision)

    async def _post(self, body: bytes) -> DeliveryOutcome:
        while (target := self._target) is None:
            await self._target_changed.wait()
        return await self._gateway.post(target.host, body, _CONTENT_TYPE, target.timeout)

    def _adjust_prefetch(self, outcome: DeliveryOutcome, size: int) -> None:
        """Allow prefetching only while the function responds fast and messages are small."""
        if self._source.can_prefetch and outcome.duration_ms < _FAST_RESPONSE_MS and self._target is not None:
            slots = min(_MAX_IN_FLIGHT, self._target.max_concurrency)
            self._prefetch.limit = min(_PREFETCH_PER_SLOT * slots, _MAX_PREFETCH_BYTES // (size + 1))
        else:
            self._prefetch.limit = 0

    def _warn_gateway_unavailable(self, outcome: DeliveryOutcome) -> None:
        self._prefetch.limit = 0
        if not self._gateway_unavailable:
            self._gateway_unavailable = True
            _logger.warning("Deliveries of trigger %s are delayed: %s", self._record.id, outcome.error)

    # 3. Acknowledge

    async def _on_success(self, entry: _InFlight, outcome: DeliveryOutcome) -> bool:
        """Finish a delivery that the function handled.

        If the source can prefetch, acknowledgements are delayed until all free slots have sent their next message,
        so that the function does not wait for the delivery log.

        Returns:
            Whether the message is still to be acknowledged.
        """
        if not self._source.can_prefetch:
            await self._acknowledge(entry, outcome)
            return False
        self._unacknowledged[entry.message.id] = (entry, outcome)
        if len(self._unacknowledged) == 1:
            task = asyncio.ensure_future(self._acknowledge_all())
            self._ack_tasks.add(task)
            task.add_done_callback(self._ack_tasks.discard)
        return True

    async def _acknowledge_all(self) -> None:
        await asyncio.sleep(0)  # the slots send their next messages in this iteration of the event loop
        handled, self._unacknowledged = self._unacknowledged, {}
        for entry, outcome in handled.values():
            with contextlib.suppress(BrokerError):  # it is delivered again, and is recognised then
                await self._acknowledge(entry, outcome)
            self._in_flight.pop(entry.message.id, None)

    async def _acknowledge(self, entry: _InFlight, outcome: DeliveryOutcome) -> None:
        self._log_success(entry, outcome)
        # Added first: the broker may deliver the message again before the acknowledgement arrives.
        self._recent_ids.add(entry.message.id)
        await entry.message.ack()

    async def _repeat_ack(self, message: Message, delivery: Delivery) -> None:
        """Repeat the acknowledgement of a finished delivery, which the broker did not receive."""
        if delivery.status == DeliveryStatus.SUCCEEDED:
            await message.ack()
        else:
            await self._log.commit()
            await message.terminate()

    # 4. Retry

    async def _schedule_retry(self, entry: _InFlight, delivery: Delivery) -> bool:
        """Keep a message until its next attempt is due.

        Returns:
            Whether the message is still held. Otherwise the broker holds it, since the retry queue is full.
        """
        self._log.record(self._record.id, delivery, entry.message.body)
        if self._retry_queue.put(entry, len(entry.message.body), self._source.retry_delay):
            return True
        await entry.message.nack(self._real_retry_delay())
        return False

    async def _run_due_retries(self) -> None:
        while True:
            await self._retry_queue.wait_until_due()
            await self.retry_due()

    async def retry_due(self) -> None:
        """Return messages whose next attempt is due to the broker, which delivers them again.

        They are returned concurrently, since brokers batch such requests.
        """
        due = [in_flight.message for in_flight in self._retry_queue.pop_due()]
        for message in due:
            self._in_flight.pop(message.id, None)
        await asyncio.gather(*map(_nack_now, due))

    async def _give_up(self, message: Message, delivery: Delivery) -> None:
        """Finish a delivery whose last attempt failed."""
        if self._source.has_redrive_policy:
            self._log.record(self._record.id, delivery.finished(DeliveryStatus.FAILED), message.body)
            await message.nack(self._real_retry_delay())
            return
        self._log.record(self._record.id, delivery.finished(DeliveryStatus.DEAD), message.body)
        name, error = self._record.name, delivery.error
        _logger.warning("Message %s of trigger %s (%s) is dead: %s", message.id, self._record.id, name, error)
        # On disk before the broker removes the only other copy.
        await self._log.commit()
        await message.terminate()

    def _real_retry_delay(self) -> float:
        speed = self._clock.speed
        return self._source.retry_delay / speed if speed else _STOPPED_CLOCK_DELAY

    # The delivery log

    def _find_delivery(self, message: Message) -> Delivery | None:
        """Return the earlier delivery of a message that is delivered again; ``None`` to start from scratch."""
        delivery = self._log.find_by_message(self._record.id, message.id) if message.deliveries > 1 else None
        if delivery is not None and delivery.status == DeliveryStatus.UNKNOWN:
            # Control stopped while the message was in flight, and the broker still has it.
            delivery = delivery.finished(DeliveryStatus.PENDING, "")
            self._log.record(self._record.id, delivery, message.body)
        # A redrive policy may have moved the message to a dead-letter queue, and someone may have moved it back.
        # So a delivery that ended as failed does not count, and the message gets new attempts.
        return delivery if delivery is not None and delivery.status != DeliveryStatus.FAILED else None

    def _log_started(self, entry: _InFlight) -> None:
        """Record the start of a delivery that is still in progress after a moment."""
        if entry.delivery is None and self._in_flight.get(entry.message.id) is entry:
            entry.delivery = self._get_delivery(entry)
            self._log.record(self._record.id, entry.delivery, entry.message.body)

    def _log_success(self, entry: _InFlight, outcome: DeliveryOutcome) -> None:
        message = entry.message
        if entry.delivery is None:
            create = partial(self._create_success, message.id, len(message.body), entry.started_ns, outcome)
            self._log.record_success(self._record.id, self._source.kind, create, message.body)
        else:
            self._log.record(self._record.id, _with_success(entry.delivery, outcome), message.body)

    def _get_delivery(self, entry: _InFlight) -> Delivery:
        """Return the delivery of a message as of now, and create it if there is none."""
        if entry.delivery is not None:
            return entry.delivery
        return self._create_delivery(entry.message.id, len(entry.message.body), entry.started_ns)

    def _create_success(self, message_id: str, size: int, started_ns: int, outcome: DeliveryOutcome) -> Delivery:
        return _with_success(self._create_delivery(message_id, size, started_ns), outcome)

    def _create_delivery(self, message_id: str, size: int, started_ns: int) -> Delivery:
        return Delivery(
            id=self._ids.next(),
            kind=self._source.kind,
            name=self._record.name,
            function="" if self._target is None else self._target.function,
            at=format_microseconds(started_ns),
            cause="message",
            message_id=message_id,
            body_size=size,
        )


def _with_success(delivery: Delivery, outcome: DeliveryOutcome) -> Delivery:
    attempted = delivery.with_attempt(http_status=outcome.http_status, duration_ms=outcome.duration_ms)
    return attempted.finished(DeliveryStatus.SUCCEEDED)


async def _nack_now(message: Message) -> None:
    with contextlib.suppress(BrokerError):
        await message.nack(0)


class SlowStartNotifier(Generic[T]):
    """Calls ``notify`` for each added item once it is ``seconds`` old, and before it is twice as old.

    One timer serves all items. A timer for each would cost more than handling a quick message does.
    """

    def __init__(self, notify: Callable[[T], None], seconds: float) -> None:
        self._notify = notify
        self._seconds = seconds
        self._started: list[T] = []
        self._started_earlier: list[T] = []
        self._is_timer_set = False

    def add(self, item: T) -> None:
        """Add an item whose operation starts now."""
        self._started.append(item)
        if not self._is_timer_set:
            self._is_timer_set = True
            asyncio.get_running_loop().call_later(self._seconds, self._on_timer)

    def _on_timer(self) -> None:
        older, self._started_earlier, self._started = self._started_earlier, self._started, []
        self._is_timer_set = bool(self._started_earlier)
        if self._is_timer_set:
            asyncio.get_running_loop().call_later(self._seconds, self._on_timer)
        for item in older:
            self._notify(item)


class RecentIds:
    """The ids of the messages handled last, at least 5000.

    A message that the broker delivers again because its acknowledgement was lost is recognised by its id. Ids are
    dropped in two generations, which is cheaper than tracking the oldest one.
    """

    def __init__(self) -> None:
        self._newer: set[str] = set()
        self._older: set[str] = set()

    def __contains__(self, message_id: str) -> bool:
        return message_id in self._newer or message_id in self._older

    def add(self, message_id: str) -> None:
        """Add an id."""
        self._newer.add(message_id)
        if len(self._newer) >= _RECENT_IDS_PER_GENERATION:
            self._older, self._newer = self._newer, set()


class IdGenerator:
    """Generates ids in the form of version 4 UUIDs: a 32-bit counter, and the rest of an id that is chosen once.

    A random id each time would cost a system call, and its rows would be scattered over the whole index of the
    table. The counter comes first, so that the 8 characters that are shown in a terminal differ.
    """

    def __init__(self) -> None:
        first = str(uuid.uuid4())
        self._counter = itertools.count(int(first[:8], base=16))
        self._rest = first[8:]

    def next(self) -> str:
        """Return a new id."""
        return f"{next(self._counter) % _COUNTER_VALUES:08x}{self._rest}"
