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
from fnkit.platform.control.logs.following import FollowPosition, LogFollower
from fnkit.platform.control.logs.progress import PushProgress
from fnkit.platform.control.logs.queries import LogQueries
from fnkit.platform.control.logs.sources import LogSource
from fnkit.platform.layout import LokiPushSettings
from fnkit.platform.logql.entries import LogEntry
from fnkit.platform.schedulers.log_receiver import LokiClient, TemporarilyRejected, PermanentlyRejected

__all__ = ["LokiPush"]

_POLL_INTERVAL: Final = 0.25
_POLLS_PER_REFRESH: Final = 4
_MAX_BATCH_BYTES: Final = 512 * 1024
_MIN_BACKOFF: Final = 0.5
_MAX_BACKOFF: Final = 60.0
_logger = logging.getLogger(__name__)


class LokiPush:
    """Follows the logs of all functions and pushes new lines."""

    def __init__(self, context: ControlContext, queries: LogQueries, settings: LokiPushSettings) -> None:
        self._queries = queries
        self._client = LokiClient(settings)
        self._progress = PushProgress(context.layout.loki_push_file, self._client.name)
        self._followers: dict[str, LogFollower] = {}
        self._rejected_lines = 0

    async def run(self) -> None:
        """Push new lines, forever."""
        await asyncio.to_thread(self._progress.load)
        polls = 0
        while True:
            if not polls % _POLLS_PER_REFRESH:
                self._update_followers(self._queries.sources(None))
            polls += 1
            pushed = [
                await self._push_batch(follower)
                for follower in await asyncio.to_thread(self._followers_with_new_lines)
            ]
            if not any(pushed):
                await asyncio.sleep(_POLL_INTERVAL)

    def _followers_with_new_lines(self) -> list[LogFollower]:
        return [follower for follower in list(self._followers.values()) if follower.has_more()]

    def _update_followers(self, sources: list[LogSource]) -> None:
        """Add new functions. A deleted one is followed until its log files are deleted too."""
        for source in sources:
            follower = self._followers.get(source.function_id)
            if follower is None:
                position = self._progress.positions.get(source.function_id, FollowPosition())
                self._followers[source.function_id] = LogFollower(source, position)
            else:
                follower.source = source
        existing = {source.function_id for source in sources}
        for function_id in [
            function_id
            for function_id, f in self._followers.items()
            if function_id not in existing and not f.source.folder.exists()
        ]:
            del self._followers[function_id]
            self._progress.remove(function_id)

    async def _push_batch(self, follower: LogFollower) -> bool:
        """Push the next batch of one function. Returns whether there was one."""
        before = follower.position
        entries = await asyncio.to_thread(follower.read, _MAX_BATCH_BYTES)
        self._warn_of_lost_segments(follower)
        if entries:
            await self._push_with_retries(entries)
        if follower.position != before:
            await asyncio.to_thread(self._progress.save, follower.source.function_id, follower.position)
        return bool(entries)

    async def _push_with_retries(self, entries: list[LogEntry]) -> None:
        """Push one batch, with retries until it is accepted.

        A batch that is too large is split in halves. One that is rejected for another reason is dropped.
        """
        backoff = _MIN_BACKOFF
        is_failing = False
        while True:
            try:
                await asyncio.to_thread(self._client.push, entries)
            except TemporarilyRejected as error:
                wait = error.retry_after or backoff * random.uniform(0.5, 1.0)  # noqa: S311  jitter, not a secret
                if not is_failing:
                    _logger.warning("Cannot push logs to %s: %s. Retrying.", self._client.name, error)
                    is_failing = True
                await asyncio.sleep(wait)
                backoff = min(backoff * 2, _MAX_BACKOFF)
            except PermanentlyRejected as error:
                if error.too_large and len(entries) > 1:
                    half = len(entries) // 2
                    await self._push_with_retries(entries[:half])
                    await self._push_with_retries(entries[half:])
                    return
                self._rejected_lines += len(entries)
                _logger.warning(
                    "%s rejected %d log lines, which are dropped (%d in total): %s",
                    *(self._client.name, len(entries), self._rejected_lines, error),
                )
                return
            else:
                if is_failing:
                    _logger.info("Pushing logs to %s resumed.", self._client.name)
                return

    def _warn_of_lost_segments(self, follower: LogFollower) -> None:
        if follower.lost_segments:
            _logger.warning(
                "%d log segments of function %s were deleted before they were pushed to %s.",
                *(follower.lost_segments, follower.source.function_id, self._client.name),
            )
            follower.lost_segments = 0
