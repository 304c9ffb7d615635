"""The delivery log as the schedulers write it: said at once, on disk within a moment, or when it must be.

A queue says thousands of things a second, and none of them is worth a disk's sync of its own: the broker holds the
message until it is acknowledged. So what is said is gathered and written about every 50 ms, in one transaction,
and before everything that reads the log. ``commit`` returns when all that was said is on disk: that is needed
before a broker is told to forget a message that this log then holds alone. Ticks of crons have a stronger rule of
their own (``control.ticks``).

Quick successes (``put_success``) are most of what a queue says, and only the newest thousand of each source stay in
the table. So no more than these are held and written, less often the longer it takes, within two seconds.
"""

from __future__ import annotations

import asyncio
import contextlib
import logging
import sqlite3
import time
from collections import deque
from collections.abc import Callable, Sequence
from typing import Final

from fnkit.platform.control.context import persistently
from fnkit.platform.control.metering import ControlMeter
from fnkit.platform.records.delivery import Delivery, DeliveryStatus
from fnkit.platform.store.database import Store
from fnkit.platform.store.deliveries import BODY_KEPT, KEPT_PER_SOURCE

__all__ = ["DeliveryLog"]

_GATHER_SECONDS: Final = 0.05  # real
_SUCCESSES_WITHIN: Final = 2.0  # real
_WRITING_SHARE: Final = 0.02  # of the time, at most, that quick successes are written
_AGAIN_SECONDS: Final = 1.0  # real
_SLACK: Final = 64  # how many more than the kept ones may lie there before the oldest go
_UNKNOWN: Final = "the platform ended before an answer came; the function may have run"
_COMES_AGAIN: Final = "the platform ended before an answer came; what its broker still has is delivered again"
_logger = logging.getLogger(__name__)


