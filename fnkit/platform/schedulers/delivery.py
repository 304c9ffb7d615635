"""POSTs to functions through the gateway's private door, which skips the token check (decision 18).

A connection is kept for the next message: opening one costs more than a message does. Whether a kept one is still
whole is looked up in its socket before it is used, so that a gateway that went away meanwhile is seen as what it
is, unreachable, and not as a message of which nobody knows whether it arrived.
"""

from __future__ import annotations

import asyncio
import contextlib
import socket
import time
from dataclasses import dataclass
from functools import lru_cache
from typing import Final, cast

import httptools
import msgspec

__all__ = ["REFUSED", "USER_AGENT", "Door", "Outcome", "Unreachable"]

USER_AGENT: Final = "ScalewayServerlessOrchestrator/1.0"  # recorded
REFUSED: Final = 300
"""Published for triggers: an answer of 300 and more is a failure."""

_WORDS: Final = 300  # of a refusal's body, for the log
_IDLE_KEPT: Final = 64
_FRESH_SECONDS: Final = 0.005
# The gateway's own: it has no room, or it does not know the function (yet). No handler saw the message.
_TURNED_AWAY: Final = frozenset({404, 503})
# Every answer of a function has it, none of the gateway's own.
_OF_FUNCTIONS: Final = b"\r\naccess-control-allow-origin:"
_HEAD_END: Final = b"\r\n\r\n"
_SAID: Final = 8192  # bytes of an answer that are looked at
_LOOK_SECONDS: Final = 0.5


class Unreachable(Exception):
    """The gateway's door is closed: nothing was delivered."""


@dataclass(frozen=True, slots=True)
class Outcome:
    """What the function answered; ``http_status`` ``None``: no answer came. ``duration_ms`` is real time.

    error: why it is no success, else empty. turned_away: the gateway itself had no room, so that no handler saw it.
    """

    http_status: int | None
    duration_ms: float
    error: str = ""
    turned_away: bool = False

    @property
    def succeeded(self) -> bool:
        """Whether the function took it."""
        return self.http_status is not None and self.http_status < REFUSED


class _Line(asyncio.Protocol):
    """One connection, one request at a time. Methods with ``on_`` are httptools' names."""

    def __init__(self, peer: socket.socket) -> None:
        self.answered: asyncio.Future[int] | None = None  # the status
        self.deadline = 0.0
        self.said = b""  # the answer's beginning, as it came
        self.is_reusable = True
        self.rests_since = 0.0
        self._peer = peer
        self._transport: asyncio.Transport | None = None
        self._parser = httptools.HttpResponseParser(self)

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        self._transport = cast("asyncio.Transport", transport)  # uvloop's are no subclass

    def connection_lost(self, _error: Exception | None) -> None:
        self.is_reusable = False
        if self.answered is not None and not self.answered.done():
            self.answered.set_exception(ConnectionError("the connection ended before the answer's end"))

    def data_received(self, data: bytes) -> None:
        if len(self.said) < _SAID:
            self.said += data[:_SAID]
        try:
            self._parser.feed_data(data)
        except httptools.HttpParserError:
            self.close()

    def on_message_complete(self) -> None:
        self.is_reusable = self.is_reusable and self._parser.should_keep_alive()
        if self.answered is not None and not self.answered.done():
            self.answered.set_result(self._parser.get_status_code())

    def is_whole(self) -> bool:
        """Whether the other end is still there: an end of file, or bytes that nobody asked for, say it is not."""
        if not self.is_reusable or self._transport is None or self._transport.is_closing():
            return False
        if time.monotonic() - self.rests_since < _FRESH_SECONDS:
            return True
        try:
            self._peer.recv(1, socket.MSG_PEEK | socket.MSG_DONTWAIT)
        except BlockingIOError:
            return True
        except OSError:
            return False
        return False

    def ask(self, request: bytes, seconds: float) -> asyncio.Future[int]:
        """Send a request; returns what will be its status when its answer is complete, or a ``ConnectionError``."""
        loop = asyncio.get_running_loop()
        answered = self.answered = loop.create_future()
        self.deadline = loop.time() + seconds
        self.said = b""
        if self._transport is None:
            answered.set_exception(ConnectionError("never connected"))
        else:
            self._transport.write(request)
        return answered

    def look(self, now: float) -> None:
        """End a wait that is too long."""
        if self.answered is not None and not self.answered.done() and now > self.deadline:
            self.answered.set_exception(TimeoutError("no answer came in time"))

    def close(self) -> None:
        self.is_reusable = False
        if self._transport is not None:
            self._transport.close()


