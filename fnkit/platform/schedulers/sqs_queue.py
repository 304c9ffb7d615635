"""One SQS queue as a trigger uses it: attributes, receiving, and batched deletions and changes of visibility."""

from __future__ import annotations

import asyncio
import uuid
from collections.abc import Coroutine, Mapping, Sequence
from functools import partial
from typing import Any, Final

from fnkit.platform.schedulers.listening import BrokerError
from fnkit.platform.schedulers.sqs_batches import RequestBatcher, BatchEntry
from fnkit.platform.schedulers.sqs_client import SqsClient
from fnkit.platform.schedulers.sqs_faults import (
    ReceiptHandleExpired,
    SqsUnavailable,
    SqsRequestRejected,
    error_from_response,
)
from fnkit.platform.schedulers.sqs_places import SqsEndpoint
from fnkit.platform.schedulers.sqs_traits import ATTRIBUTE_NAMES, parse_attributes

__all__ = ["SqsQueue"]

_MAX_BACKGROUND: Final = 20  # deletions; two requests' worth
_CLOSE_TIMEOUT: Final = 2.0
_MIN_BACKOFF: Final = 0.1
_MAX_BACKOFF: Final = 5.0


class SqsQueue:
    """A queue.

    Attributes:
        attributes: The attributes of the queue; defaults if they cannot be read.
        can_read_attributes: Whether the keys may read the attributes.
        rejection: The error if the service rejected a deletion or a change of visibility.
        last_response: Time of the event loop of the last response to a request for messages.
        last_empty: Time of the event loop at which the queue last had no message to deliver.
    """

    def __init__(self, client: SqsClient, endpoint: SqsEndpoint) -> None:
        self.attributes = parse_attributes(endpoint.queue, None)
        self.can_read_attributes = False
        self.rejection: SqsRequestRejected | None = None
        self.last_response = self.last_empty = 0.0
        self._client = client
        self._endpoint = endpoint
        self._url = endpoint.url
        self._background: set[asyncio.Task[None]] = set()
        self._abandoned: set[asyncio.Task[dict[str, Any]]] = set()
        self._extension: asyncio.Future[list[BaseException | None]] | None = None
        self._delete_batcher = RequestBatcher(partial(self._call_batch, "DeleteMessageBatch"), self._parse_failure)
        self._visibility_batcher = RequestBatcher(
            partial(self._call_batch, "ChangeMessageVisibilityBatch"), self._parse_failure
        )

    async def open(self) -> None:
        """Look up the queue and read its attributes.

        Raises:
            BrokerError: The queue does not exist, or the keys lack the permission.
        """
        if not self._endpoint.url:
            self._url = str((await self._client.call("GetQueueUrl", QueueName=self._endpoint.queue))["QueueUrl"])
        await self.refresh_attributes()
        self.rejection = None

    async def refresh_attributes(self) -> None:
        """Read the queue's attributes. Keys without permission to read them can still consume the queue."""
        try:
            response = await self._client.call(
                "GetQueueAttributes", QueueUrl=self._url, AttributeNames=ATTRIBUTE_NAMES
            )
        except SqsRequestRejected as error:
            if not error.is_access_denied:
                raise
            self.can_read_attributes, self.attributes = False, parse_attributes(self._endpoint.queue, None)
        else:
            self.can_read_attributes = True
            self.attributes = parse_attributes(self._endpoint.queue, response.get("Attributes") or {})

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
            "VisibilityTimeout": self.attributes.lease_seconds,
            "AttributeNames": ("ApproximateReceiveCount", "MessageGroupId"),
        }
        if self.attributes.is_fifo:
            parameters["ReceiveRequestAttemptId"] = str(uuid.uuid4())
        # Shielded, because the service may have delivered messages already: they would stay hidden until their
        # visibility timeout, and count as received.
        request = asyncio.ensure_future(self._client.call("ReceiveMessage", **parameters))
        try:
            response = await asyncio.shield(request)
        except asyncio.CancelledError:
            self._abandoned.add(request)
            request.add_done_callback(self._release_abandoned)
            raise
        return list(response.get("Messages") or ())

    async def delete(self, receipt_handle: str) -> None:
        """Delete a message, with retries while the service is unavailable.

        Raises:
            ReceiptHandleExpired: The message is no longer held.
            SqsRequestRejected: The keys lack the permission.
        """
        await self._submit_until_done(self._delete_batcher, {"ReceiptHandle": receipt_handle})

    async def change_visibility(self, receipt_handle: str, seconds: int) -> None:
        """Make a message visible after a number of seconds, with retries while the service is unavailable.

        Raises:
            ReceiptHandleExpired: The message is no longer held.
            SqsRequestRejected: The keys lack the permission.
        """
        if self._extension is not None and not self._extension.done():
            await asyncio.wait((self._extension,))  # a later extension would hide the message again
        await self._submit_until_done(
            self._visibility_batcher, {"ReceiptHandle": receipt_handle, "VisibilityTimeout": seconds}
        )

    async def run_in_background(self, coroutine: Coroutine[Any, Any, None]) -> None:
        """Run a coroutine in the background. While too many are running, wait for one to finish."""
        while len(self._background) >= _MAX_BACKGROUND:
            await asyncio.wait(self._background, return_when=asyncio.FIRST_COMPLETED)
        task = asyncio.ensure_future(coroutine)
        self._background.add(task)
        task.add_done_callback(self._background.discard)

    async def close(self) -> None:
        """Finish the background work, within two seconds."""
        if self._background:
            _, unfinished = await asyncio.wait(self._background, timeout=_CLOSE_TIMEOUT)
            for task in unfinished:
                task.cancel()

    async def extend_visibility(self, receipt_handles: Sequence[str]) -> None:
        """Keep messages hidden for another lease. Failures are ignored: the messages become visible again."""
        entries: list[BatchEntry] = [
            {"ReceiptHandle": handle, "VisibilityTimeout": self.attributes.lease_seconds}
            for handle in receipt_handles
        ]
        puts = (self._visibility_batcher.submit(entry) for entry in entries)
        self._extension = asyncio.gather(*puts, return_exceptions=True)
        await self._extension

    async def _submit_until_done(self, batcher: RequestBatcher, entry: BatchEntry) -> None:
        pause = _MIN_BACKOFF
        while True:
            try:
                return await batcher.submit(entry)
            except SqsUnavailable:
                await asyncio.sleep(pause)
                pause = min(_MAX_BACKOFF, pause * 2)
            except SqsRequestRejected as error:
                self.rejection = error
                raise

    async def _call_batch(self, operation: str, entries: Sequence[BatchEntry]) -> Mapping[str, Any]:
        return await self._client.call(operation, QueueUrl=self._url, Entries=entries)

    def _parse_failure(self, failed: Mapping[str, Any]) -> BrokerError:
        """Return the exception for a failed entry. Faults of the service are transient."""
        code, message = str(failed.get("Code", "")), str(failed.get("Message") or "")
        status = 400 if failed.get("SenderFault") else 500
        error = error_from_response(code, message, status, self._client.config)
        # Some services report an expired receipt handle with this code.
        return ReceiptHandleExpired(str(error)) if code == "InvalidParameterValue" else error

    def _release_abandoned(self, request: asyncio.Task[dict[str, Any]]) -> None:
        """Make the messages of a cancelled request visible again."""
        self._abandoned.discard(request)
        if request.cancelled() or request.exception() is not None:
            return
        for message in request.result().get("Messages") or ():
            task = asyncio.ensure_future(self.change_visibility(str(message["ReceiptHandle"]), 0))
            task.add_done_callback(_ignore_error)


def _ignore_error(task: asyncio.Task[None]) -> None:
    """Retrieve the exception. The message becomes visible by itself."""
    if not task.cancelled():
        task.exception()
