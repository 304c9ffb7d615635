"""A subject that no stream keeps: a queue subscription. What nobody can take at the moment waits here, bounded."""

from __future__ import annotations

import asyncio
import logging
from typing import TYPE_CHECKING, Final

from fnkit.platform.schedulers.listening import BrokerTrouble, Intake
from fnkit.platform.schedulers.nats_messages import CoreMessage

if TYPE_CHECKING:
    from nats.aio.client import Client
    from nats.aio.msg import Msg

__all__ = ["listen_to_subject"]

_WAITING: Final = 1000
_WAITING_BYTES: Final = 64 * 1024 * 1024
_logger = logging.getLogger(__name__)


async def listen_to_subject(client: Client, subject: str, group: str, intake: Intake) -> None:
    """Offer messages until cancelled.

    Raises:
        BrokerTrouble: the broker refuses.
    """
    from nats.errors import Error

    waiting: asyncio.Queue[bytes] = asyncio.Queue()
    size, dropped = 0, 0

    async def on_message(message: Msg) -> None:
        nonlocal size, dropped
        if waiting.qsize() >= _WAITING or (size and size + len(message.data) > _WAITING_BYTES):
            dropped += 1
            if dropped & (dropped - 1) == 0:  # 1, 2, 4, 8 …
                _logger.warning("%d messages on %s found no room and are lost.", dropped, subject)
            return
        size += len(message.data)
        waiting.put_nowait(message.data)

    try:
        subscription = await client.subscribe(subject, queue=group, cb=on_message)
        await client.flush()
    except (Error, TimeoutError) as error:
        raise BrokerTrouble(f"NATS: {error}") from None
    try:
        while True:
            body = await waiting.get()
            await intake.hungry()
            size -= len(body)
            intake.offer(CoreMessage(intake, body))
    finally:
        if not client.is_closed:
            await subscription.unsubscribe()
