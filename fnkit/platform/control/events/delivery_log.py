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
from collections.abc import Callable
from typing import Final

import msgspec

from fnkit.platform.control.context import retry_until_written
from fnkit.platform.control.counters import ControlCounters
from fnkit.platform.control.store.database import Store
from fnkit.platform.control.store.deliveries import KEPT_PER_GROUP, TRUNCATED_BODY_BYTES, DeliveryTable
from fnkit.platform.model.delivery import Delivery, DeliveryStatus

_FLUSH_INTERVAL: Final = 0.05  # real time
_MAX_SUCCESS_DELAY: Final = 2.0  # real time
_MAX_WRITE_FRACTION: Final = 0.02  # largest share of the time that is spent writing successes
_RETRY_INTERVAL: Final = 1.0  # real time
_PRUNE_SLACK: Final = 64  # rows above the limit at which the oldest are deleted, to avoid a DELETE in every commit
_INTERRUPTED: Final = "the platform stopped before the function responded; the function may have run"
_OUTCOME_UNKNOWN: Final = "the platform stopped before the outcome was recorded; the function may have run"
_logger = logging.getLogger(__name__)


class DeliveryLog:
    """Buffered access to the deliveries of all crons and triggers. For use on the event loop only.

    Args:
        store: The store.
        counters: Counts finished deliveries.
        success_delay: Seconds of real time until the first buffered successes are written. It is adapted to the
            duration of each write.
    """

    def __init__(
        self, store: Store, counters: ControlCounters | None = None, *, success_delay: float = _FLUSH_INTERVAL
    ) -> None:
        self._store = store
        self._counters = counters or ControlCounters()
        self._buffer: dict[str, tuple[str, Delivery, bytes]] = {}  # delivery id → source id, delivery, body
        self._successes: dict[str, deque[tuple[Callable[[], Delivery], bytes]]] = {}  # by source id
        self._success_delay = success_delay
        self._row_bounds: dict[str, int] = {}  # source id → upper bound of its rows in the table
        self._flush_timer: asyncio.TimerHandle | None = None
        self._success_timer: asyncio.TimerHandle | None = None

    # Recording

    def record(self, source_id: str, delivery: Delivery, body: bytes) -> None:
        """Record the current state of a delivery: when it starts, after each attempt and when it is finished.

        Args:
            source_id: The cron or trigger.
            delivery: The delivery. Replaces an earlier record with the same id.
            body: The complete body, at each call. It is truncated only for a successful delivery.
        """
        if delivery.status != DeliveryStatus.PENDING:
            self._counters.count_delivery(delivery.kind, delivery.status)
        self._buffer[delivery.id] = (source_id, delivery, body)
        self._schedule_flush(_FLUSH_INTERVAL)

    def record_success(self, source_id: str, kind: str, delivery: Callable[[], Delivery], body: bytes) -> None:
        """Record a delivery that succeeded and of which no earlier state was recorded.

        Args:
            source_id: The cron or trigger.
            kind: The delivery's ``kind``.
            delivery: Returns the delivery. Called only if the delivery is still among the newest ones when the
                buffer is written: building the record costs more than counting the success.
            body: The complete body.
        """
        self._counters.count_delivery(kind, DeliveryStatus.SUCCEEDED)
        successes = self._successes.get(source_id)
        if successes is None:
            successes = self._successes[source_id] = deque(maxlen=KEPT_PER_GROUP)
        successes.append((delivery, body[:TRUNCATED_BODY_BYTES]))
        if self._success_timer is None:
            self._success_timer = asyncio.get_running_loop().call_later(
                self._success_delay, self._try_flush, self.flush
            )

    async def commit(self) -> None:
        """Return once everything recorded so far is on disk, retrying for as long as the disk is full."""
        await retry_until_written(self.flush)

    def flush(self) -> None:
        """Write everything recorded so far.

        Raises:
            sqlite3.OperationalError: The database did not accept the write. The records stay buffered.
        """
        began = time.monotonic()
        if self._success_timer is not None:
            self._success_timer.cancel()
            self._success_timer = None
        if self._successes:
            self._buffer_successes()
        self._flush_buffer()
        pause = (time.monotonic() - began) / _MAX_WRITE_FRACTION
        self._success_delay = min(max(pause, _FLUSH_INTERVAL), _MAX_SUCCESS_DELAY)

    def _flush_buffer(self) -> None:
        """Write the buffer without the successes, which have a longer interval of their own."""
        if self._flush_timer is not None:
            self._flush_timer.cancel()
            self._flush_timer = None
        if not self._buffer:
            return
        batch, self._buffer = self._buffer, {}
        try:
            with self._store.transaction():
                self._store.deliveries.put_all(batch.values())
                self._prune(list(batch.values()))
        except BaseException:
            # Records made meanwhile are newer than those that could not be written, so they take precedence.
            self._buffer = {**batch, **self._buffer}
            self._row_bounds.clear()
            raise

    def _buffer_successes(self) -> None:
        successes, self._successes = self._successes, {}
        for source_id, newest in successes.items():
            for make, body in newest:
                delivery = make()
                self._buffer[delivery.id] = (source_id, delivery, body)

    def insert(self, source_id: str, delivery: Delivery, body: bytes) -> None:
        """Insert a delivery without buffering it. Call this in a transaction."""
        self._store.deliveries.put_all([(source_id, delivery, body)])
        self._prune_source(source_id, 1)

    def add_replay(self, source_id: str, original: Delivery, delivery: Delivery, body: bytes) -> None:
        """Insert a replay and mark the original as replayed. Call this in a transaction.

        Args:
            source_id: The cron or trigger.
            original: The delivery to replay.
            delivery: The replay.
            body: The complete body.
        """
        self._store.deliveries.update(msgspec.structs.replace(original, replayed_by=delivery.id))
        self.insert(source_id, delivery, body)

    def mark_interrupted(self) -> None:
        """Finish the deliveries that an earlier process left pending. Call this at startup, in a transaction.

        The outcome of a message is unknown. If its broker still has it, it is delivered again and continues its
        delivery. Nobody sends a cron run or a replay again, since that could run the function twice: it has failed.
        """
        for delivery in self._store.deliveries.pending():
            if delivery.cause == "message":
                interrupted = delivery.finished(DeliveryStatus.UNKNOWN, _OUTCOME_UNKNOWN)
            else:
                interrupted = delivery.finished(DeliveryStatus.FAILED, _INTERRUPTED)
            self._store.deliveries.update(interrupted)

    def close(self) -> None:
        """Write the buffer, if the disk allows, and cancel the timers.

        Deliveries that are still pending are finished at the next start (``mark_interrupted``).
        """
        with contextlib.suppress(sqlite3.OperationalError):
            self.flush()
        for timer in (self._flush_timer, self._success_timer):
            if timer is not None:
                timer.cancel()

    # Reading

    def table(self) -> DeliveryTable:
        """Return the table of deliveries with everything recorded so far, to read from.

        Raises:
            sqlite3.OperationalError: The buffer could not be written.
        """
        self.flush()
        return self._store.deliveries

    def find_by_message(self, source_id: str, message_id: str) -> Delivery | None:
        """Return the newest delivery of a broker's message, or ``None``.

        A redelivered message continues this delivery, so that its attempts are counted across redeliveries.
        """
        for source, delivery, _ in self._buffer.values():
            if source == source_id and delivery.message_id == message_id:
                return delivery
        found = self._store.deliveries.find_by_message(source_id, message_id)
        return None if found is None else found[0]

    # Writing

    def _schedule_flush(self, seconds: float) -> None:
        if self._flush_timer is None:
            self._flush_timer = asyncio.get_running_loop().call_later(seconds, self._try_flush, self._flush_buffer)

    def _try_flush(self, flush: Callable[[], None]) -> None:
        try:
            flush()
        except sqlite3.OperationalError as error:
            _logger.error("Writing the delivery log failed, retrying: %s", error)  # noqa: TRY400  no stack needed
            # Bound the buffer while the disk is full: successes are expendable, failures are not.
            self._buffer = {
                name: said for name, said in self._buffer.items() if said[1].status != DeliveryStatus.SUCCEEDED
            }
            self._schedule_flush(_RETRY_INTERVAL)

    def _prune(self, written: list[tuple[str, Delivery, bytes]]) -> None:
        added: dict[str, int] = {}
        large: set[str] = set()
        for source_id, delivery, body in written:
            added[source_id] = added.get(source_id, 0) + 1
            if len(body) > TRUNCATED_BODY_BYTES and delivery.status != DeliveryStatus.SUCCEEDED:
                large.add(source_id)
        for source_id, number in added.items():
            self._prune_source(source_id, number)
        for source_id in large:
            if truncated := self._store.deliveries.truncate_bodies(source_id):
                _logger.warning(
                    "Truncated %d dead messages of %s; they can no longer be replayed.", truncated, source_id
                )

    def _prune_source(self, source_id: str, added: int) -> None:
        """Delete the oldest deliveries of a source once it may have more than the limit.

        The number of rows is tracked as an upper bound, since counting them on each write would be slow.
        """
        number = self._row_bounds.get(source_id, KEPT_PER_GROUP + _PRUNE_SLACK) + added
        if number > KEPT_PER_GROUP + _PRUNE_SLACK:
            self._store.deliveries.prune(source_id)
            number = min(KEPT_PER_GROUP, self._store.deliveries.count(source_id))
        self._row_bounds[source_id] = number