class DeliveryLog:
    """Everybody's deliveries. Lives on control's event loop."""

    def __init__(self, store: Store, meter: ControlMeter | None = None) -> None:
        self._store = store
        self._meter = meter or ControlMeter()
        self._said: dict[str, tuple[str, Delivery, bytes]] = {}
        self._successes: dict[str, deque[tuple[Callable[[], Delivery], bytes]]] = {}
        self._pause = _GATHER_SECONDS  # until quick successes are written
        self._counts: dict[str, int] = {}
        self._timer: asyncio.TimerHandle | None = None
        self._later: asyncio.TimerHandle | None = None

    # What schedulers say

    def put(self, source_id: str, delivery: Delivery, body: bytes) -> None:
        """Say what is known of a delivery now: when it begins, after each attempt, and at its end.

        ``body`` is the whole one each time; it is kept whole unless the delivery succeeded.
        """
        if delivery.status != DeliveryStatus.PENDING:
            self._meter.delivered(delivery.kind, delivery.status)
        self._said[delivery.id] = (source_id, delivery, body)
        self._write_within(_GATHER_SECONDS)

    def put_success(self, source_id: str, kind: str, delivery: Callable[[], Delivery], body: bytes) -> None:
        """Say that a delivery succeeded of which nothing was said before; ``delivery`` makes it if it is kept."""
        self._meter.delivered(kind, DeliveryStatus.SUCCEEDED)
        successes = self._successes.get(source_id)
        if successes is None:
            successes = self._successes[source_id] = deque(maxlen=KEPT_PER_SOURCE)
        successes.append((delivery, body[:BODY_KEPT]))
        if self._later is None:
            self._later = asyncio.get_running_loop().call_later(self._pause, self._write, self.flush)

    async def commit(self) -> None:
        """Return when everything that was said is on disk, however long the disk refuses."""
        await persistently(self.flush)

    def flush(self) -> None:
        """Write everything that was said; ``sqlite3.OperationalError`` where the disk does not take it."""
        began = time.monotonic()
        if self._later is not None:
            self._later.cancel()
            self._later = None
        if self._successes:
            self._make_successes()
        self._flush_said()
        pause = (time.monotonic() - began) / _WRITING_SHARE
        self._pause = min(max(pause, _GATHER_SECONDS), _SUCCESSES_WITHIN)

    def _flush_said(self) -> None:
        """Write what quick successes need not wait for, nor it for them."""
        if self._timer is not None:
            self._timer.cancel()
            self._timer = None
        if not self._said:
            return
        said, self._said = self._said, {}
        try:
            with self._store.transaction():
                self._store.deliveries.put_all(said.values())
                self._tidy(list(said.values()))
        except BaseException:
            self._said = {**said, **self._said}
            self._counts.clear()
            raise

    def _make_successes(self) -> None:
        successes, self._successes = self._successes, {}
        for source_id, newest in successes.items():
            for make, body in newest:
                delivery = make()
                self._said[delivery.id] = (source_id, delivery, body)

    def wrote(self, source_id: str) -> None:
        """Somebody added a delivery of this source in a transaction of his own, which is still open."""
        self._prune(source_id, 1)

    def repeat(self, source_id: str, original: Delivery, delivery: Delivery, body: bytes) -> None:
        """Add a delivery that repeats another; belongs into a transaction."""
        self._store.deliveries.mark_replayed(original, delivery.id)
        self._store.deliveries.put(source_id, delivery, body)
        self._prune(source_id, 1)

    def reconcile(self) -> None:
        """At start, in a transaction: say what is true of what was under way when an earlier process ended.

        A message stays pending, since its broker delivers it again; everything else has failed, as far as is known.
        """
        for delivery in self._store.deliveries.unfinished():
            if delivery.cause == "message":
                known = delivery.ended(DeliveryStatus.PENDING, _COMES_AGAIN)
            else:
                known = delivery.ended(DeliveryStatus.FAILED, _UNKNOWN)
            self._store.deliveries.restate(known)

    def close(self) -> None:
        """Write what is still to be written, if the disk takes it; what was under way is reconciled later."""
        with contextlib.suppress(sqlite3.OperationalError):
            self.flush()
        for timer in (self._timer, self._later):
            if timer is not None:
                timer.cancel()

    # What is read

    def page(
        self,
        source_id: str,
        *,
        limit: int,
        statuses: Sequence[str] = (),
        before: str | None = None,
        replayed: bool | None = None,
        body_bytes: int = BODY_KEPT,
    ) -> list[tuple[Delivery, bytes]]:
        """See ``store.deliveries``; what was said just now is there."""
        self.flush()
        return self._store.deliveries.page(
            source_id, limit=limit, statuses=statuses, before=before, replayed=replayed, body_bytes=body_bytes
        )

    def count(self, source_id: str, statuses: Sequence[str] = ()) -> int:
        """How many deliveries of a source are kept."""
        self.flush()
        return self._store.deliveries.count(source_id, statuses)

    def one(self, source_id: str, delivery_id: str) -> tuple[Delivery, bytes] | None:
        """Return one delivery with its body; cut where it is shorter than ``body_size``."""
        self.flush()
        return self._store.deliveries.one(source_id, delivery_id)

    def unanswered(self, source_id: str) -> list[tuple[str, str]]:
        """Return the messages of a source that are under way: each delivery's id, and its message's."""
        self.flush()
        return self._store.deliveries.unanswered(source_id)

    def of_message(self, source_id: str, message_id: str) -> Delivery | None:
        """Return the newest delivery of a broker's message: one that comes again goes on where it was."""
        for source, delivery, _ in self._said.values():
            if source == source_id and delivery.message_id == message_id:
                return delivery
        found = self._store.deliveries.of_message(source_id, message_id)
        return None if found is None else found[0]

    # Writing

    def _write_within(self, seconds: float) -> None:
        if self._timer is None:
            self._timer = asyncio.get_running_loop().call_later(seconds, self._write, self._flush_said)

    def _write(self, flush: Callable[[], None]) -> None:
        try:
            flush()
        except sqlite3.OperationalError as error:
            _logger.error("The store does not take the delivery log, trying again: %s", error)  # noqa: TRY400  no stack needed
            # What needs nobody is not worth memory while the disk is full.
            self._said = {
                name: said for name, said in self._said.items() if said[1].status != DeliveryStatus.SUCCEEDED
            }
            self._write_within(_AGAIN_SECONDS)

    def _tidy(self, written: list[tuple[str, Delivery, bytes]]) -> None:
        added: dict[str, int] = {}
        large: set[str] = set()
        for source_id, delivery, body in written:
            added[source_id] = added.get(source_id, 0) + 1
            if len(body) > BODY_KEPT and delivery.status != DeliveryStatus.SUCCEEDED:
                large.add(source_id)
        for source_id, number in added.items():
            self._prune(source_id, number)
        for source_id in large:
            if lost := self._store.deliveries.cut_bodies(source_id):
                _logger.warning(
                    "%d dead messages of %s are kept in part only: they are too large.", lost, source_id
                )

    def _prune(self, source_id: str, added: int) -> None:
        """Drop the oldest now and then; how many there may be since is counted, not asked."""
        number = self._counts.get(source_id, KEPT_PER_SOURCE + _SLACK) + added
        if number > KEPT_PER_SOURCE + _SLACK:
            self._store.deliveries.prune(source_id)
            number = min(KEPT_PER_SOURCE, self._store.deliveries.count(source_id))
        self._counts[source_id] = number
