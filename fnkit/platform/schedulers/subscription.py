"""One trigger's messages on their way to its function: the same for every kind of broker.

At most ten hands, and never more than the function has instances. A free hand asks for one message, POSTs it, and
has it acknowledged only after the function took it. What the gateway does not take waits in the hand, so nothing
more is pulled. What failed is parked until its next attempt is due, so that it keeps no hand from the others.
A message that is handed out again while it is held, or right after it was taken, is not delivered twice.
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
_LONGEST_SILENCE: Final = 5.0  # until a broker in trouble is tried again
_STANDING_RETRY: Final = 1.0  # where the clock stands and there is no room to wait for it
_QUICK_MILLISECONDS: Final = 50.0
_AHEAD: Final = 8  # messages that wait for a hand which is quick: each request for some costs as much as a message
_BYTES_AHEAD: Final = 4 * 1024 * 1024
_CONTENT_TYPE: Final = "text/plain; charset=utf-8"
_logger = logging.getLogger(__name__)


@dataclass(frozen=True, slots=True)
class Report:
    """How a trigger listens. ``state`` is ``idle``, ``listening`` or ``trouble``; ``words`` say more."""

    state: str
    words: str


@dataclass(slots=True)
class _Held:
    """A message that is ours at the moment; ``message`` is its newest copy.

    began: platform time in Unix nanoseconds. delivery: what the log is to know; most never need one before they
    were taken.
    """

    message: Message
    began: int
    delivery: Delivery | None


class Subscription:
    """See the module. ``report`` is called whenever how it listens changes."""

    def __init__(
        self,
        context: ControlContext,
        log: DeliveryLog,
        door: Door,
        record: TriggerRecord,
        listener: Listener,
        report: Callable[[Report], None],
    ) -> None:
        self._clock = context.clock
        self._log = log
        self._door = door
        self._record = record
        self._listener = listener
        self._report = report
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
        self._unanswered = Unanswered(log, record.id, listener, self._is_held)
        self._changed = asyncio.Event()
        self._works = False
        self._jammed = False
        self._stopping = False
        self._busy: set[asyncio.Task[None]] = set()
        self._tasks: list[asyncio.Task[None]] = []
        self._keeping: asyncio.Task[None] | None = None

    def start(self) -> None:
        """Begin to listen."""
        self._keeping = asyncio.ensure_future(self._keep())
        watches = (self._listen(), self._wake(), self._unanswered.run())
        work = (*watches, *(self._hand(one) for one in range(IN_FLIGHT)))
        self._tasks = [self._keeping, *map(asyncio.ensure_future, work)]

    def refresh(self, record: TriggerRecord, target: Target | None) -> None:
        """The trigger's words or its function changed; ``None``: there is nobody to deliver to now."""
        self._record, self._target = record, target
        self._changed.set()
        self._changed = asyncio.Event()

    async def stop(self, seconds: float) -> None:
        """Ask for nothing more; what is in flight has so many seconds to end."""
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
        """Hand back what is due for its next attempt; together, since brokers take such words in batches."""
        due = [held.message for held in self._parking.due()]
        for message in due:
            self._held.pop(message.id, None)
        await asyncio.gather(*map(_hand_back, due))

    # Listening

    async def _listen(self) -> None:
        pause = _FIRST_PAUSE
        while True:
            self._works = False
            try:
                await self._listener.listen(self._intake, self._heard)
            except BrokerTrouble as trouble:
                self._report(Report("trouble", str(trouble)))
            except Exception:
                _logger.exception("Trigger %s does not listen.", self._record.id)
                self._report(Report("trouble", "internal error"))
            pause = _FIRST_PAUSE if self._works else min(_LONGEST_SILENCE, pause * 2)
            await asyncio.sleep(pause)

    def _heard(self, words: str) -> None:
        self._works = True
        self._report(Report("listening", words))

    async def _keep(self) -> None:
        while True:
            await asyncio.sleep(self._listener.keep_every)
            with contextlib.suppress(BrokerTrouble):
                if self._busy and not self._moves:
                    self._intake.ahead = 0
                self._moves = False
                if self._listener.pulls_ahead and self._busy and not self._intake.ahead:
                    # The hands were quick when these were asked for, and are not any more.
                    for message in self._intake.give_up():
                        await message.again(0)
                if messages := [held.message for held in self._held.values()] + self._intake.waiting:
                    await self._listener.keep(messages)

    def _is_held(self, message_id: str) -> bool:
        return message_id in self._held or self._intake.has(message_id)

    async def _wake(self) -> None:
        while True:
            await self._parking.wait()
            await self.retry_due()

    # Delivering

    async def _hand(self, number: int) -> None:
        task = asyncio.current_task()
        while not self._stopping and task is not None:
            if self._target is None or number >= self._target.at_once:
                await self._changed.wait()
                continue
            message = await self._intake.next()
            self._busy.add(task)
            try:
                await self._take(message)
            except BrokerTrouble as trouble:
                _logger.info("Trigger %s: %s; message %s comes again.", self._record.id, trouble, message.id)
            except Exception:
                _logger.exception("Message %s of trigger %s comes again.", message.id, self._record.id)
                await asyncio.sleep(_LONGEST_PAUSE)
            finally:
                self._busy.discard(task)
                self._moves = True

    def _pace(self, outcome: Outcome, size: int) -> None:
        """Have messages wait for hands only where they wait but a moment, and are small together."""
        if self._listener.pulls_ahead and outcome.duration_ms < _QUICK_MILLISECONDS and self._target is not None:
            self._intake.ahead = min(_AHEAD * self._target.at_once, _BYTES_AHEAD // (size + 1))
        else:
            self._intake.ahead = 0

    async def _take(self, message: Message) -> None:
        if (known := self._held.get(message.id)) is not None:
            known.message = message
            return
        if message.id in self._finished:
            await message.done()
            return
        held = _Held(message, self._clock.now_ns(), self._known(message))
        self._held[message.id] = held
        still_held = False
        try:
            if held.delivery is None or held.delivery.status == DeliveryStatus.PENDING:
                still_held = await self._deliver(held)
            else:
                await self._settle_again(message, held.delivery)
        finally:
            if not still_held:
                self._held.pop(message.id, None)

    async def _settle_again(self, message: Message, delivery: Delivery) -> None:
        """This one was decided already, but its broker did not hear it."""
        if delivery.status == DeliveryStatus.SUCCEEDED:
            await message.done()
        else:
            await self._log.commit()
            await message.bury()

    def _known(self, message: Message) -> Delivery | None:
        """Return what is known of a message that comes again."""
        known = self._log.of_message(self._record.id, message.id) if message.deliveries > 1 else None
        if known is not None and known.status == DeliveryStatus.UNKNOWN:
            known = known.ended(DeliveryStatus.PENDING, "")
            self._log.put(self._record.id, known, message.body)
        # Where nobody but us ends a message, that counts; after a redrive policy it may have been sent anew.
        return known if known is not None and known.status != DeliveryStatus.FAILED else None

    def _delivery(self, held: _Held) -> Delivery:
        """Return a message's delivery as it is before its next attempt."""
        if held.delivery is not None:
            return held.delivery
        return self._new_delivery(held.message.id, len(held.message.body), held.began)

    def _new_delivery(self, message_id: str, size: int, began: int) -> Delivery:
        return Delivery(
            id=self._names.next(),
            kind=self._listener.kind,
            name=self._record.name,
            function="" if self._target is None else self._target.function,
            at=rounded(began),
            cause="message",
            message_id=message_id,
            body_size=size,
        )

    def _say_begun(self, held: _Held) -> None:
        """Log what had begun a moment ago, if it is still under way."""
        if held.delivery is None and self._held.get(held.message.id) is held:
            held.delivery = self._delivery(held)
            self._log.put(self._record.id, held.delivery, held.message.body)

    async def _deliver(self, held: _Held) -> bool:
        """Try until somebody has seen it; returns whether it is held on to: parked, or still to be settled."""
        self._beginnings.add(held)
        pause = _FIRST_PAUSE
        while True:
            outcome = await self._post(held.message.body)
            if outcome.succeeded:
                self._jammed = False
                self._pace(outcome, len(held.message.body))
                return await self._took(held, outcome)
            held.delivery = self._delivery(held)
            if not outcome.turned_away:
                held.delivery = held.delivery.tried(
                    http_status=outcome.http_status, duration_ms=outcome.duration_ms, error=outcome.error
                )
            match verdict(outcome, held.delivery, held.message.attempt):
                case Verdict.LATER:
                    return await self._later(held, held.delivery)
                case Verdict.LOST:
                    await self._lost(held.message, held.delivery)
                    return False
                case _:
                    self._say_jammed(outcome)
                    await asyncio.sleep(pause)
                    pause = min(_LONGEST_PAUSE, pause * 2)

    async def _post(self, body: bytes) -> Outcome:
        while (target := self._target) is None:
            await self._changed.wait()
        try:
            return await self._door.post(target.host, body, _CONTENT_TYPE, target.patience)
        except Unreachable as error:
            return Outcome(None, 0.0, f"the gateway cannot be reached: {error}", turned_away=True)

    async def _took(self, held: _Held, outcome: Outcome) -> bool:
        """The function took it; returns whether it is still to be settled.

        Where a broker need not be waited for, that is done when every hand that is free has sent its next message:
        the function does not wait for it.
        """
        if not self._listener.pulls_ahead:
            await self._settle(held, outcome)
            return False
        self._unsettled[held.message.id] = (held, outcome)
        if len(self._unsettled) == 1:
            task = asyncio.ensure_future(self._settle_all())
            self._settling.add(task)
            task.add_done_callback(self._settling.discard)
        return True

    async def _settle_all(self) -> None:
        await asyncio.sleep(0)
        unsettled, self._unsettled = self._unsettled, {}
        for held, outcome in unsettled.values():
            with contextlib.suppress(BrokerTrouble):  # it comes again, and is known then
                await self._settle(held, outcome)
            self._held.pop(held.message.id, None)

    async def _settle(self, held: _Held, outcome: Outcome) -> None:
        message = held.message
        if held.delivery is None:
            make = partial(self._quick_success, message.id, len(message.body), held.began, outcome)
            self._log.put_success(self._record.id, self._listener.kind, make, message.body)
        else:
            self._log.put(self._record.id, _succeeded(held.delivery, outcome), message.body)
        self._finished.add(held.message.id)
        await held.message.done()

    def _quick_success(self, message_id: str, size: int, began: int, outcome: Outcome) -> Delivery:
        return _succeeded(self._new_delivery(message_id, size, began), outcome)

    async def _later(self, held: _Held, delivery: Delivery) -> bool:
        self._log.put(self._record.id, delivery, held.message.body)
        spacing = self._listener.spacing
        if self._parking.park(held, len(held.message.body), self._clock.now() + spacing):
            return True
        speed = self._clock.speed
        await held.message.again(spacing / speed if speed else _STANDING_RETRY)
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
        await self._log.commit()
        await message.bury()

    def _say_jammed(self, outcome: Outcome) -> None:
        self._intake.ahead = 0
        if not self._jammed:
            self._jammed = True
            _logger.warning("Messages of trigger %s wait: %s", self._record.id, outcome.error)


def _succeeded(delivery: Delivery, outcome: Outcome) -> Delivery:
    tried = delivery.tried(http_status=outcome.http_status, duration_ms=outcome.duration_ms)
    return tried.ended(DeliveryStatus.SUCCEEDED)


async def _hand_back(message: Message) -> None:
    with contextlib.suppress(BrokerTrouble):
        await message.again(0)
