"""A trigger's ear at an SQS queue (decision 30)."""

from __future__ import annotations

import asyncio
import contextlib
from collections.abc import Callable, Mapping, Sequence
from typing import Final

from fnkit.platform.schedulers.attempts import ATTEMPTS
from fnkit.platform.schedulers.listening import Fate, Intake, Message
from fnkit.platform.schedulers.sqs_client import SqsClients
from fnkit.platform.schedulers.sqs_fates import queue_fates
from fnkit.platform.schedulers.sqs_faults import SqsAway
from fnkit.platform.schedulers.sqs_messages import Groups, SqsMessage
from fnkit.platform.schedulers.sqs_places import SqsPlace
from fnkit.platform.schedulers.sqs_polls import Polls
from fnkit.platform.schedulers.sqs_queue import SqsQueue

__all__ = ["SqsListener"]

_LOOK_SECONDS: Final = 30.0
_FIRST_KEEP_SECONDS: Final = 1.0  # until the queue was asked how long it hides what it hands out


class SqsListener:
    """See the module and ``listening.Listener``."""

    kind = "sqs"
    pulls_ahead = False

    def __init__(self, clients: SqsClients, place: SqsPlace) -> None:
        self._clients = clients
        self._place = place
        self._queue = SqsQueue(clients.take(place.access), place)
        self._groups: Groups | None = None
        self._told()
        self.keep_every = _FIRST_KEEP_SECONDS

    async def listen(self, intake: Intake, say: Callable[[str], None]) -> None:
        """See ``Listener``."""
        queue = self._queue
        await queue.open()
        self._told()
        say(self._words())
        groups = self._groups = self._groups or Groups(intake.offer)
        polling = asyncio.ensure_future(Polls(queue, intake, groups).run())
        try:
            while True:
                done, _ = await asyncio.wait((polling,), timeout=_LOOK_SECONDS)
                if done:
                    return polling.result()
                with contextlib.suppress(SqsAway):
                    await queue.look()
                self._told()
                say(self._words())
        finally:
            polling.cancel()
            await asyncio.gather(polling, return_exceptions=True)

    async def keep(self, messages: Sequence[Message]) -> None:
        """See ``Listener``."""
        early = [] if self._groups is None else self._groups.early
        ours = [one for one in (*messages, *early) if isinstance(one, SqsMessage) and one.is_ours]
        await self._queue.keep([one.handle for one in ours])

    async def fates(self, since: Mapping[str, float]) -> Mapping[str, Fate]:
        """See ``Listener``."""
        early = set() if self._groups is None else {one.id for one in self._groups.early}
        gone = {one: moment for one, moment in since.items() if one not in early}
        return queue_fates(gone, self._queue.traits, emptied=self._queue.emptied, heard=self._queue.heard)

    async def close(self) -> None:
        """See ``Listener``."""
        await self._queue.close()
        self._clients.give(self._place.access)

    def _told(self) -> None:
        """Go by what the queue says: its visibility timeout is what spaced attempts where that was recorded."""
        traits = self._queue.traits
        self.spacing = float(traits.visibility)
        self.keep_every = traits.keep_every
        self.redrives = bool(traits.attempts)

    def _words(self) -> str:
        traits = self._queue.traits
        order = ", its groups in order" if traits.is_fifo else ""
        if not self._queue.is_known:
            end = f"its attributes may not be read, so no redrive policy is assumed: dead after {ATTEMPTS} attempts"
        elif traits.attempts:
            end = f"its redrive policy takes what fails {traits.attempts} times"
        else:
            end = f"dead after {ATTEMPTS} attempts, {traits.visibility} s apart"
        return f"queue {self._place.queue} at {self._place.access.host}{order}; {end}"
