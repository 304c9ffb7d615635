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
import uuid
from collections.abc import Callable
from dataclasses import dataclass
from typing import Final

from fnkit.platform.control.context import ControlContext
from fnkit.platform.control.deliveries import DeliveryLog
from fnkit.platform.control.timestamps import rounded
from fnkit.platform.records.delivery import Delivery, DeliveryStatus
from fnkit.platform.records.trigger import TriggerRecord
from fnkit.platform.schedulers.attempts import Verdict, verdict
from fnkit.platform.schedulers.delivery import Door, Outcome, Unreachable
from fnkit.platform.schedulers.finished import Finished
from fnkit.platform.schedulers.listening import BrokerTrouble, Intake, Listener, Message
from fnkit.platform.schedulers.parking import Parking
from fnkit.platform.schedulers.targets import IN_FLIGHT, Target

__all__ = ["Report", "Subscription"]

_FIRST_PAUSE: Final = 0.05
_LONGEST_PAUSE: Final = 1.0
_LONGEST_SILENCE: Final = 5.0  # until a broker in trouble is tried again
_STANDING_RETRY: Final = 1.0  # where the clock stands and there is no room to wait for it
_QUICK_SECONDS: Final = 0.05
_CONTENT_TYPE: Final = "text/plain; charset=utf-8"
_logger = logging.getLogger(__name__)


@dataclass(frozen=True, slots=True)
class Report:
    """How a trigger listens. ``state`` is ``idle``, ``listening`` or ``trouble``; ``words`` say more."""

    state: str
    words: str


