"""Reconciles deliveries still marked pending after a crash or purge, by asking the broker for their outcome.

The delivery log is written shortly after a message was acknowledged. A process that is killed in between leaves
pending deliveries of messages that the broker has removed. Messages can also disappear at the broker: a queue is
purged, a stream deletes old messages. ``docs/decisions/delivery-reconciliation.md`` compares this with
alternatives.
"""

from __future__ import annotations

import asyncio
import logging
import random
import sqlite3
from collections.abc import Callable
from typing import Final

import msgspec

from fnkit.platform.control.events.delivery_log import DeliveryLog
from fnkit.platform.control.events.queues.interface import BrokerError, BrokerOutcome, MessageSource
from fnkit.platform.model.delivery import Delivery, DeliveryStatus

__all__ = ["Reconciler"]

_INITIAL_DELAY: Final = 1.0
_PENDING_INTERVAL: Final = 5.0  # while deliveries are pending
_IDLE_INTERVAL: Final = 30.0
_logger = logging.getLogger(__name__)


class Reconciler:
    """Reconciles the deliveries of one trigger."""

    def __init__(
        self, log: DeliveryLog, source_id: str, source: MessageSource, is_in_flight: Callable[[str], bool]
    ) -> None:
        """Create the reconciler.

        Args:
            log: The delivery log.
            source_id: Id of the trigger.
            source: Looks up outcomes.
            is_in_flight: Returns whether this process holds the message with an id.
        """
        self._log = log
        self._source_id = source_id
        self._source = source
        self._is_in_flight = is_in_flight
        self._unheld_since: dict[str, float] = {}

    async def run(self) -> None:
        """Reconcile now and then, forever."""
        pause = _INITIAL_DELAY
        while True:
            await asyncio.sleep(pause)
            try:
                await self.reconcile()
            except (BrokerError, sqlite3.OperationalError) as error:
                _logger.debug(
                    "Outcomes of messages of trigger %s are not available yet: %s", self._source_id, error
                )
            except Exception:
                _logger.exception("Looking up outcomes of messages of trigger %s failed.", self._source_id)
            pause = _PENDING_INTERVAL if self._unheld_since else _IDLE_INTERVAL
            pause *= random.uniform(0.75, 1.25)  # noqa: S311  jitter, so that many triggers do not poll at once

    async def reconcile(self) -> None:
        """Reconcile once.

        Raises:
            BrokerError: The broker cannot be asked now.
            sqlite3.OperationalError: The log cannot be read now.
        """
        rows, now = self._list_unheld(), asyncio.get_running_loop().time()
        self._unheld_since = {message_id: self._unheld_since.get(message_id, now) for _, message_id in rows}
        if not rows:
            return
        outcomes = await self._source.lookup_outcomes(self._unheld_since)
        for delivery_id, message_id in rows:
            if (outcome := outcomes.get(message_id)) is not None and not self._is_in_flight(message_id):
                self._finish(delivery_id, outcome)

    def _list_unheld(self) -> list[tuple[str, str]]:
        """Return the ids of pending deliveries, and of their messages, that this process does not hold."""
        pending = self._log.pending_messages(self._source_id)
        return [
            (delivery_id, message_id) for delivery_id, message_id in pending if not self._is_in_flight(message_id)
        ]

    def _finish(self, delivery_id: str, outcome: BrokerOutcome) -> None:
        stored = self._log.get(self._source_id, delivery_id)
        if (
            stored is not None and stored[0].status == DeliveryStatus.PENDING
        ):  # it may have finished in the meantime
            self._log.record(self._source_id, _with_outcome(stored[0], outcome), stored[1])


def _with_outcome(delivery: Delivery, outcome: BrokerOutcome) -> Delivery:
    """Return the delivery with its outcome.

    A successful one had an attempt that was not recorded, and whose status and duration are unknown.
    """
    ended = delivery.finished(outcome.status, outcome.reason)
    if outcome.status != DeliveryStatus.SUCCEEDED:
        return ended
    return msgspec.structs.replace(ended, attempts=delivery.attempts + 1, http_status=None, duration_ms=None)
