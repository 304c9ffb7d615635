"""Pushes the logs of functions to a Loki server (``--loki-url``): each line once, in order for each function.

The log segments on disk are the queue. So a restart loses nothing, and a function never waits for Loki. Segments
that are deleted before they were pushed are counted and reported in the platform's log. The position of each
function is saved after each batch. A crash in between pushes that batch again, and Loki stores a line of the same
stream, time and text once. All times are real time.
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
_SOURCES_EVERY: Final = 4
_BATCH_BYTES: Final = 512 * 1024
_FIRST_PAUSE: Final = 0.5
_LONGEST_PAUSE: Final = 60.0
_logger = logging.getLogger(__name__)


class LogPush:
    """Follows the logs of all functions and pushes new lines."""

    def __init__(self, context: ControlContext, queries: LogQueries, settings: LogPushSettings) -> None:
        self._queries = queries
        self._receiver = LogReceiver(settings)
        self._progress = PushProgress(context.layout.log_push, self._receiver.name)
        self._followers: dict[str, Follower] = {}
        self._refused = 0

    async def run(self) -> None:
        """Push new lines, forever."""
        await asyncio.to_thread(self._progress.load)
        polls = 0
        while True:
            if not polls % _SOURCES_EVERY:
                self._follow(self._queries.sources(None))
            polls += 1
            pushed = [await self._send(follower) for follower in await asyncio.to_thread(self._with_more)]
            if not any(pushed):
                await asyncio.sleep(_LOOK_SECONDS)

    def _with_more(self) -> list[Follower]:
        return [follower for follower in list(self._followers.values()) if follower.has_more()]

    def _follow(self, sources: list[LogSource]) -> None:
        """Add new functions. A deleted one is followed until its log files are deleted too."""
        for source in sources:
            follower = self._followers.get(source.function_id)
            if follower is None:
                position = self._progress.places.get(source.function_id, Followed())
                self._followers[source.function_id] = Follower(source, position)
            else:
                follower.source = source
        existing = {source.function_id for source in sources}
        for function_id in [
            function_id
            for function_id, f in self._followers.items()
            if function_id not in existing and not f.source.folder.exists()
        ]:
            del self._followers[function_id]
            self._progress.forget(function_id)

    async def _send(self, follower: Follower) -> bool:
        """Push the next batch of one function. Returns whether there was one."""
        before = follower.place
        entries = await asyncio.to_thread(follower.read, _BATCH_BYTES)
        self._tell_lost(follower)
        if entries:
            await self._deliver(entries)
        if follower.place != before:
            await asyncio.to_thread(self._progress.save, follower.source.function_id, follower.place)
        return bool(entries)

    async def _deliver(self, entries: list[Entry]) -> None:
        """Push one batch, with retries until it is accepted.

        A batch that is too large is split in halves. One that is rejected for another reason is dropped.
        """
        backoff = _FIRST_PAUSE
        is_failing = False
        while True:
            try:
                await asyncio.to_thread(self._receiver.push, entries)
            except NotTakenError as error:
                wait = error.wait or backoff * random.uniform(0.5, 1.0)  # noqa: S311  jitter, not a secret
                if not is_failing:
                    _logger.warning("Cannot push logs to %s: %s. Retrying.", self._receiver.name, error)
                    is_failing = True
                await asyncio.sleep(wait)
                backoff = min(backoff * 2, _LONGEST_PAUSE)
            except RefusedError as error:
                if error.too_large and len(entries) > 1:
                    half = len(entries) // 2
                    await self._deliver(entries[:half])
                    await self._deliver(entries[half:])
                    return
                self._refused += len(entries)
                _logger.warning(
                    "%s rejected %d log lines, which are dropped (%d in total): %s",
                    *(self._receiver.name, len(entries), self._refused, error),
                )
                return
            else:
                if is_failing:
                    _logger.info("Pushing logs to %s resumed.", self._receiver.name)
                return

    def _tell_lost(self, follower: Follower) -> None:
        if follower.lost:
            _logger.warning(
                "%d log segments of function %s were deleted before they were pushed to %s.",
                *(follower.lost, follower.source.function_id, self._receiver.name),
            )
            follower.lost = 0
