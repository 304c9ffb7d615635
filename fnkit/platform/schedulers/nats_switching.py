"""From a subject that no stream kept to the stream that keeps it now: nothing twice, and nothing left out.

Until then a queue subscription heard every message. From the moment at which the stream's last sequence is asked
for, what is heard is held back; the consumer begins behind that sequence. What was held back and is not in the
stream behind it was taken in before it, and is delivered as what it is: heard.
"""

from __future__ import annotations

import logging
from collections import Counter
from typing import TYPE_CHECKING

from fnkit.platform.schedulers.jetstream import Stream, bodies_after, last_sequence
from fnkit.platform.schedulers.listening import BrokerTrouble
from fnkit.platform.schedulers.nats_core import CoreSubscription, Heard

if TYPE_CHECKING:
    from nats.aio.client import Client

__all__ = ["switched"]

_logger = logging.getLogger(__name__)


async def switched(client: Client, stream: Stream, subject: str, ear: CoreSubscription, heard: Heard) -> int:
    """End ``ear``; returns the sequence behind which the stream's messages have not been heard.

    Raises:
        BrokerTrouble: the connection broke, or the stream is gone again.
    """
    ear.hold_back()
    last = await last_sequence(client, stream.name)
    held_back = await ear.drain()
    kept = Counter(await _kept(client, stream, subject, last, len(held_back)))
    for body in held_back:
        if kept[body]:
            kept[body] -= 1
        else:
            heard.put(body)
    return last


async def _kept(client: Client, stream: Stream, subject: str, last: int, number: int) -> list[bytes]:
    """Return what the stream took in meanwhile; where it does not say, rather twice than never."""
    try:
        return await bodies_after(client, stream.name, subject, last, number)
    except BrokerTrouble as trouble:
        _logger.info("What stream %s has taken in cannot be read: %s", stream.name, trouble)
        return []
