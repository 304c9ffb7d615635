"""Sends functions' logs to a Loki: every line that is kept, once, in order of each function (``--loki-url``).

The segments on disk are the queue, so nothing is held in memory that a restart could lose and no function ever
waits: what could not be sent before its segment was dropped is counted and said in the platform's log. How far each
function was sent is written down after each batch; a crash between the two sends a batch again, and the receiver,
which knows a line by its time, stores it once. Works on real time.
"""

from __future__ import annotations

import asyncio
import logging
import random
from typing import Final

from fnkit.platform.control.context import ControlContext
from fnkit.platform.control.logs.following import Followed, Follower
from fnkit.platform.control.logs.progress import PushProgress
from fnkit.platform.control.logs.queries import LogQueries
from fnkit.platform.control.logs.sources import LogSource
from fnkit.platform.layout import LogPushSettings
from fnkit.platform.logql.entries import Entry
from fnkit.platform.schedulers.log_receiver import LogReceiver, NotTakenError, RefusedError

__all__ = ["LogPush"]

_LOOK_SECONDS: Final = 0.25
_SOURCES_EVERY: Final = 4  # looks
_BATCH_BYTES: Final = 512 * 1024
_FIRST_PAUSE: Final = 0.5
_LONGEST_PAUSE: Final = 60.0
_logger = logging.getLogger(__name__)


class LogPush:
    """Follows every function's log and sends what is new."""

    def __init__(self, context: ControlContext, queries: LogQueries, settings: LogPushSettings) -> None:
        self._queries = queries
        self._receiver = LogReceiver(settings)
        self._progress = PushProgress(context.layout.log_push, self._receiver.name)
        self._followers: dict[str, Follower] = {}
        self._refused = 0

    async def run(self) -> None:
        """Send, for ever."""
        await asyncio.to_thread(self._progress.load)
        looks = 0
        while True:
            if not looks % _SOURCES_EVERY:
                self._follow(self._queries.sources(None))
            looks += 1
            sent = [await self._send(follower) for follower in await asyncio.to_thread(self._with_more)]
            if not any(sent):
                await asyncio.sleep(_LOOK_SECONDS)

    def _with_more(self) -> list[Follower]:
        return [follower for follower in list(self._followers.values()) if follower.has_more()]

    def _follow(self, sources: list[LogSource]) -> None:
        """Follow what is new; what is gone is followed until its files are gone too."""
        for source in sources:
            follower = self._followers.get(source.function_id)
            if follower is None:
                place = self._progress.places.get(source.function_id, Followed())
                self._followers[source.function_id] = Follower(source, place)
            else:
                follower.source = source
        there = {source.function_id for source in sources}
        for one in [one for one, f in self._followers.items() if one not in there and not f.source.folder.exists()]:
            del self._followers[one]
            self._progress.forget(one)

    async def _send(self, follower: Follower) -> bool:
        """Send the next batch of one function; False where there is none."""
        before = follower.place
        entries = await asyncio.to_thread(follower.read, _BATCH_BYTES)
        self._tell_lost(follower)
        if entries:
            await self._deliver(entries)
        if follower.place != before:
            await asyncio.to_thread(self._progress.save, follower.source.function_id, follower.place)
        return bool(entries)

    async def _deliver(self, entries: list[Entry]) -> None:
        """Send one batch, as often as it takes; halves of one that is too large; none that is refused."""
        pause = _FIRST_PAUSE
        told = False
        while True:
            try:
                await asyncio.to_thread(self._receiver.push, entries)
            except NotTakenError as error:
                wait = error.wait or pause * random.uniform(0.5, 1.0)  # noqa: S311  spreads retries, keeps no secret
                if not told:
                    _logger.warning("Logs cannot be sent to %s: %s. Trying again.", self._receiver.name, error)
                    told = True
                await asyncio.sleep(wait)
                pause = min(pause * 2, _LONGEST_PAUSE)
            except RefusedError as error:
                if error.too_large and len(entries) > 1:
                    half = len(entries) // 2
                    await self._deliver(entries[:half])
                    await self._deliver(entries[half:])
                    return
                self._refused += len(entries)
                _logger.warning(
                    "%s refused %d lines, which are dropped (%d until now): %s",
                    *(self._receiver.name, len(entries), self._refused, error),
                )
                return
            else:
                if told:
                    _logger.info("Logs are sent to %s again.", self._receiver.name)
                return

    def _tell_lost(self, follower: Follower) -> None:
        if follower.lost:
            _logger.warning(
                "%d segments of the log of %s were dropped before they could be sent to %s.",
                *(follower.lost, follower.source.function_id, self._receiver.name),
            )
            follower.lost = 0
