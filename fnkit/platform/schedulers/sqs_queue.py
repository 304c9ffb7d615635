"""One SQS queue as a trigger uses it: attributes, receiving, and batched deletions and changes of visibility."""

from __future__ import annotations

import asyncio
import uuid
from collections.abc import Coroutine, Mapping, Sequence
from functools import partial
from typing import Any, Final

from fnkit.platform.schedulers.listening import BrokerTrouble
from fnkit.platform.schedulers.sqs_batches import Batches, Entry
from fnkit.platform.schedulers.sqs_client import SqsClient
from fnkit.platform.schedulers.sqs_faults import HandleGone, SqsAway, SqsRefusal, refusal
from fnkit.platform.schedulers.sqs_places import SqsPlace
from fnkit.platform.schedulers.sqs_traits import ATTRIBUTES, traits_of

__all__ = ["SqsQueue"]

_MOST_SOON: Final = 20  # deletions; two requests' worth
_CLOSE_SECONDS: Final = 2.0
_FIRST_PAUSE: Final = 0.1
_LONGEST_PAUSE: Final = 5.0


class SqsQueue:
    """A queue.

    Attributes:
        attributes: The attributes of the queue; defaults if they cannot be read.
        can_read_attributes: Whether the keys may read the attributes.
        rejection: The error if the service rejected a deletion or a change of visibility.
        last_response: Time of the event loop of the last response to a request for messages.
        last_empty: Time of the event loop at which the queue last had no message to deliver.
    """

    def __init__(self, client: SqsClient, endpoint: SqsPlace) -> None:
        self.traits = traits_of(endpoint.queue, None)
        self.is_known = False
        self.refused: SqsRefusal | None = None
        self.heard = self.emptied = 0.0
        self._client = client
        self._place = endpoint
        self._url = endpoint.url
        self._soon: set[asyncio.Task[None]] = set()
        self._unwanted: set[asyncio.Task[dict[str, Any]]] = set()
        self._keeping: asyncio.Future[list[BaseException | None]] | None = None
        self._deletions = Batches(partial(self._batch, "DeleteMessageBatch"), self._judged)
        self._changes = Batches(partial(self._batch, "ChangeMessageVisibilityBatch"), self._judged)

    async def open(self) -> None:
        """Look up the queue and read its attributes.

        Raises:
            BrokerError: The queue does not exist, or the keys lack the permission.
        """
        if not self._place.url:
            self._url = str((await self._client.call("GetQueueUrl", QueueName=self._place.queue))["QueueUrl"])
        await self.look()
        self.refused = None

    async def look(self) -> None:
        """Read the queue's attributes. Keys without permission to read them can still consume the queue."""
        try:
            response = await self._client.call("GetQueueAttributes", QueueUrl=self._url, AttributeNames=ATTRIBUTES)
        except SqsRefusal as error:
            if not error.is_of_rights:
                raise
            self.is_known, self.traits = False, traits_of(self._place.queue, None)
        else:
            self.is_known = True
            self.traits = traits_of(self._place.queue, response.get("Attributes") or {})

    async def receive(self, max_messages: int, wait_seconds: int) -> list[dict[str, Any]]:
        """Receive messages.

        Messages that arrive after the call was cancelled are made visible again.

        Args:
            max_messages: The largest number of messages.
            wait_seconds: Seconds to wait for the first one.

        Returns:
            The messages, in the format of SQS.
        """
        parameters: dict[str, object] = {
            "QueueUrl": self._url,
            "MaxNumberOfMessages": max_messages,
            "WaitTimeSeconds": wait_seconds,
            "VisibilityTimeout": self.traits.held,
            "AttributeNames": ("ApproximateReceiveCount", "MessageGroupId"),
        }
        if self.traits.is_fifo:
            parameters["ReceiveRequestAttemptId"] = str(uuid.uuid4())
        # Shielded, because the service may have delivered messages already: they would stay hidden until their
        # visibility timeout, and count as received.
        request = asyncio.ensure_future(self._client.call("ReceiveMessage", **parameters))
        try:
            response = await asyncio.shield(request)
        except asyncio.CancelledError:
            self._unwanted.add(request)
            request.add_done_callback(self._hand_back)
            raise
        return list(response.get("Messages") or ())

    async def delete(self, handle: str) -> None:
        """Delete a message, with retries while the service is unavailable.

        Raises:
            ReceiptHandleExpired: The message is no longer held.
            SqsRequestRejected: The keys lack the permission.
        """
        await self._until_done(self._deletions, {"ReceiptHandle": handle})

    async def hide(self, handle: str, seconds: int) -> None:
        """Make a message visible after a number of seconds, with retries while the service is unavailable.

        Raises:
            ReceiptHandleExpired: The message is no longer held.
            SqsRequestRejected: The keys lack the permission.
        """
        if self._keeping is not None and not self._keeping.done():
            await asyncio.wait((self._keeping,))  # a later extension would hide the message again
        await self._until_done(self._changes, {"ReceiptHandle": handle, "VisibilityTimeout": seconds})

    async def soon(self, coroutine: Coroutine[Any, Any, None]) -> None:
        """Run a coroutine in the background. While too many are running, wait for one to finish."""
        while len(self._soon) >= _MOST_SOON:
            await asyncio.wait(self._soon, return_when=asyncio.FIRST_COMPLETED)
        task = asyncio.ensure_future(coroutine)
        self._soon.add(task)
        task.add_done_callback(self._soon.discard)

    async def close(self) -> None:
        """Finish the background work, within two seconds."""
        if self._soon:
            _, unfinished = await asyncio.wait(self._soon, timeout=_CLOSE_SECONDS)
            for task in unfinished:
                task.cancel()

    async def keep(self, handles: Sequence[str]) -> None:
        """Keep messages hidden for another lease. Failures are ignored: the messages become visible again."""
        entries: list[Entry] = [
            {"ReceiptHandle": handle, "VisibilityTimeout": self.traits.held} for handle in handles
        ]
        puts = (self._changes.put(entry) for entry in entries)
        self._keeping = asyncio.gather(*puts, return_exceptions=True)
        await self._keeping

    async def _until_done(self, batcher: Batches, entry: Entry) -> None:
        pause = _FIRST_PAUSE
        while True:
            try:
                return await batcher.put(entry)
            except SqsAway:
                await asyncio.sleep(pause)
                pause = min(_LONGEST_PAUSE, pause * 2)
            except SqsRefusal as error:
                self.refused = error
                raise

    async def _batch(self, operation: str, entries: Sequence[Entry]) -> Mapping[str, Any]:
        return await self._client.call(operation, QueueUrl=self._url, Entries=entries)

    def _judged(self, failed: Mapping[str, Any]) -> BrokerTrouble:
        """Return the exception for a failed entry. Faults of the service are transient."""
        code, message = str(failed.get("Code", "")), str(failed.get("Message") or "")
        status = 400 if failed.get("SenderFault") else 500
        error = refusal(code, message, status, self._client.access)
        # Some services report an expired receipt handle with this code.
        return HandleGone(str(error)) if code == "InvalidParameterValue" else error

    def _hand_back(self, request: asyncio.Task[dict[str, Any]]) -> None:
        """Make the messages of a cancelled request visible again."""
        self._unwanted.discard(request)
        if request.cancelled() or request.exception() is not None:
            return
        for message in request.result().get("Messages") or ():
            task = asyncio.ensure_future(self.hide(str(message["ReceiptHandle"]), 0))
            task.add_done_callback(_forget)


def _forget(task: asyncio.Task[None]) -> None:
    """Retrieve the exception. The message becomes visible by itself."""
    if not task.cancelled():
        task.exception()
