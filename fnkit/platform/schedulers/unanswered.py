"""Deliveries that the log calls pending, of messages that nobody here holds: what became of them.

The log is written a moment after a message was acknowledged, so a process that is killed in between leaves lines
that wait for ever for a message that its broker has forgotten. A message also goes behind our back: a queue is
purged, a stream forgets what is too old. So now and then the broker is asked about such messages, as far as it can
tell, and their lines end as what is known. One that is handed out after all is taken up again.
"""

from __future__ import annotations

import asyncio
import logging
import random
import sqlite3
from collections.abc import Callable
from typing import Final

import msgspec

from fnkit.platform.control.deliveries import DeliveryLog
from fnkit.platform.records.delivery import Delivery, DeliveryStatus
from fnkit.platform.schedulers.listening import BrokerTrouble, Fate, Listener

__all__ = ["Unanswered"]

_FIRST_LOOK_SECONDS: Final = 1.0
_NEXT_LOOK_SECONDS: Final = 5.0  # while there are any
_LOOK_SECONDS: Final = 30.0
_logger = logging.getLogger(__name__)


class Unanswered:
    """Those of one trigger. is_held: whether a message of that id is in our hands."""

    def __init__(
        self, log: DeliveryLog, source_id: str, listener: Listener, is_held: Callable[[str], bool]
    ) -> None:
        self._log = log
        self._source_id = source_id
        self._listener = listener
        self._is_held = is_held
        self._since: dict[str, float] = {}

    async def run(self) -> None:
        """Look after them, for ever."""
        pause = _FIRST_LOOK_SECONDS
        while True:
            await asyncio.sleep(pause)
            try:
                await self.look()
            except (BrokerTrouble, sqlite3.OperationalError) as error:
                _logger.debug("What became of messages of %s is not known yet: %s", self._source_id, error)
            except Exception:
                _logger.exception("What became of messages of trigger %s is not known.", self._source_id)
            pause = _NEXT_LOOK_SECONDS if self._since else _LOOK_SECONDS
            pause *= random.uniform(0.75, 1.25)  # noqa: S311  hundreds of triggers must not look at one moment

    async def look(self) -> None:
        """Ask once.

        Raises:
            BrokerTrouble: the broker cannot be asked now.
            sqlite3.OperationalError: neither can the log.
        """
        rows, now = self._unheld(), asyncio.get_running_loop().time()
        self._since = {message: self._since.get(message, now) for _, message in rows}
        if not rows:
            return
        fates = await self._listener.fates(self._since)
        for delivery_id, message in rows:
            if (fate := fates.get(message)) is not None and not self._is_held(message):
                self._conclude(delivery_id, fate)

    def _unheld(self) -> list[tuple[str, str]]:
        """Return the ids of such deliveries, and of their messages."""
        found = self._log.unanswered(self._source_id)
        return [(name, message) for name, message in found if not self._is_held(message)]

    def _conclude(self, delivery_id: str, fate: Fate) -> None:
        found = self._log.one(self._source_id, delivery_id)
        if found is not None and found[0].status == DeliveryStatus.PENDING:  # it may have ended while we asked
            self._log.put(self._source_id, _ended(found[0], fate), found[1])


def _ended(delivery: Delivery, fate: Fate) -> Delivery:
    """Return a delivery with its fate; one that succeeded did so in an attempt of which nothing was written."""
    ended = delivery.ended(fate.status, fate.words)
    if fate.status != DeliveryStatus.SUCCEEDED:
        return ended
    return msgspec.structs.replace(ended, attempts=delivery.attempts + 1, http_status=None, duration_ms=None)
