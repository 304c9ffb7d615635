"""From a subject that no stream kept to the stream that keeps it now: nothing twice, and nothing left out.

Until then a queue subscription heard every message. From the moment at which the stream's last sequence is asked
for, what is heard is held back; the consumer is made, beginning behind that sequence; then the subscription ends.
What was held back and is not in the stream behind that sequence was taken in before it, or by a stream that kept it
for nobody while there was no consumer: it is delivered as what it is, heard.
"""

from __future__ import annotations

import logging
from collections import Counter
from typing import TYPE_CHECKING

from fnkit.platform.schedulers.jetstream import Stream, bodies_after
from fnkit.platform.schedulers.listening import BrokerTrouble
from fnkit.platform.schedulers.nats_core import CoreSubscription, Heard

if TYPE_CHECKING:
    from nats.aio.client import Client

__all__ = ["end_hearing"]

_logger = logging.getLogger(__name__)


async def end_hearing(
    client: Client, stream: Stream, subject: str, last: int, ear: CoreSubscription, heard: Heard
) -> None:
    """End ``ear``, which holds back; the consumer begins behind sequence ``last``.

    Raises:
        BrokerTrouble: the connection broke.
    """
    held_back = await ear.drain()
    kept = Counter(await _kept(client, stream, subject, last, len(held_back)))
    for body in held_back:
        if kept[body]:
            kept[body] -= 1
        else:
            heard.put(body)


async def _kept(client: Client, stream: Stream, subject: str, last: int, number: int) -> list[bytes]:
    """Return what the stream took in meanwhile; where it does not say, rather twice than never."""
    try:
        return await bodies_after(client, stream.name, subject, last, number)
    except BrokerTrouble as trouble:
        _logger.info("What stream %s has taken in cannot be read: %s", stream.name, trouble)
        return []
