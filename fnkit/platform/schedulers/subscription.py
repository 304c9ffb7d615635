"""The consumer core: processes the messages of one trigger, in the same way for every kind of broker.

1. **Receive.** The ``MessageSource`` puts messages into the ``Prefetch``, at most as many as there are free
delivery slots. A trigger has up to ten slots, and at most one per instance of its function. 2. **Deliver.** A slot
takes a message and posts it to the function. While the gateway rejects the request, the slot keeps the message and
tries again, so that no further messages are requested. 3. **Acknowledge.** A message is acknowledged only after the
function handled it. 4. **Retry.** After a failure the message waits in the ``RetryQueue`` until its next attempt is
due, without using a slot. After the last attempt it is dead: the delivery log stores it, then the broker removes
it.

A message that the broker delivers again while it is in flight, or shortly after it was handled, is not sent to the
function twice.
"""

from __future__ import annotations

import asyncio
import contextlib
import logging
from collections.abc import Callable
from dataclasses import dataclass
from functools import partial
from typing import Final

from fnkit.platform.control.context import ControlContext
from fnkit.platform.control.deliveries import DeliveryLog
from fnkit.platform.control.timestamps import rounded
from fnkit.platform.records.delivery import Delivery, DeliveryStatus
from fnkit.platform.records.trigger import TriggerRecord
from fnkit.platform.schedulers.attempts import Verdict, verdict
from fnkit.platform.schedulers.beginnings import Beginnings
from fnkit.platform.schedulers.delivery import Door, Outcome, Unreachable
from fnkit.platform.schedulers.finished import Finished
from fnkit.platform.schedulers.listening import BrokerTrouble, Intake, Listener, Message
from fnkit.platform.schedulers.names import Names
from fnkit.platform.schedulers.parking import Parking
from fnkit.platform.schedulers.targets import IN_FLIGHT, Target
from fnkit.platform.schedulers.unanswered import Unanswered

__all__ = ["Report", "Subscription"]

_FIRST_PAUSE: Final = 0.05
_LONGEST_PAUSE: Final = 1.0
_LONGEST_SILENCE: Final = 5.0  # until a failed source is started again
_STANDING_RETRY: Final = 1.0  # real seconds; on a manual clock, if the retry queue is full
_QUICK_MILLISECONDS: Final = 50.0  # responses within this time allow prefetching
_AHEAD: Final = 8  # prefetched messages per slot; a pull request costs as much as a message, so batch them
_BYTES_AHEAD: Final = 4 * 1024 * 1024
_CONTENT_TYPE: Final = "text/plain; charset=utf-8"
_logger = logging.getLogger(__name__)


@dataclass(frozen=True, slots=True)
class Report:
    """Status of a trigger's consumer.

    Attributes:
        state: ``idle`` (no broker is configured), ``listening`` or ``trouble``.
        message: Details.
    """

    state: str
    words: str


@dataclass(slots=True)
class _Held:
    """A message that this process holds.

    Attributes:
        message: The latest copy of it.
        started_ns: When its processing started, in Unix nanoseconds of platform time.
        delivery: Its delivery as in the log. ``None`` as long as the log has none: most messages are handled
            before.
    """

    message: Message
    began: int
    delivery: Delivery | None


