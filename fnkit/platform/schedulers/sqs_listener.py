"""SQS: the broker backend, the message source of its triggers, and the outcomes of messages that no process holds.

SQS does not report what happened to a message. But a message that still exists is delivered again after its
visibility timeout. So if the queue has nothing to deliver after that, the message is gone.
"""

from __future__ import annotations

import asyncio
import contextlib
from collections.abc import Callable, Mapping, Sequence
from typing import Final

from fnkit.platform.schedulers.attempts import MAX_ATTEMPTS
from fnkit.platform.schedulers.listening import BrokerOutcome, Prefetch, Message
from fnkit.platform.schedulers.sqs_client import SqsClients
from fnkit.platform.schedulers.sqs_fates import infer_outcomes
from fnkit.platform.schedulers.sqs_faults import SqsUnavailable
from fnkit.platform.schedulers.sqs_messages import FifoOrdering, SqsMessage
from fnkit.platform.schedulers.sqs_places import SqsEndpoint
from fnkit.platform.schedulers.sqs_polls import Poller
from fnkit.platform.schedulers.sqs_queue import SqsQueue

__all__ = ["SqsMessageSource"]

_REFRESH_INTERVAL: Final = 30.0
_INITIAL_LEASE_INTERVAL: Final = 1.0  # until the visibility timeout of the queue is known


class SqsMessageSource:
    """The message source of an SQS trigger."""

    kind = "sqs"
    can_prefetch = False

    def __init__(self, clients: SqsClients, endpoint: SqsEndpoint) -> None:
        self._clients = clients
        self._endpoint = endpoint
        self._queue = SqsQueue(clients.acquire(endpoint.config), endpoint)
        self._ordering: FifoOrdering | None = None
        self._apply_attributes()
        self.lease_interval = _INITIAL_LEASE_INTERVAL

    async def listen(self, prefetch: Prefetch, report: Callable[[str], None]) -> None:
        """Receive messages until cancelled.

        Args:
            prefetch: Receives the messages.
            report: Called with a description of the queue, also when its attributes have changed.

        Raises:
            BrokerError: The queue cannot be reached, or rejects a request.
        """
        queue = self._queue
        await queue.open()
        self._apply_attributes()
        report(self._describe())
        ordering = self._ordering = self._ordering or FifoOrdering(prefetch.put)
        polling = asyncio.ensure_future(Poller(queue, prefetch, ordering).run())
        try:
            while True:
                done, _ = await asyncio.wait((polling,), timeout=_REFRESH_INTERVAL)
                if done:
                    return polling.result()
                with contextlib.suppress(SqsUnavailable):
                    await queue.refresh_attributes()
                self._apply_attributes()
                report(self._describe())
        finally:
            polling.cancel()
            await asyncio.gather(polling, return_exceptions=True)

    async def extend(self, messages: Sequence[Message]) -> None:
        """Extend the visibility timeouts of messages in flight, and of those that wait for their message group."""
        buffered = [] if self._ordering is None else self._ordering.buffered
        held = [one for one in (*messages, *buffered) if isinstance(one, SqsMessage) and one.is_held]
        await self._queue.extend_visibility([one.receipt_handle for one in held])

    async def lookup_outcomes(self, unheld_since: Mapping[str, float]) -> Mapping[str, BrokerOutcome]:
        """Look up outcomes of pending deliveries, as far as the queue allows to infer them."""
        buffered = set() if self._ordering is None else {message.id for message in self._ordering.buffered}
        unheld = {message: released_at for message, released_at in unheld_since.items() if message not in buffered}
        return infer_outcomes(
            unheld,
            self._queue.attributes,
            last_empty=self._queue.last_empty,
            last_response=self._queue.last_response,
        )

    async def close(self) -> None:
        """Finish the deletions under way and release the client."""
        await self._queue.close()
        self._clients.release(self._endpoint.config)

    def _apply_attributes(self) -> None:
        """Apply the attributes of the queue. Attempts are a visibility timeout apart, as recorded from Scaleway."""
        attributes = self._queue.attributes
        self.retry_delay = float(attributes.visibility_timeout)
        self.lease_interval = attributes.lease_interval
        self.has_redrive_policy = bool(attributes.max_receive_count)

    def _describe(self) -> str:
        attributes = self._queue.attributes
        order = ", ordered by message group" if attributes.is_fifo else ""
        if not self._queue.can_read_attributes:
            retries = f"no permission to read its attributes, assuming no redrive policy: dead after {MAX_ATTEMPTS} attempts"
        elif attributes.max_receive_count:
            retries = f"its redrive policy applies after {attributes.max_receive_count} failed attempts"
        else:
            retries = f"dead after {MAX_ATTEMPTS} attempts, {attributes.visibility_timeout} s apart"
        return f"queue {self._endpoint.queue} at {self._endpoint.config.host}{order}; {retries}"
