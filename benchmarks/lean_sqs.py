"""An SQS endpoint that costs next to nothing: one queue in memory, in a process of its own.

``python -m benchmarks.lean_sqs`` prints its address and serves until it is ended. It speaks SQS' JSON protocol as
far as a consumer needs it, knows what is handed out and not deleted yet, and checks no signature. What is measured
in front of it is the consumer: real endpoints, and those that imitate them whole, cost more than a consumer.
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
_MOST: Final = 10
_VISIBILITY: Final = "30"
_REFUSED: Final = b"400 Bad Request"
_HEAD: Final = b"HTTP/1.1 %b\r\nContent-Type: application/x-amz-json-1.0\r\nContent-Length: %d\r\n\r\n"


class LeanQueue:
    """How many messages lie there, and which were handed out."""

    def __init__(self) -> None:
        self.lying = 0
        self._numbers = itertools.count(1)
        self._handed_out: set[str] = set()

    def attributes(self) -> dict[str, str]:
        """See ``GetQueueAttributes``."""
        return {
            "VisibilityTimeout": _VISIBILITY,
            "ApproximateNumberOfMessages": str(self.lying),
            "ApproximateNumberOfMessagesNotVisible": str(len(self._handed_out)),
        }

    def receive(self, most: int) -> list[dict[str, object]]:
        """Hand out up to so many."""
        number = min(most, self.lying, _MOST)
        self.lying -= number
        handles = [f"message-{next(self._numbers):012d}" for _ in range(number)]
        self._handed_out.update(handles)
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
        """Forget what was handed out; what was not is said to have failed."""
        known = [entry for entry in entries if entry["ReceiptHandle"] in self._handed_out]
        self._handed_out.difference_update(entry["ReceiptHandle"] for entry in known)
        failed = [
            {"Id": entry["Id"], "Code": "ReceiptHandleIsInvalid", "SenderFault": True}
            for entry in entries
            if entry not in known
        ]
        return {"Successful": [{"Id": entry["Id"]} for entry in known], "Failed": failed}

    def hide(self, entries: list[dict[str, Any]]) -> dict[str, object]:
        """Take back what is to appear again at once; everything else stays hidden for ever."""
        back = {entry["ReceiptHandle"] for entry in entries if entry["VisibilityTimeout"] == 0} & self._handed_out
        self._handed_out -= back
        self.lying += len(back)
        return {"Successful": [{"Id": entry["Id"]} for entry in entries], "Failed": []}


class _Connection(asyncio.Protocol):
    """One client. Methods with ``on_`` are httptools' names."""

    def __init__(self, queue: LeanQueue, address: Callable[[], str]) -> None:
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
        asked: dict[str, Any] = msgspec.json.decode(self._body)
        match self._operation:
            case b"ReceiveMessage":
                self._receive(asked)
            case b"DeleteMessageBatch":
                self._answer(self._queue.delete(asked["Entries"]))
            case b"SendMessageBatch":  # one number says more than ten entries
                self._queue.lying += int(asked["Entries"][0]["MessageBody"])
                self._answer({"Successful": [], "Failed": []})
            case b"GetQueueUrl":
                self._tell_url(asked["QueueName"])
            case b"GetQueueAttributes":
                self._answer({"Attributes": self._queue.attributes()})
            case b"ChangeMessageVisibilityBatch":
                self._answer(self._queue.hide(asked["Entries"]))
            case _:
                self._answer({"__type": "com.amazonaws.sqs#UnsupportedOperation", "message": "not here"}, _REFUSED)

    def _tell_url(self, name: str) -> None:
        if name == QUEUE:
            self._answer({"QueueUrl": f"{self._address()}/0/{QUEUE}"})
        else:
            self._answer({"__type": "com.amazonaws.sqs#QueueDoesNotExist", "message": "no such queue"}, _REFUSED)

    def _receive(self, asked: dict[str, Any]) -> None:
        found = self._queue.receive(int(asked.get("MaxNumberOfMessages", 1)))
        if found or not asked.get("WaitTimeSeconds"):
            self._answer({"Messages": found})
            return
        poll = asyncio.ensure_future(self._wait(asked))
        self._polls.add(poll)
        poll.add_done_callback(self._polls.discard)

    async def _wait(self, asked: dict[str, Any]) -> None:
        deadline = asyncio.get_running_loop().time() + float(asked["WaitTimeSeconds"])
        while not self._queue.lying and asyncio.get_running_loop().time() < deadline:  # noqa: ASYNC110  nobody is in a hurry
            await asyncio.sleep(0.01)
        self._answer({"Messages": self._queue.receive(int(asked.get("MaxNumberOfMessages", 1)))})

    def _answer(self, document: object, status: bytes = b"200 OK") -> None:
        body = msgspec.json.encode(document)
        if self._transport is not None:
            self._transport.write(_HEAD % (status, len(body)) + body)


async def serve() -> None:
    """Serve on a free port of this machine, for ever."""
    queue, address = LeanQueue(), ""
    loop = asyncio.get_running_loop()
    server = await loop.create_server(lambda: _Connection(queue, lambda: address), "127.0.0.1", 0)
    address = f"http://127.0.0.1:{server.sockets[0].getsockname()[1]}"
    print(address, flush=True)
    await server.serve_forever()


if __name__ == "__main__":
    import uvloop

    uvloop.run(serve())
