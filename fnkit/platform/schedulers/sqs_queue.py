"""One queue and what is asked of it, for one trigger."""

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
    """See the module. refused: what may not be done with messages that were received.

    heard: the event loop's time when it last answered a request for messages; emptied: when it last had none to
    hand out.
    """

    def __init__(self, client: SqsClient, place: SqsPlace) -> None:
        self.traits = traits_of(place.queue, None)
        self.is_known = False  # whether its attributes may be read
        self.refused: SqsRefusal | None = None
        self.heard = self.emptied = 0.0
        self._client = client
        self._place = place
        self._url = place.url
        self._soon: set[asyncio.Task[None]] = set()
        self._unwanted: set[asyncio.Task[dict[str, Any]]] = set()
        self._keeping: asyncio.Future[list[BaseException | None]] | None = None
        self._deletions = Batches(partial(self._batch, "DeleteMessageBatch"), self._judged)
        self._changes = Batches(partial(self._batch, "ChangeMessageVisibilityBatch"), self._judged)

    async def open(self) -> None:
        """Find the queue, and look how it is to be listened to.

        Raises:
            BrokerTrouble: it is not there, or may not be asked for.
        """
        if not self._place.url:
            self._url = str((await self._client.call("GetQueueUrl", QueueName=self._place.queue))["QueueUrl"])
        await self.look()
        self.refused = None

    async def look(self) -> None:
        """Read the queue's attributes. Keys that may not are no reason not to listen."""
        try:
            answer = await self._client.call("GetQueueAttributes", QueueUrl=self._url, AttributeNames=ATTRIBUTES)
        except SqsRefusal as error:
            if not error.is_of_rights:
                raise
            self.is_known, self.traits = False, traits_of(self._place.queue, None)
        else:
            self.is_known = True
            self.traits = traits_of(self._place.queue, answer.get("Attributes") or {})

    async def receive(self, number: int, wait: int) -> list[dict[str, Any]]:
        """Return up to ``number`` messages, as SQS describes them; waits so many seconds for the first.

        What comes when nobody waits any more is handed back at once.
        """
        parameters: dict[str, object] = {
            "QueueUrl": self._url,
            "MaxNumberOfMessages": number,
            "WaitTimeSeconds": wait,
            "VisibilityTimeout": self.traits.held,
            "AttributeNames": ("ApproximateReceiveCount", "MessageGroupId"),
        }
        if self.traits.is_fifo:
            parameters["ReceiveRequestAttemptId"] = str(uuid.uuid4())
        asking = asyncio.ensure_future(self._client.call("ReceiveMessage", **parameters))
        try:
            answer = await asyncio.shield(asking)
        except asyncio.CancelledError:
            self._unwanted.add(asking)
            asking.add_done_callback(self._hand_back)
            raise
        return list(answer.get("Messages") or ())

    async def delete(self, handle: str) -> None:
        """Delete a message, however long the service is away.

        Raises:
            HandleGone: it is not ours any more.
            SqsRefusal: we may not.
        """
        await self._until_done(self._deletions, {"ReceiptHandle": handle})

    async def hide(self, handle: str, seconds: int) -> None:
        """Have a message appear again in so many seconds; as ``delete``."""
        if self._keeping is not None and not self._keeping.done():
            await asyncio.wait((self._keeping,))  # else that might hide it again
        await self._until_done(self._changes, {"ReceiptHandle": handle, "VisibilityTimeout": seconds})

    async def soon(self, work: Coroutine[Any, Any, None]) -> None:
        """Do something without being waited for; where much is not done yet, wait until less is."""
        while len(self._soon) >= _MOST_SOON:
            await asyncio.wait(self._soon, return_when=asyncio.FIRST_COMPLETED)
        task = asyncio.ensure_future(work)
        self._soon.add(task)
        task.add_done_callback(self._soon.discard)

    async def close(self) -> None:
        """Return when what was to be done soon is done, or the service is not there for it."""
        if self._soon:
            _, left = await asyncio.wait(self._soon, timeout=_CLOSE_SECONDS)
            for task in left:
                task.cancel()

    async def keep(self, handles: Sequence[str]) -> None:
        """Have these stay hidden; those for which that fails appear again, which does no harm."""
        entries: list[Entry] = [
            {"ReceiptHandle": handle, "VisibilityTimeout": self.traits.held} for handle in handles
        ]
        puts = (self._changes.put(entry) for entry in entries)
        self._keeping = asyncio.gather(*puts, return_exceptions=True)
        await self._keeping

    async def _until_done(self, batches: Batches, entry: Entry) -> None:
        pause = _FIRST_PAUSE
        while True:
            try:
                return await batches.put(entry)
            except SqsAway:
                await asyncio.sleep(pause)
                pause = min(_LONGEST_PAUSE, pause * 2)
            except SqsRefusal as error:
                self.refused = error
                raise

    async def _batch(self, operation: str, entries: Sequence[Entry]) -> Mapping[str, Any]:
        return await self._client.call(operation, QueueUrl=self._url, Entries=entries)

    def _judged(self, failed: Mapping[str, Any]) -> BrokerTrouble:
        """Return what a failed entry means. That the service is at fault passes; that we are does not."""
        code, words = str(failed.get("Code", "")), str(failed.get("Message") or "")
        status = 400 if failed.get("SenderFault") else 500
        fault = refusal(code, words, status, self._client.access)
        return HandleGone(str(fault)) if code == "InvalidParameterValue" else fault

    def _hand_back(self, asking: asyncio.Task[dict[str, Any]]) -> None:
        """Nobody is there for these."""
        self._unwanted.discard(asking)
        if asking.cancelled() or asking.exception() is not None:
            return
        for one in asking.result().get("Messages") or ():
            handing = asyncio.ensure_future(self.hide(str(one["ReceiptHandle"]), 0))
            handing.add_done_callback(_forget)


def _forget(handing: asyncio.Task[None]) -> None:
    """It appears by itself where it could not be handed back."""
    if not handing.cancelled():
        handing.exception()
