"""Combines requests into the batch operations of SQS.

Entries that are submitted while a batch is under way are sent together in the next one, up to ten.
"""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable, Mapping, Sequence
from typing import Any, Final

from fnkit.platform.schedulers.sqs_faults import SqsUnavailable

__all__ = ["RequestBatcher", "BatchEntry"]

BatchEntry = Mapping[str, object]
_MAX_BATCH_ENTRIES: Final = 10  # the limit of SQS
_MAX_CONCURRENT_BATCHES: Final = 2


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