@dataclass(slots=True)
class _Held:
    """A message that is ours at the moment; ``message`` is its newest copy."""

    message: Message
    delivery: Delivery


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
        self._parking: Parking[_Held] = Parking(context.clock)
        self._changed = asyncio.Event()
        self._works = False
        self._jammed = False
        self._stopping = False
        self._busy: set[asyncio.Task[None]] = set()
        self._tasks: list[asyncio.Task[None]] = []

    def start(self) -> None:
        """Begin to listen."""
        work = (self._listen(), self._keep(), self._wake(), *(self._hand(one) for one in range(IN_FLIGHT)))
        self._tasks = [asyncio.ensure_future(one) for one in work]

    def refresh(self, record: TriggerRecord, target: Target | None) -> None:
        """The trigger's words or its function changed; ``None``: there is nobody to deliver to now."""
        self._record, self._target = record, target
        self._changed.set()
        self._changed = asyncio.Event()

    async def stop(self, seconds: float) -> None:
        """Ask for nothing more; what is in flight has so many seconds to end."""
        self._stopping = True
        for task in self._tasks:
            if task not in self._busy:
                task.cancel()
        if self._busy:
            await asyncio.wait(self._busy, timeout=seconds)
        for task in self._tasks:
            task.cancel()
        await asyncio.gather(*self._tasks, return_exceptions=True)
        await self._listener.close()

    async def retry_due(self) -> None:
        """Hand back what is due for its next attempt."""
        for held in self._parking.due():
            self._held.pop(held.message.id, None)
            with contextlib.suppress(BrokerTrouble):
                await held.message.again(0)

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
                if self._listener.pulls_ahead and self._busy and not self._intake.ahead:
                    # The hands were quick when these were asked for, and are not any more.
                    for message in self._intake.give_up():
                        await message.again(0)
                if messages := [held.message for held in self._held.values()] + self._intake.waiting:
                    await self._listener.keep(messages)

    async def _wake(self) -> None:
        while True:
            await self._parking.wait()
            await self.retry_due()

    # Delivering

    async def _hand(self, number: int) -> None:
        task, loop = asyncio.current_task(), asyncio.get_running_loop()
        while not self._stopping and task is not None:
            if self._target is None or number >= self._target.at_once:
                await self._changed.wait()
                continue
            message = await self._intake.next()
            self._busy.add(task)
            began = loop.time()
            try:
                await self._take(message)
            except BrokerTrouble as trouble:
                _logger.info("Trigger %s: %s; message %s comes again.", self._record.id, trouble, message.id)
            except Exception:
                _logger.exception("Message %s of trigger %s comes again.", message.id, self._record.id)
                await asyncio.sleep(_LONGEST_PAUSE)
            finally:
                self._busy.discard(task)
                self._pace(loop.time() - began)

    def _pace(self, seconds: float) -> None:
        """Have messages wait for hands only where they wait but a moment."""
        quick = self._listener.pulls_ahead and seconds < _QUICK_SECONDS and not self._jammed
        self._intake.ahead = 2 * self._target.at_once if quick and self._target is not None else 0

    async def _take(self, message: Message) -> None:
        if (known := self._held.get(message.id)) is not None:
            known.message = message
            return
        if message.id in self._finished:
            await message.done()
            return
        held = _Held(message, self._delivery(message))
        self._held[message.id] = held
        is_parked = False
        try:
            if held.delivery.status == DeliveryStatus.PENDING:
                is_parked = await self._deliver(held)
            else:
                await self._settle_again(held)
        finally:
            if not is_parked:
                self._held.pop(message.id, None)

    async def _settle_again(self, held: _Held) -> None:
        """This one was decided already, but its broker did not hear it."""
        if held.delivery.status == DeliveryStatus.SUCCEEDED:
            await held.message.done()
        else:
            await self._log.commit()
            await held.message.bury()

    def _delivery(self, message: Message) -> Delivery:
        """Return what is known of a message that comes again, or the beginning of a new delivery."""
        known = self._log.of_message(self._record.id, message.id) if message.deliveries > 1 else None
        # Where nobody but us ends a message, that counts; after a redrive policy it may have been sent anew.
        if known is not None and known.status != DeliveryStatus.FAILED:
            return known
        return Delivery(
            id=str(uuid.uuid4()),
            kind=self._listener.kind,
            name=self._record.name,
            function="" if self._target is None else self._target.function,
            at=rounded(self._clock.now_ns()),
            cause="message",
            message_id=message.id,
            body_size=len(message.body),
        )

    async def _deliver(self, held: _Held) -> bool:
        """Try until somebody has seen it; returns whether it is parked for another attempt."""
        self._log.put(self._record.id, held.delivery, held.message.body)
        pause = _FIRST_PAUSE
        while True:
            outcome = await self._post(held.message.body)
            if not outcome.turned_away:
                held.delivery = held.delivery.tried(
                    http_status=outcome.http_status, duration_ms=outcome.duration_ms, error=outcome.error
                )
            match verdict(outcome, held.delivery, held.message.attempt):
                case Verdict.TAKEN:
                    self._jammed = False
                    await self._taken(held)
                    return False
                case Verdict.LATER:
                    return await self._later(held)
                case Verdict.LOST:
                    await self._lost(held)
                    return False
                case Verdict.SOON:
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

    async def _taken(self, held: _Held) -> None:
        held.delivery = held.delivery.ended(DeliveryStatus.SUCCEEDED)
        self._log.put(self._record.id, held.delivery, held.message.body)
        self._finished.add(held.message.id)
        await held.message.done()

    async def _later(self, held: _Held) -> bool:
        self._log.put(self._record.id, held.delivery, held.message.body)
        spacing = self._listener.spacing
        if self._parking.park(held, len(held.message.body), self._clock.now() + spacing):
            return True
        speed = self._clock.speed
        await held.message.again(spacing / speed if speed else _STANDING_RETRY)
        return False

    async def _lost(self, held: _Held) -> None:
        status = DeliveryStatus.FAILED if self._listener.redrives else DeliveryStatus.DEAD
        held.delivery = held.delivery.ended(status)
        self._log.put(self._record.id, held.delivery, held.message.body)
        if self._listener.redrives:
            speed = self._clock.speed
            await held.message.again(self._listener.spacing / speed if speed else _STANDING_RETRY)
            return
        name, error = self._record.name, held.delivery.error
        _logger.warning("Message %s of trigger %s (%s) is dead: %s", held.message.id, self._record.id, name, error)
        await self._log.commit()
        await held.message.bury()

    def _say_jammed(self, outcome: Outcome) -> None:
        if not self._jammed:
            self._jammed = True
            _logger.warning("Messages of trigger %s wait: %s", self._record.id, outcome.error)