class Subscription:
    """Consumes the messages of one trigger. Lives on one event loop."""

    def __init__(
        self,
        context: ControlContext,
        log: DeliveryLog,
        gateway: Door,
        record: TriggerRecord,
        source: Listener,
        on_status_change: Callable[[Report], None],
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
        self._door = gateway
        self._record = record
        self._listener = source
        self._report = on_status_change
        self._target: Target | None = None
        self._intake = Intake()
        self._held: dict[str, _Held] = {}
        self._finished = Finished()
        self._unsettled: dict[str, tuple[_Held, Outcome]] = {}
        self._beginnings = Beginnings(self._say_begun)
        self._moves = True
        self._settling: set[asyncio.Task[None]] = set()
        self._names = Names()
        self._parking: Parking[_Held] = Parking(context.clock)
        self._unanswered = Unanswered(log, record.id, source, self._is_held)
        self._changed = asyncio.Event()
        self._works = False
        self._jammed = False
        self._stopping = False
        self._busy: set[asyncio.Task[None]] = set()
        self._tasks: list[asyncio.Task[None]] = []
        self._keeping: asyncio.Task[None] | None = None

    def start(self) -> None:
        """Start receiving messages. Nothing is delivered before ``refresh`` was called with a target."""
        self._keeping = asyncio.ensure_future(self._keep())
        loops = (self._listen(), self._wake(), self._unanswered.run())
        coroutines = (*loops, *(self._hand(one) for one in range(IN_FLIGHT)))
        self._tasks = [self._keeping, *map(asyncio.ensure_future, coroutines)]

    def refresh(self, record: TriggerRecord, target: Target | None) -> None:
        """Update the trigger and the target; ``None`` if the function has no deployment."""
        self._record, self._target = record, target
        self._changed.set()
        self._changed = asyncio.Event()

    async def stop(self, seconds: float) -> None:
        """Stop requesting messages, wait up to ``seconds`` for those in flight, and close the source."""
        self._stopping = True
        for task in self._tasks:
            if task not in self._busy and task is not self._keeping:
                task.cancel()
        if self._busy:
            await asyncio.wait(self._busy, timeout=seconds)
        await asyncio.gather(*self._settling, return_exceptions=True)
        for task in self._tasks:
            task.cancel()
        await asyncio.gather(*self._tasks, return_exceptions=True)
        await self._listener.close()

    async def retry_due(self) -> None:
        """Return messages whose next attempt is due to the broker, which delivers them again.

        They are returned concurrently, since brokers batch such requests.
        """
        due = [in_flight.message for in_flight in self._parking.due()]
        for message in due:
            self._held.pop(message.id, None)
        await asyncio.gather(*map(_hand_back, due))

    # Listening

    async def _listen(self) -> None:
        backoff = _FIRST_PAUSE
        while True:
            self._works = False
            try:
                await self._listener.listen(self._intake, self._heard)
            except BrokerTrouble as error:
                self._report(Report("trouble", str(error)))
            except Exception:
                _logger.exception("The message source of trigger %s failed.", self._record.id)
                self._report(Report("trouble", "internal error"))
            backoff = _FIRST_PAUSE if self._works else min(_LONGEST_SILENCE, backoff * 2)
            await asyncio.sleep(backoff)

    def _heard(self, description: str) -> None:
        self._works = True
        self._report(Report("listening", description))

    async def _keep(self) -> None:
        while True:
            await asyncio.sleep(self._listener.keep_every)
            with contextlib.suppress(BrokerTrouble):
                # No message finished during a whole lease interval, so prefetched ones would wait for too long.
                if self._busy and not self._moves:
                    self._intake.ahead = 0
                self._moves = False
                if self._listener.pulls_ahead and self._busy and not self._intake.ahead:
                    # These were requested while the function responded fast. Another consumer may take them.
                    for message in self._intake.give_up():
                        await message.again(0)
                if messages := [in_flight.message for in_flight in self._held.values()] + self._intake.waiting:
                    await self._listener.keep(messages)

    def _is_held(self, message_id: str) -> bool:
        return message_id in self._held or self._intake.has(message_id)

    async def _wake(self) -> None:
        while True:
            await self._parking.wait()
            await self.retry_due()

    # Delivering

    async def _hand(self, slot: int) -> None:
        task = asyncio.current_task()
        while not self._stopping and task is not None:
            if self._target is None or slot >= self._target.at_once:
                await self._changed.wait()
                continue
            message = await self._intake.next()
            self._busy.add(task)
            try:
                await self._take(message)
            except BrokerTrouble as error:
                _logger.info(
                    "Trigger %s: %s; the broker delivers message %s again.", self._record.id, error, message.id
                )
            except Exception:
                _logger.exception(
                    "Processing message %s of trigger %s failed; the broker delivers it again.",
                    message.id,
                    self._record.id,
                )
                await asyncio.sleep(_LONGEST_PAUSE)
            finally:
                self._busy.discard(task)
                self._moves = True

    def _pace(self, outcome: Outcome, size: int) -> None:
        """Allow prefetching only while the function responds fast and messages are small."""
        if self._listener.pulls_ahead and outcome.duration_ms < _QUICK_MILLISECONDS and self._target is not None:
            self._intake.ahead = min(_AHEAD * self._target.at_once, _BYTES_AHEAD // (size + 1))
        else:
            self._intake.ahead = 0

    async def _take(self, message: Message) -> None:
        # A second copy of a message in flight: its lease expired. Acknowledge by the new copy from now on.
        if (in_flight := self._held.get(message.id)) is not None:
            in_flight.message = message
            return
        if message.id in self._finished:
            await message.done()
            return
        entry = _Held(message, self._clock.now_ns(), self._known(message))
        self._held[message.id] = entry
        is_held = False
        try:
            if entry.delivery is None or entry.delivery.status == DeliveryStatus.PENDING:
                is_held = await self._deliver(entry)
            else:
                await self._settle_again(message, entry.delivery)
        finally:
            if not is_held:
                self._held.pop(message.id, None)

    async def _settle_again(self, message: Message, delivery: Delivery) -> None:
        """Repeat the acknowledgement of a finished delivery, which the broker did not receive."""
        if delivery.status == DeliveryStatus.SUCCEEDED:
            await message.done()
        else:
            await self._log.commit()
            await message.bury()

    def _known(self, message: Message) -> Delivery | None:
        """Return the earlier delivery of a message that is delivered again; ``None`` to start from scratch."""
        delivery = self._log.of_message(self._record.id, message.id) if message.deliveries > 1 else None
        if delivery is not None and delivery.status == DeliveryStatus.UNKNOWN:
            # The reconciler took the message for lost, but the broker still had it.
            delivery = delivery.ended(DeliveryStatus.PENDING, "")
            self._log.put(self._record.id, delivery, message.body)
        # A redrive policy may have moved the message to a dead-letter queue, and someone may have moved it back.
        # So a delivery that ended as failed does not count, and the message gets new attempts.
        return delivery if delivery is not None and delivery.status != DeliveryStatus.FAILED else None

    def _delivery(self, entry: _Held) -> Delivery:
        """Return the delivery of a message as of now, and create it if there is none."""
        if entry.delivery is not None:
            return entry.delivery
        return self._new_delivery(entry.message.id, len(entry.message.body), entry.began)

    def _new_delivery(self, message_id: str, size: int, started_ns: int) -> Delivery:
        return Delivery(
            id=self._names.next(),
            kind=self._listener.kind,
            name=self._record.name,
            function="" if self._target is None else self._target.function,
            at=rounded(started_ns),
            cause="message",
            message_id=message_id,
            body_size=size,
        )

    def _say_begun(self, entry: _Held) -> None:
        """Record the start of a delivery that is still in progress after a moment."""
        if entry.delivery is None and self._held.get(entry.message.id) is entry:
            entry.delivery = self._delivery(entry)
            self._log.put(self._record.id, entry.delivery, entry.message.body)

    async def _deliver(self, entry: _Held) -> bool:
        """Send a message until the outcome is final for now.

        Returns:
            Whether the message is still held, because it waits for a retry or for its acknowledgement.
        """
        self._beginnings.add(entry)
        backoff = _FIRST_PAUSE
        while True:
            outcome = await self._post(entry.message.body)
            if outcome.succeeded:
                self._jammed = False
                self._pace(outcome, len(entry.message.body))
                return await self._took(entry, outcome)
            entry.delivery = self._delivery(entry)
            if not outcome.turned_away:
                entry.delivery = entry.delivery.tried(
                    http_status=outcome.http_status, duration_ms=outcome.duration_ms, error=outcome.error
                )
            match verdict(outcome, entry.delivery, entry.message.attempt):
                case Verdict.LATER:
                    return await self._later(entry, entry.delivery)
                case Verdict.LOST:
                    await self._lost(entry.message, entry.delivery)
                    return False
                case _:
                    self._say_jammed(outcome)
                    await asyncio.sleep(backoff)
                    backoff = min(_LONGEST_PAUSE, backoff * 2)

    async def _post(self, body: bytes) -> Outcome:
        while (target := self._target) is None:
            await self._changed.wait()
        try:
            return await self._door.post(target.host, body, _CONTENT_TYPE, target.patience)
        except Unreachable as error:
            return Outcome(None, 0.0, f"the gateway cannot be reached: {error}", turned_away=True)

    async def _took(self, entry: _Held, outcome: Outcome) -> bool:
        """Finish a delivery that the function handled.

        If the source can prefetch, acknowledgements are delayed until all free slots have sent their next message,
        so that the function does not wait for the delivery log.

        Returns:
            Whether the message is still to be acknowledged.
        """
        if not self._listener.pulls_ahead:
            await self._settle(entry, outcome)
            return False
        self._unsettled[entry.message.id] = (entry, outcome)
        if len(self._unsettled) == 1:
            task = asyncio.ensure_future(self._settle_all())
            self._settling.add(task)
            task.add_done_callback(self._settling.discard)
        return True

    async def _settle_all(self) -> None:
        await asyncio.sleep(0)  # the slots send their next messages in this iteration of the event loop
        unsettled, self._unsettled = self._unsettled, {}
        for entry, outcome in unsettled.values():
            with contextlib.suppress(BrokerTrouble):  # it is delivered again, and is recognised then
                await self._settle(entry, outcome)
            self._held.pop(entry.message.id, None)

    async def _settle(self, entry: _Held, outcome: Outcome) -> None:
        message = entry.message
        if entry.delivery is None:
            create = partial(self._quick_success, message.id, len(message.body), entry.began, outcome)
            self._log.put_success(self._record.id, self._listener.kind, create, message.body)
        else:
            self._log.put(self._record.id, _succeeded(entry.delivery, outcome), message.body)
        # Added first: the broker may deliver the message again before the acknowledgement arrives.
        self._finished.add(entry.message.id)
        await entry.message.done()

    def _quick_success(self, message_id: str, size: int, started_ns: int, outcome: Outcome) -> Delivery:
        return _succeeded(self._new_delivery(message_id, size, started_ns), outcome)

    async def _later(self, entry: _Held, delivery: Delivery) -> bool:
        self._log.put(self._record.id, delivery, entry.message.body)
        delay = self._listener.spacing
        if self._parking.park(entry, len(entry.message.body), self._clock.now() + delay):
            return True
        # The retry queue is full: let the broker hold the message.
        speed = self._clock.speed
        await entry.message.again(delay / speed if speed else _STANDING_RETRY)
        return False

    async def _lost(self, message: Message, delivery: Delivery) -> None:
        status = DeliveryStatus.FAILED if self._listener.redrives else DeliveryStatus.DEAD
        self._log.put(self._record.id, delivery.ended(status), message.body)
        if self._listener.redrives:
            speed = self._clock.speed
            await message.again(self._listener.spacing / speed if speed else _STANDING_RETRY)
            return
        name, error = self._record.name, delivery.error
        _logger.warning("Message %s of trigger %s (%s) is dead: %s", message.id, self._record.id, name, error)
        # On disk before the broker removes the only other copy.
        await self._log.commit()
        await message.bury()

    def _say_jammed(self, outcome: Outcome) -> None:
        self._intake.ahead = 0
        if not self._jammed:
            self._jammed = True
            _logger.warning("Deliveries of trigger %s are delayed: %s", self._record.id, outcome.error)


def _succeeded(delivery: Delivery, outcome: Outcome) -> Delivery:
    attempted = delivery.tried(http_status=outcome.http_status, duration_ms=outcome.duration_ms)
    return attempted.ended(DeliveryStatus.SUCCEEDED)


async def _hand_back(message: Message) -> None:
    with contextlib.suppress(BrokerTrouble):
        await message.again(0)
