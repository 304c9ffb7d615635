"""The delivery log: buffers delivery records and writes them in batches every 50 ms.

Queues report thousands of changes per second. A sync for each would cost more than handling the message, and is
not needed, since the broker keeps a message until it is acknowledged. Changes are therefore written about every
50 ms in one transaction, and before every read. ``commit`` flushes the buffer; call it before a broker removes a
message of which the log then holds the only copy. Scheduled runs of crons are stricter: they are on disk before the
function is called (``CronState.begin_runs``).

Most records of a queue are successes of a single attempt (``record_success``), of which the table keeps only the
newest thousand per source. No more than these are buffered, and they are written less often the longer a write
takes, at least every two seconds.
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

_GATHER_SECONDS: Final = 0.05  # real time
_SUCCESSES_WITHIN: Final = 2.0  # real time
_WRITING_SHARE: Final = 0.02  # largest share of the time that is spent writing successes
_AGAIN_SECONDS: Final = 1.0  # real time
_SLACK: Final = 64  # rows above the limit at which the oldest are deleted; avoids a DELETE in every transaction
_UNKNOWN: Final = "the platform stopped before the function responded; the function may have run"
_COMES_AGAIN: Final = "the platform stopped before the function responded; waiting for the broker to redeliver"
_logger = logging.getLogger(__name__)


class DeliveryLog:
    """Buffered access to the deliveries of all crons and triggers. For use on the event loop only."""

    def __init__(self, store: Store, meter: ControlMeter | None = None) -> None:
        self._store = store
        self._meter = meter or ControlMeter()
        self._said: dict[str, tuple[str, Delivery, bytes]] = {}  # delivery id → source id, delivery, body
        self._successes: dict[str, deque[tuple[Callable[[], Delivery], bytes]]] = {}  # by source id
        self._pause = _GATHER_SECONDS  # until buffered successes are written
        self._counts: dict[str, int] = {}  # source id → upper bound of its rows in the table
        self._timer: asyncio.TimerHandle | None = None
        self._later: asyncio.TimerHandle | None = None

    # Recording

    def put(self, source_id: str, delivery: Delivery, body: bytes) -> None:
        """Record the current state of a delivery: when it starts, after each attempt and when it is finished.

        Args:
            source_id: The cron or trigger.
            delivery: The delivery. Replaces an earlier record with the same id.
            body: The complete body, at each call. It is truncated only for a successful delivery.
        """
        if delivery.status != DeliveryStatus.PENDING:
            self._meter.delivered(delivery.kind, delivery.status)
        self._said[delivery.id] = (source_id, delivery, body)
        self._write_within(_GATHER_SECONDS)

    def put_success(self, source_id: str, kind: str, delivery: Callable[[], Delivery], body: bytes) -> None:
        """Record a delivery that succeeded and of which no earlier state was recorded.

        Args:
            source_id: The cron or trigger.
            kind: The delivery's ``kind``.
            delivery: Returns the delivery. Called only if the delivery is still among the newest ones when the
                buffer is written: building the record costs more than counting the success.
            body: The complete body.
        """
        self._meter.delivered(kind, DeliveryStatus.SUCCEEDED)
        successes = self._successes.get(source_id)
        if successes is None:
            successes = self._successes[source_id] = deque(maxlen=KEPT_PER_SOURCE)
        successes.append((delivery, body[:BODY_KEPT]))
        if self._later is None:
            self._later = asyncio.get_running_loop().call_later(self._pause, self._write, self.flush)

    async def commit(self) -> None:
        """Return once everything recorded so far is on disk, retrying for as long as the disk is full."""
        await persistently(self.flush)

    def flush(self) -> None:
        """Write everything recorded so far.

        Raises:
            sqlite3.OperationalError: The database did not accept the write. The records stay buffered.
        """
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
        """Write the buffer without the successes, which have a longer interval of their own."""
        if self._timer is not None:
            self._timer.cancel()
            self._timer = None
        if not self._said:
            return
        batch, self._said = self._said, {}
        try:
            with self._store.transaction():
                self._store.deliveries.put_all(batch.values())
                self._tidy(list(batch.values()))
        except BaseException:
            # Records made meanwhile are newer than those that could not be written, so they take precedence.
            self._said = {**batch, **self._said}
            self._counts.clear()
            raise

    def _make_successes(self) -> None:
        successes, self._successes = self._successes, {}
        for source_id, newest in successes.items():
            for make, body in newest:
                delivery = make()
                self._said[delivery.id] = (source_id, delivery, body)

    def wrote(self, source_id: str) -> None:
        """Account for a delivery that the caller inserted into the store itself. Call this in its transaction."""
        self._prune(source_id, 1)

    def repeat(self, source_id: str, original: Delivery, delivery: Delivery, body: bytes) -> None:
        """Insert a replay and mark the original as replayed. Call this in a transaction.

        Args:
            source_id: The cron or trigger.
            original: The delivery to replay.
            delivery: The replay.
            body: The complete body.
        """
        self._store.deliveries.mark_replayed(original, delivery.id)
        self._store.deliveries.put(source_id, delivery, body)
        self._prune(source_id, 1)

    def reconcile(self) -> None:
        """Resolve deliveries that an earlier process left pending. Call this at startup, in a transaction.

        A message stays pending, since its broker redelivers it or reports its outcome. Everything else is marked as
        failed: the function may or may not have run, and calling it again could run it twice.
        """
        for delivery in self._store.deliveries.unfinished():
            if delivery.cause == "message":
                resolved = delivery.ended(DeliveryStatus.PENDING, _COMES_AGAIN)
            else:
                resolved = delivery.ended(DeliveryStatus.FAILED, _UNKNOWN)
            self._store.deliveries.restate(resolved)

    def close(self) -> None:
        """Write the buffer, if the disk allows, and cancel the timers.

        Deliveries that are still pending are reconciled at the next start.
        """
        with contextlib.suppress(sqlite3.OperationalError):
            self.flush()
        for timer in (self._timer, self._later):
            if timer is not None:
                timer.cancel()

    # Reading

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
        """Return deliveries of a source, newest first, each with the beginning of its body.

        Args:
            source_id: The cron or trigger.
            limit: Largest number of deliveries.
            statuses: Only deliveries with one of these statuses; empty for all.
            before: Only deliveries older than the one with this id.
            replayed: Only deliveries that were (``True``) or were not (``False``) replayed.
            body_bytes: Largest number of bytes of each body.

        Raises:
            sqlite3.OperationalError: The buffer could not be written before the read.
        """
        self.flush()
        return self._store.deliveries.page(
            source_id, limit=limit, statuses=statuses, before=before, replayed=replayed, body_bytes=body_bytes
        )

    def count(self, source_id: str, statuses: Sequence[str] = ()) -> int:
        """Return the number of stored deliveries of a source."""
        self.flush()
        return self._store.deliveries.count(source_id, statuses)

    def one(self, source_id: str, delivery_id: str) -> tuple[Delivery, bytes] | None:
        """Return a delivery with its body, or ``None``. A truncated body is shorter than ``body_size``."""
        self.flush()
        return self._store.deliveries.one(source_id, delivery_id)

    def unanswered(self, source_id: str) -> list[tuple[str, str]]:
        """Return the id and message id of each pending delivery of a message."""
        self.flush()
        return self._store.deliveries.unanswered(source_id)

    def of_message(self, source_id: str, message_id: str) -> Delivery | None:
        """Return the newest delivery of a broker's message, or ``None``.

        A redelivered message continues this delivery, so that its attempts are counted across redeliveries.
        """
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
            _logger.error("Writing the delivery log failed, retrying: %s", error)  # noqa: TRY400  no stack needed
            # Bound the buffer while the disk is full: successes are expendable, failures are not.
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
            if truncated := self._store.deliveries.cut_bodies(source_id):
                _logger.warning(
                    "Truncated %d dead messages of %s; they can no longer be replayed.", truncated, source_id
                )

    def _prune(self, source_id: str, added: int) -> None:
        """Delete the oldest deliveries of a source once it may have more than the limit.

        The number of rows is tracked as an upper bound, since counting them on each write would be slow.
        """
        number = self._counts.get(source_id, KEPT_PER_SOURCE + _SLACK) + added
        if number > KEPT_PER_SOURCE + _SLACK:
            self._store.deliveries.prune(source_id)
            number = min(KEPT_PER_SOURCE, self._store.deliveries.count(source_id))
        self._counts[source_id] = number
