"""Many small requests as few large ones: what comes while one is under way goes with the next, ten at most."""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable, Mapping, Sequence
from typing import Any, Final

from fnkit.platform.schedulers.sqs_faults import SqsAway

__all__ = ["Batches", "Entry"]

Entry = Mapping[str, object]
_MOST: Final = 10  # SQS' own limit
_AT_ONCE: Final = 2


class Batches:
    """One operation of SQS that takes entries. send: makes the request, with ``Id`` in each entry.

    judge: what an entry that failed means.
    """

    def __init__(
        self,
        send: Callable[[Sequence[Entry]], Awaitable[Mapping[str, Any]]],
        judge: Callable[[Mapping[str, Any]], Exception],
    ) -> None:
        self._send = send
        self._judge = judge
        self._waiting: list[tuple[Entry, asyncio.Future[None]]] = []
        self._under_way: set[asyncio.Task[None]] = set()

    async def put(self, entry: Entry) -> None:
        """Return when the service has done it; raises what went wrong with this entry, or with its request."""
        future: asyncio.Future[None] = asyncio.get_running_loop().create_future()
        self._waiting.append((entry, future))
        if len(self._waiting) == 1:
            asyncio.get_running_loop().call_soon(self._go_on)
        await future

    def _go_on(self, ended: asyncio.Task[None] | None = None) -> None:
        if ended is not None:
            self._under_way.discard(ended)
        while self._waiting and len(self._under_way) < _AT_ONCE:
            batch, self._waiting = self._waiting[:_MOST], self._waiting[_MOST:]
            task = asyncio.ensure_future(self._request(batch))
            self._under_way.add(task)
            task.add_done_callback(self._go_on)

    async def _request(self, batch: list[tuple[Entry, asyncio.Future[None]]]) -> None:
        names = [str(number) for number in range(len(batch))]
        faults: dict[str, Exception]
        try:
            answer = await self._send(
                [{"Id": name, **entry} for name, (entry, _) in zip(names, batch, strict=True)]
            )
        except Exception as error:  # noqa: BLE001  it is theirs who wait
            faults = dict.fromkeys(names, error)
        else:
            faults = dict.fromkeys(names, SqsAway("SQS says nothing of an entry of a batch"))
            faults |= {str(one["Id"]): self._judge(one) for one in answer.get("Failed") or ()}
            for one in answer.get("Successful") or ():
                faults.pop(str(one["Id"]), None)
        for name, (_, future) in zip(names, batch, strict=True):
            if future.done():
                continue
            if (fault := faults.get(name)) is None:
                future.set_result(None)
            else:
                future.set_exception(fault)
