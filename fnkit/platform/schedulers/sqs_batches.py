"""Combines requests into the batch operations of SQS.

Entries that are submitted while a batch is under way are sent together in the next one, up to ten.
"""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable, Mapping, Sequence
from typing import Any, Final

from fnkit.platform.schedulers.sqs_faults import SqsAway

__all__ = ["Batches", "Entry"]

Entry = Mapping[str, object]
_MOST: Final = 10  # the limit of SQS
_AT_ONCE: Final = 2


class Batches:
    """Batches the entries of one operation. Lives on one event loop."""

    def __init__(
        self,
        send: Callable[[Sequence[Entry]], Awaitable[Mapping[str, Any]]],
        parse_failure: Callable[[Mapping[str, Any]], Exception],
    ) -> None:
        """Create a batcher.

        Args:
            send: Sends a batch, whose entries have an ``Id``, and returns the response.
            parse_failure: Returns the exception for an item of ``Failed`` in the response.
        """
        self._send = send
        self._judge = parse_failure
        self._waiting: list[tuple[Entry, asyncio.Future[None]]] = []
        self._under_way: set[asyncio.Task[None]] = set()

    async def put(self, entry: Entry) -> None:
        """Submit an entry, and return when the service has processed it.

        Raises:
            BrokerError: The entry, or the request with its batch, failed.
        """
        future: asyncio.Future[None] = asyncio.get_running_loop().create_future()
        self._waiting.append((entry, future))
        if len(self._waiting) == 1:
            asyncio.get_running_loop().call_soon(self._go_on)
        await future

    def _go_on(self, finished: asyncio.Task[None] | None = None) -> None:
        if finished is not None:
            self._under_way.discard(finished)
        while self._waiting and len(self._under_way) < _AT_ONCE:
            batch, self._waiting = self._waiting[:_MOST], self._waiting[_MOST:]
            task = asyncio.ensure_future(self._request(batch))
            self._under_way.add(task)
            task.add_done_callback(self._go_on)

    async def _request(self, batch: list[tuple[Entry, asyncio.Future[None]]]) -> None:
        ids = [str(number) for number in range(len(batch))]
        errors: dict[str, Exception]
        try:
            response = await self._send(
                [{"Id": entry_id, **entry} for entry_id, (entry, _) in zip(ids, batch, strict=True)]
            )
        except Exception as failure:  # noqa: BLE001  passed on to the callers of ``submit``
            errors = dict.fromkeys(ids, failure)
        else:
            errors = dict.fromkeys(ids, SqsAway("the response of SQS omits an entry of the batch"))
            errors |= {str(item["Id"]): self._judge(item) for item in response.get("Failed") or ()}
            for item in response.get("Successful") or ():
                errors.pop(str(item["Id"]), None)
        for entry_id, (_, future) in zip(ids, batch, strict=True):
            if future.done():
                continue
            if (error := errors.get(entry_id)) is None:
                future.set_result(None)
            else:
                future.set_exception(error)
