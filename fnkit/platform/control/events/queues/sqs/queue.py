"""One SQS queue as a trigger uses it: attributes, receiving, and batched deletions and changes of visibility."""

from __future__ import annotations

import asyncio
import json
import uuid
from collections.abc import Awaitable, Callable, Coroutine, Mapping, Sequence
from dataclasses import dataclass
from functools import partial
from typing import Any, Final

from fnkit.platform.control.events.queues.interface import BrokerError
from fnkit.platform.control.events.queues.retries import MAX_ATTEMPTS, RETRY_DELAY_SECONDS
from fnkit.platform.control.events.queues.sqs.client import SqsClient
from fnkit.platform.control.events.queues.sqs.endpoint import SqsEndpoint
from fnkit.platform.control.events.queues.sqs.errors import (
    ReceiptHandleExpired,
    SqsRequestRejected,
    SqsUnavailable,
    error_from_response,
)

ATTRIBUTE_NAMES: Final = ("VisibilityTimeout", "RedrivePolicy")

_NEW_QUEUE_ATTRIBUTES: Final = {
    "VisibilityTimeout": "30",
    "MessageRetentionPeriod": "345600",
    "MaximumMessageSize": "262144",
}
"""Those of a new queue at Scaleway, as recorded."""

_MIN_LEASE_SECONDS: Final = 3
_EXTENSIONS_PER_LEASE: Final = 3

_MAX_BATCH_ENTRIES: Final = 10  # the limit of SQS
_MAX_CONCURRENT_BATCHES: Final = 2
_MAX_BACKGROUND: Final = 20  # deletions; two requests' worth
_CLOSE_TIMEOUT: Final = 2.0
_MIN_BACKOFF: Final = 0.1
_MAX_BACKOFF: Final = 5.0

BatchEntry = Mapping[str, object]


@dataclass(frozen=True, slots=True)
class QueueAttributes:
    """The attributes of a queue.

    Attributes:
        visibility_timeout: Seconds for which the queue hides a received message.
        max_receive_count: Receives after which the redrive policy moves a message; 0 without a policy.
        is_fifo: Whether messages of a group are ordered.
    """

    visibility_timeout: int = int(RETRY_DELAY_SECONDS)  # the default of SQS
    max_receive_count: int = 0
    is_fifo: bool = False

    @property
    def lease_seconds(self) -> int:
        """Seconds for which messages are received: the visibility timeout, but enough to extend it in time."""
        return max(_MIN_LEASE_SECONDS, self.visibility_timeout)

    @property
    def lease_interval(self) -> float:
        """Seconds between two extensions of the visibility of messages in flight."""
        return self.lease_seconds / _EXTENSIONS_PER_LEASE

    def attempt_number(self, receive_count: int) -> int:
        """Return the number of an attempt.

        With a redrive policy, the policy decides how often a message is tried. The last attempt before it moves the
        message counts as the last of the four.

        Args:
            receive_count: How often the message was received.
        """
        if not self.max_receive_count:
            return receive_count
        return MAX_ATTEMPTS if receive_count >= self.max_receive_count else min(receive_count, MAX_ATTEMPTS - 1)


def parse_attributes(name: str, attributes: Mapping[str, str] | None) -> QueueAttributes:
    """Return the attributes of a queue.

    Args:
        name: Name of the queue.
        attributes: The response to ``GetQueueAttributes``, or ``None`` if the keys may not read it.
    """
    is_fifo = name.endswith(".fifo")
    if attributes is None:
        return QueueAttributes(is_fifo=is_fifo)
    return QueueAttributes(
        visibility_timeout=int(attributes.get("VisibilityTimeout", RETRY_DELAY_SECONDS)),
        max_receive_count=_parse_max_receive_count(attributes.get("RedrivePolicy", "")),
        is_fifo=is_fifo,
    )


def _parse_max_receive_count(policy: str) -> int:
    """Return ``maxReceiveCount``, which is a number or a string; 0 without a policy."""
    if not policy:
        return 0
    try:
        return max(1, int(json.loads(policy)["maxReceiveCount"]))
    except (ValueError, KeyError, TypeError):
        return MAX_ATTEMPTS


