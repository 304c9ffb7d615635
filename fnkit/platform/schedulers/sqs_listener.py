"""SQS: the broker backend, the message source of its triggers, and the outcomes of messages that no process holds.

SQS does not report what happened to a message. But a message that still exists is delivered again after its
visibility timeout. So if the queue has nothing to deliver after that, the message is gone.
"""

from __future__ import annotations

import asyncio
import contextlib
from collections.abc import Callable, Mapping, Sequence
from typing import Final

from fnkit.platform.schedulers.attempts import ATTEMPTS
from fnkit.platform.schedulers.listening import Fate, Intake, Message
from fnkit.platform.schedulers.sqs_client import SqsClients
from fnkit.platform.schedulers.sqs_fates import queue_fates
from fnkit.platform.schedulers.sqs_faults import SqsAway
from fnkit.platform.schedulers.sqs_messages import Groups, SqsMessage
from fnkit.platform.schedulers.sqs_places import SqsPlace
from fnkit.platform.schedulers.sqs_polls import Polls
from fnkit.platform.schedulers.sqs_queue import SqsQueue

__all__ = ["SqsListener"]

_LOOK_SECONDS: Final = 30.0
_FIRST_KEEP_SECONDS: Final = 1.0  # until the visibility timeout of the queue is known


class SqsListener:
    """The message source of an SQS trigger."""

    kind = "sqs"
    pulls_ahead = False

    def __init__(self, clients: SqsClients, endpoint: SqsPlace) -> None:
        self._clients = clients
        self._place = endpoint
        self._queue = SqsQueue(clients.take(endpoint.access), endpoint)
        self._groups: Groups | None = None
        self._told()
        self.keep_every = _FIRST_KEEP_SECONDS

    async def listen(self, prefetch: Intake, report: Callable[[str], None]) -> None:
        """Receive messages until cancelled.

        Args:
            prefetch: Receives the messages.
            report: Called with a description of the queue, also when its attributes have changed.

        Raises:
            BrokerError: The queue cannot be reached, or rejects a request.
        """
        queue = self._queue
        await queue.open()
        self._told()
        report(self._words())
        ordering = self._groups = self._groups or Groups(prefetch.offer)
        polling = asyncio.ensure_future(Polls(queue, prefetch, ordering).run())
        try:
            while True:
                done, _ = await asyncio.wait((polling,), timeout=_LOOK_SECONDS)
                if done:
                    return polling.result()
                with contextlib.suppress(SqsAway):
                    await queue.look()
                self._told()
                report(self._words())
        finally:
            polling.cancel()
            await asyncio.gather(polling, return_exceptions=True)

    async def keep(self, messages: Sequence[Message]) -> None:
        """Extend the visibility timeouts of messages in flight, and of those that wait for their message group."""
        buffered = [] if self._groups is None else self._groups.early
        held = [one for one in (*messages, *buffered) if isinstance(one, SqsMessage) and one.is_ours]
        await self._queue.keep([one.handle for one in held])

    async def fates(self, unheld_since: Mapping[str, float]) -> Mapping[str, Fate]:
        """Look up outcomes of pending deliveries, as far as the queue allows to infer them."""
        buffered = set() if self._groups is None else {message.id for message in self._groups.early}
        unheld = {message: released_at for message, released_at in unheld_since.items() if message not in buffered}
        return queue_fates(
            unheld, self._queue.traits, last_empty=self._queue.emptied, last_response=self._queue.heard
        )

    async def close(self) -> None:
        """Finish the deletions under way and release the client."""
        await self._queue.close()
        self._clients.give(self._place.access)

    def _told(self) -> None:
        """Apply the attributes of the queue. Attempts are a visibility timeout apart, as recorded from Scaleway."""
        attributes = self._queue.traits
        self.spacing = float(attributes.visibility)
        self.keep_every = attributes.keep_every
        self.redrives = bool(attributes.attempts)

    def _words(self) -> str:
        attributes = self._queue.traits
        order = ", ordered by message group" if attributes.is_fifo else ""
        if not self._queue.is_known:
            retries = (
                f"no permission to read its attributes, assuming no redrive policy: dead after {ATTEMPTS} attempts"
            )
        elif attributes.attempts:
            retries = f"its redrive policy applies after {attributes.attempts} failed attempts"
        else:
            retries = f"dead after {ATTEMPTS} attempts, {attributes.visibility} s apart"
        return f"queue {self._place.queue} at {self._place.access.host}{order}; {retries}"
