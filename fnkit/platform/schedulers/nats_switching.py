"""Switches a trigger from a queue subscription to a stream that has begun to store its subject.

No message may be lost or delivered twice. First the last sequence of the stream is read; the subscription keeps
messages that arrive from then on. Then the consumer is created after that sequence, and the subscription ends. A
kept message that the stream does not contain after that sequence was stored before it, or while the stream had no
consumer to retain it for, and is delivered from memory.
"""

from __future__ import annotations

import logging
from collections import Counter
from typing import TYPE_CHECKING

from fnkit.platform.schedulers.jetstream import Stream, get_bodies_after
from fnkit.platform.schedulers.listening import BrokerError
from fnkit.platform.schedulers.nats_core import CoreSubscription, BoundedBuffer

if TYPE_CHECKING:
    from nats.aio.client import Client

__all__ = ["switch_to_stream"]

_logger = logging.getLogger(__name__)


async def switch_to_stream(
    client: Client, stream: Stream, subject: str, after: int, subscription: CoreSubscription, buffer: BoundedBuffer
) -> None:
    """End the subscription and deliver the kept messages that the consumer does not deliver.

    Args:
        client: The session.
        stream: The stream, in which the consumer exists.
        subject: The trigger's subject.
        after: The sequence after which the consumer begins.
        subscription: The subscription, which was paused before ``after`` was read.
        buffer: Receives messages that are not in the stream.

    Raises:
        BrokerError: The connection broke.
    """
    kept = await subscription.drain()
    # Messages carry no id that both deliveries share, so compare their bodies.
    stored = Counter(await _read_stored_bodies(client, stream, subject, after, len(kept)))
    for body in kept:
        if stored[body]:
            stored[body] -= 1
        else:
            buffer.put(body)


async def _read_stored_bodies(client: Client, stream: Stream, subject: str, after: int, number: int) -> list[bytes]:
    """Return the bodies that the stream stored after a sequence.

    If they cannot be read, return none: duplicates are better than lost messages.
    """
    try:
        return await get_bodies_after(client, stream.name, subject, after, number)
    except BrokerError as error:
        _logger.info("Messages of stream %s cannot be read: %s", stream.name, error)
        return []
