"""Pushes the logs of functions to a Loki server (``--loki-url``): each line once, in order for each function.

The log segments on disk are the queue. So a restart loses nothing, and a function never waits for Loki. Segments
that are deleted before they were pushed are counted and reported in the platform's log. The position of each
function is saved after each batch. A crash in between pushes that batch again, and Loki stores a line of the same
stream, time and text once. All times are real time.
"""

from __future__ import annotations

import asyncio
import contextlib
import gzip
import logging
import random
from pathlib import Path
from typing import TYPE_CHECKING, Final
from urllib.parse import urlsplit

import msgspec

from fnkit.platform.control.context import ControlContext
from fnkit.platform.control.logs.query import LogQueries
from fnkit.platform.control.logs.sources import LogSource
from fnkit.platform.control.logs.tail import FollowPosition, LogFollower
from fnkit.platform.control.store.private_file import write_private_file
from fnkit.platform.logql.entry import LogEntry
from fnkit.platform.model.settings import LokiPushSettings

if TYPE_CHECKING:
    import requests

_TIMEOUTS: Final = (5.0, 30.0)  # seconds to connect, and between two bytes of the response
_SUCCESS_STATUSES: Final = range(200, 300)
_RETRYABLE_STATUSES: Final = frozenset({401, 403, 404, 408, 425, 429})
"""Statuses that do not depend on the lines: wrong credentials or URL, which may be corrected, and rate limits."""
_PAYLOAD_TOO_LARGE: Final = 413
_MAX_RETRY_AFTER: Final = 300.0
_MAX_ECHO: Final = 300
_encoder: Final = msgspec.json.Encoder()

_POLL_INTERVAL: Final = 0.25
_POLLS_PER_REFRESH: Final = 4
_MAX_BATCH_BYTES: Final = 512 * 1024
_MIN_BACKOFF: Final = 0.5
_MAX_BACKOFF: Final = 60.0
_logger = logging.getLogger(__name__)


class _ProgressFile(msgspec.Struct, frozen=True, kw_only=True):
    """The content of the file. If ``receiver`` (the URL) changes, the logs are pushed again from the start.

    Attributes:
        functions: The position of each source, by its name, which for output is the function's id.
    """

    receiver: str
    functions: dict[str, FollowPosition]


class PushProgress:
    """The position of each source of log lines, by its name.

    If the file cannot be written, its positions are too old, and lines are pushed again after a restart. Loki
    stores a repeated line once, so this is safe, whereas a position that is too new would lose lines.
    """

    def __init__(self, file: Path, receiver: str) -> None:
        self.positions: dict[str, FollowPosition] = {}
        self._file = file
        self._receiver = receiver

    def load(self) -> None:
        """Read the file; start from scratch if it is missing, corrupt or of another receiver."""
        try:
            written = msgspec.json.decode(self._file.read_bytes(), type=_ProgressFile)
        except (OSError, msgspec.MsgspecError):
            return
        if written.receiver == self._receiver:
            self.positions = dict(written.functions)

    def save(self, name: str, position: FollowPosition) -> None:
        """Record up to which position a source was pushed."""
        self.positions[name] = position
        content = msgspec.json.encode(_ProgressFile(receiver=self._receiver, functions=self.positions))
        with contextlib.suppress(OSError):
            write_private_file(self._file, content)

    def remove(self, name: str) -> None:
        """Remove a source of a deleted function; the next save omits it from the file."""
        self.positions.pop(name, None)


class TemporarilyRejected(Exception):
    """The lines were not accepted now, but may be later.

    Attributes:
        retry_after: The seconds to wait that the server asked for, or 0.
    """

    def __init__(self, message: str, retry_after: float = 0.0) -> None:
        super().__init__(message)
        self.retry_after = retry_after


class PermanentlyRejected(Exception):
    """The server rejected the lines for good.

    Attributes:
        too_large: Whether the reason is the size of the request.
    """

    def __init__(self, message: str, *, too_large: bool) -> None:
        super().__init__(message)
        self.too_large = too_large


class _PushStream(msgspec.Struct, frozen=True):
    stream: dict[str, str]
    values: list[tuple[str, str, dict[str, str]]]


class LokiClient:
    """A Loki server. ``name`` is its URL without credentials, for log messages."""

    def __init__(self, settings: LokiPushSettings) -> None:
        self.name = settings.url
        self._settings = settings
        self._session: requests.Session | None = None

    def push(self, entries: list[LogEntry]) -> None:
        """Push lines. Blocks until the server responded.

        Raises:
            TemporarilyRejected: The lines may be accepted later.
            PermanentlyRejected: The lines will never be accepted.
        """
        import requests

        if self._session is None:
            self._session = requests.Session()
            self._session.trust_env = not _is_loopback(self._settings.url)  # never use a proxy for loopback
            self._session.headers.update(
                {"Content-Type": "application/json", "Content-Encoding": "gzip", "User-Agent": "fnkit"}
            )
            self._session.headers.update(dict(self._settings.headers))
        body = gzip.compress(_encode_push(entries), compresslevel=1)
        try:
            response = self._session.post(self._settings.url, data=body, timeout=_TIMEOUTS, allow_redirects=False)
        except requests.RequestException as error:
            raise TemporarilyRejected(type(error).__name__) from None
        if response.status_code in _SUCCESS_STATUSES:
            return
        text = f"{response.status_code} {response.text[:_MAX_ECHO].strip()}"
        if response.status_code in _RETRYABLE_STATUSES or response.status_code not in range(400, 500):
            raise TemporarilyRejected(text, _parse_retry_after(response.headers.get("Retry-After", "")))
        raise PermanentlyRejected(text, too_large=response.status_code == _PAYLOAD_TOO_LARGE)


def _encode_push(entries: list[LogEntry]) -> bytes:
    """Return the body of a push request: the lines grouped by stream, in their order, with their metadata."""
    streams: dict[int, _PushStream] = {}
    for entry in entries:
        # Entries of one stream share the same mapping, so its identity is the cheapest key.
        stream = streams.get(id(entry.stream))
        if stream is None:
            stream = streams[id(entry.stream)] = _PushStream(dict(entry.stream), [])
        stream.values.append((str(entry.time), entry.line, dict(entry.metadata)))
    return _encoder.encode({"streams": list(streams.values())})


def _parse_retry_after(text: str) -> float:
    return min(float(text), _MAX_RETRY_AFTER) if text.isdecimal() else 0.0


def _is_loopback(url: str) -> bool:
    return (urlsplit(url).hostname or "") in {"localhost", "127.0.0.1", "::1"}


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
        """Add new sources. Those of a deleted function are followed until its log files are deleted too."""
        for source in sources:
            follower = self._followers.get(source.name)
            if follower is None:
                position = self._progress.positions.get(source.name, FollowPosition())
                self._followers[source.name] = LogFollower(source, position)
            else:
                follower.source = source
        for name in self._followers.keys() - {source.name for source in sources}:
            if not self._followers[name].source.folder.exists():
                del self._followers[name]
                self._progress.remove(name)

    async def _push_batch(self, follower: LogFollower) -> bool:
        """Push the next batch of one function. Returns whether there was one."""
        before = follower.position
        entries = await asyncio.to_thread(follower.read, _MAX_BATCH_BYTES)
        self._warn_of_lost_segments(follower)
        if entries:
            await self._push_with_retries(entries)
        if follower.position != before:
            await asyncio.to_thread(self._progress.save, follower.source.name, follower.position)
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
                *(follower.lost_segments, follower.source.name, self._client.name),
            )
            follower.lost_segments = 0
