"""A minimal SQS endpoint with one queue in memory, as a separate process: ``python -m benchmarks.lean_sqs``.

It prints its address and serves until it is killed. It implements the part of SQS' JSON protocol that a consumer
needs, tracks messages in flight, and does not check signatures. Its purpose is to measure the consumer: real
endpoints and complete emulators take more CPU time than a consumer does.
"""

from __future__ import annotations

import asyncio
import itertools
from collections.abc import Callable
from typing import Any, Final, cast

import httptools
import msgspec

__all__ = ["QUEUE", "serve"]

QUEUE: Final = "nothing"
_MAX_BATCH: Final = 10
_VISIBILITY: Final = "30"
_BAD_REQUEST: Final = b"400 Bad Request"
_HEAD: Final = b"HTTP/1.1 %b\r\nContent-Type: application/x-amz-json-1.0\r\nContent-Length: %d\r\n\r\n"


class InMemoryQueue:
    """The number of visible messages, and the receipt handles of those in flight."""

    def __init__(self) -> None:
        self.visible = 0
        self._numbers = itertools.count(1)
        self._in_flight: set[str] = set()

    def attributes(self) -> dict[str, str]:
        """Return the attributes for ``GetQueueAttributes``."""
        return {
            "VisibilityTimeout": _VISIBILITY,
            "ApproximateNumberOfMessages": str(self.visible),
            "ApproximateNumberOfMessagesNotVisible": str(len(self._in_flight)),
        }

    def receive(self, maximum: int) -> list[dict[str, object]]:
        """Return up to ``maximum`` messages and mark them as in flight."""
        number = min(maximum, self.visible, _MAX_BATCH)
        self.visible -= number
        handles = [f"message-{next(self._numbers):012d}" for _ in range(number)]
        self._in_flight.update(handles)
        return [
            {
                "MessageId": handle,
                "ReceiptHandle": handle,
                "MD5OfBody": "5d41402abc4b2a76b9719d911017c592",
                "Body": "hello",
                "Attributes": {"ApproximateReceiveCount": "1"},
            }
            for handle in handles
        ]

    def delete(self, entries: list[dict[str, str]]) -> dict[str, object]:
        """Delete messages in flight; report all others as failed."""
        deleted = [entry for entry in entries if entry["ReceiptHandle"] in self._in_flight]
        self._in_flight.difference_update(entry["ReceiptHandle"] for entry in deleted)
        failed = [
            {"Id": entry["Id"], "Code": "ReceiptHandleIsInvalid", "SenderFault": True}
            for entry in entries
            if entry not in deleted
        ]
        return {"Successful": [{"Id": entry["Id"]} for entry in deleted], "Failed": failed}

    def change_visibility(self, entries: list[dict[str, Any]]) -> dict[str, object]:
        """Make messages with a timeout of 0 visible again; the others stay invisible forever."""
        visible_again = {
            entry["ReceiptHandle"] for entry in entries if entry["VisibilityTimeout"] == 0
        } & self._in_flight
        self._in_flight -= visible_again
        self.visible += len(visible_again)
        return {"Successful": [{"Id": entry["Id"]} for entry in entries], "Failed": []}


class _Connection(asyncio.Protocol):
    """A client connection. The names of ``on_…`` methods are those of httptools."""

    def __init__(self, queue: InMemoryQueue, address: Callable[[], str]) -> None:
        self._queue = queue
        self._address = address
        self._parser = httptools.HttpRequestParser(self)
        self._transport: asyncio.Transport | None = None
        self._operation = b""
        self._body = b""
        self._polls: set[asyncio.Task[None]] = set()

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        self._transport = cast("asyncio.Transport", transport)

    def connection_lost(self, _error: Exception | None) -> None:
        self._transport = None
        for poll in self._polls:
            poll.cancel()

    def data_received(self, data: bytes) -> None:
        self._parser.feed_data(data)

    def on_message_begin(self) -> None:
        self._body = b""

    def on_header(self, name: bytes, value: bytes) -> None:
        if name.lower() == b"x-amz-target":
            self._operation = value.rpartition(b".")[2]

    def on_body(self, data: bytes) -> None:
        self._body += data

    def on_message_complete(self) -> None:
        request: dict[str, Any] = msgspec.json.decode(self._body)
        match self._operation:
            case b"ReceiveMessage":
                self._receive(request)
            case b"DeleteMessageBatch":
                self._respond(self._queue.delete(request["Entries"]))
            case b"SendMessageBatch":  # the body of the first entry is the number of messages to add
                self._queue.visible += int(request["Entries"][0]["MessageBody"])
                self._respond({"Successful": [], "Failed": []})
            case b"GetQueueUrl":
                self._send_queue_url(request["QueueName"])
            case b"GetQueueAttributes":
                self._respond({"Attributes": self._queue.attributes()})
            case b"ChangeMessageVisibilityBatch":
                self._respond(self._queue.change_visibility(request["Entries"]))
            case _:
                self._respond(
                    {"__type": "com.amazonaws.sqs#UnsupportedOperation", "message": "not supported"}, _BAD_REQUEST
                )

    def _send_queue_url(self, name: str) -> None:
        if name == QUEUE:
            self._respond({"QueueUrl": f"{self._address()}/0/{QUEUE}"})
        else:
            self._respond(
                {"__type": "com.amazonaws.sqs#QueueDoesNotExist", "message": "no such queue"}, _BAD_REQUEST
            )

    def _receive(self, request: dict[str, Any]) -> None:
        found = self._queue.receive(int(request.get("MaxNumberOfMessages", 1)))
        if found or not request.get("WaitTimeSeconds"):
            self._respond({"Messages": found})
            return
        poll = asyncio.ensure_future(self._wait(request))
        self._polls.add(poll)
        poll.add_done_callback(self._polls.discard)

    async def _wait(self, request: dict[str, Any]) -> None:
        deadline = asyncio.get_running_loop().time() + float(request["WaitTimeSeconds"])
        while not self._queue.visible and asyncio.get_running_loop().time() < deadline:  # noqa: ASYNC110  polling is precise enough
            await asyncio.sleep(0.01)
        self._respond({"Messages": self._queue.receive(int(request.get("MaxNumberOfMessages", 1)))})

    def _respond(self, document: object, status: bytes = b"200 OK") -> None:
        body = msgspec.json.encode(document)
        if self._transport is not None:
            self._transport.write(_HEAD % (status, len(body)) + body)


async def serve() -> None:
    """Serve on a free local port until the process is killed."""
    queue, address = InMemoryQueue(), ""
    loop = asyncio.get_running_loop()
    server = await loop.create_server(lambda: _Connection(queue, lambda: address), "127.0.0.1", 0)
    address = f"http://127.0.0.1:{server.sockets[0].getsockname()[1]}"
    print(address, flush=True)
    await server.serve_forever()


if __name__ == "__main__":
    import uvloop

    uvloop.run(serve())