class SqsQueue:
    """A queue.

    Attributes:
        attributes: The attributes of the queue; defaults if they cannot be read.
        can_read_attributes: Whether the keys may read the attributes.
        rejection: The error if the service rejected a deletion or a change of visibility.
    """

    def __init__(self, client: SqsClient, endpoint: SqsEndpoint) -> None:
        self.attributes = parse_attributes(endpoint.queue, None)
        self.can_read_attributes = False
        self.rejection: SqsRequestRejected | None = None
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
            self._url = await self._look_up()
        await self.refresh_attributes()
        self.rejection = None

    async def send(self, text: str) -> str:
        """Send a message, without having opened the queue, and return its ID.

        A message for a FIFO queue is in a group of all test messages, and never a duplicate.

        Raises:
            BrokerError: The service cannot be reached, or rejects the message.
        """
        if not self._url:
            self._url = await self._look_up()
        order: dict[str, str] = {}
        if self.attributes.is_fifo:
            order = {"MessageGroupId": "fnkit", "MessageDeduplicationId": str(uuid.uuid4())}
        response = await self._client.call("SendMessage", QueueUrl=self._url, MessageBody=text, **order)
        return str(response.get("MessageId", ""))

    async def _look_up(self) -> str:
        """Return the URL of the queue, which is created where the service leaves that to the platform."""
        queue = self._endpoint.queue
        try:
            return str((await self._client.call("GetQueueUrl", QueueName=queue))["QueueUrl"])
        except SqsRequestRejected as error:
            if not (error.is_queue_missing and self._endpoint.is_created):
                raise
        attributes = _NEW_QUEUE_ATTRIBUTES | ({"FifoQueue": "true"} if self.attributes.is_fifo else {})
        created = await self._client.call("CreateQueue", QueueName=queue, Attributes=attributes)
        return str(created["QueueUrl"])

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
        seconds = self.attributes.lease_seconds
        entries = ({"ReceiptHandle": handle, "VisibilityTimeout": seconds} for handle in receipt_handles)
        self._extension = asyncio.gather(*map(self._visibility_batcher.submit, entries), return_exceptions=True)
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


class RequestBatcher:
    """Batches the entries of one operation. Lives on one event loop."""

    def __init__(
        self,
        send: Callable[[Sequence[BatchEntry]], Awaitable[Mapping[str, Any]]],
        parse_failure: Callable[[Mapping[str, Any]], Exception],
    ) -> None:
        """Create a batcher.

        Args:
            send: Sends a batch, whose entries have an ``Id``, and returns the response.
            parse_failure: Returns the exception for an item of ``Failed`` in the response.
        """
        self._send = send
        self._parse_failure = parse_failure
        self._queue: list[tuple[BatchEntry, asyncio.Future[None]]] = []
        self._requests: set[asyncio.Task[None]] = set()

    async def submit(self, entry: BatchEntry) -> None:
        """Submit an entry, and return when the service has processed it.

        Raises:
            BrokerError: The entry, or the request with its batch, failed.
        """
        future: asyncio.Future[None] = asyncio.get_running_loop().create_future()
        self._queue.append((entry, future))
        if len(self._queue) == 1:
            asyncio.get_running_loop().call_soon(self._send_next)
        await future

    def _send_next(self, finished: asyncio.Task[None] | None = None) -> None:
        if finished is not None:
            self._requests.discard(finished)
        while self._queue and len(self._requests) < _MAX_CONCURRENT_BATCHES:
            batch, self._queue = self._queue[:_MAX_BATCH_ENTRIES], self._queue[_MAX_BATCH_ENTRIES:]
            task = asyncio.ensure_future(self._send_batch(batch))
            self._requests.add(task)
            task.add_done_callback(self._send_next)

    async def _send_batch(self, batch: list[tuple[BatchEntry, asyncio.Future[None]]]) -> None:
        ids = [str(number) for number in range(len(batch))]
        errors: dict[str, Exception]
        try:
            response = await self._send(
                [{"Id": entry_id, **entry} for entry_id, (entry, _) in zip(ids, batch, strict=True)]
            )
        except Exception as failure:  # noqa: BLE001  passed on to the callers of ``submit``
            errors = dict.fromkeys(ids, failure)
        else:
            errors = dict.fromkeys(ids, SqsUnavailable("the response of SQS omits an entry of the batch"))
            errors |= {str(item["Id"]): self._parse_failure(item) for item in response.get("Failed") or ()}
            for item in response.get("Successful") or ():
                errors.pop(str(item["Id"]), None)
        for entry_id, (_, future) in zip(ids, batch, strict=True):
            if future.done():
                continue
            if (error := errors.get(entry_id)) is None:
                future.set_result(None)
            else:
                future.set_exception(error)