class Door:
    """The gateway's private door, at this socket. Lives on one event loop."""

    def __init__(self, path: str) -> None:
        self._path = path
        self._idle: list[_Line] = []
        self._asking: set[_Line] = set()
        self._watch: asyncio.TimerHandle | None = None

    async def post(self, host: str, body: bytes, content_type: str, seconds: float) -> Outcome:
        """POST ``body`` to ``/`` of the function that answers under ``host``; waits so many real seconds.

        Raises:
            Unreachable: the gateway could not be reached.
        """
        started = time.monotonic()
        line = self._kept() or await self._made()
        self._asking.add(line)
        if self._watch is None:
            self._look()
        status, fault = None, ""
        try:
            status = await line.ask(_head(host, content_type) % len(body) + body, seconds)
        except (ConnectionError, TimeoutError) as error:
            fault = str(error)
        finally:
            self._asking.discard(line)
            self._give_back(line, used=status is None)
        duration = round((time.monotonic() - started) * 1000, 3)
        if status is None:
            return Outcome(None, duration, fault)
        if status < REFUSED:
            return Outcome(status, duration)
        return Outcome(
            status,
            duration,
            error=f"it answered {status}: {_said(line.said.partition(_HEAD_END)[2][:_WORDS])}".removesuffix(": "),
            turned_away=status in _TURNED_AWAY and not _is_of_function(line.said),
        )

    def close(self) -> None:
        """Let go of the connections that are kept."""
        if self._watch is not None:
            self._watch.cancel()
        while self._idle:
            self._idle.pop().close()

    def _look(self) -> None:
        """One look at all of them now and then costs less than a timer for each."""
        loop = asyncio.get_running_loop()
        now = loop.time()
        for line in self._asking:
            line.look(now)
        self._watch = loop.call_later(_LOOK_SECONDS, self._look) if self._asking else None

    def _kept(self) -> _Line | None:
        while self._idle:
            line = self._idle.pop()
            if line.is_whole():
                return line
            line.close()
        return None

    async def _made(self) -> _Line:
        peer = socket.socket(socket.AF_UNIX, socket.SOCK_STREAM)
        peer.settimeout(0)
        loop = asyncio.get_running_loop()
        try:
            await loop.sock_connect(peer, self._path)
            _, line = await loop.create_unix_connection(lambda: _Line(peer), sock=peer)
        except BaseException as error:
            with contextlib.suppress(OSError):
                peer.close()
            if isinstance(error, OSError):
                raise Unreachable(str(error)) from None
            raise
        return line

    def _give_back(self, line: _Line, *, used: bool) -> None:
        """Keep a connection whose answer is complete; ``used``: it is not, so that it is of no use any more."""
        if used or not line.is_reusable or len(self._idle) >= _IDLE_KEPT:
            line.close()
        else:
            line.rests_since = time.monotonic()
            self._idle.append(line)


@lru_cache(maxsize=1024)
def _head(host: str, content_type: str) -> bytes:
    head = f"POST / HTTP/1.1\r\nHost: {host}\r\nUser-Agent: {USER_AGENT}\r\nContent-Type: {content_type}\r\n"
    return head.encode("latin-1").replace(b"%", b"%%") + b"Content-Length: %d\r\n\r\n"


def _is_of_function(said: bytes) -> bool:
    head = said.partition(_HEAD_END)[0].lower()
    return _OF_FUNCTIONS in head


def _said(words: bytes) -> str:
    """Return what a refusal says of itself: a gateway's message, or the beginning of its text."""
    try:
        return msgspec.json.decode(words, type=dict[str, str])["message"]
    except (msgspec.MsgspecError, KeyError, UnicodeDecodeError):
        return words.decode("utf-8", "replace").strip()
