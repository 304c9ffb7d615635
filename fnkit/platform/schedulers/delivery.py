"""One POST to a function through the gateway's private door, which skips the token check (decision 18)."""

from __future__ import annotations

import asyncio
import time
from dataclasses import dataclass
from typing import Final

import httptools
import msgspec

__all__ = ["REFUSED", "USER_AGENT", "Outcome", "Unreachable", "post"]

USER_AGENT: Final = "ScalewayServerlessOrchestrator/1.0"  # recorded
REFUSED: Final = 300
"""Published for triggers: an answer of 300 and more is a failure."""

_CHUNK: Final = 64 * 1024
_WORDS: Final = 300  # of a refusal's body, for the log
_UNAVAILABLE: Final = 503
_OF_FUNCTIONS: Final = (
    b"access-control-allow-origin"  # every answer of a function has it, none of the gateway's own
)


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


class _Answer:
    """What a parser has read; the names are httptools'."""

    def __init__(self) -> None:
        self.parser = httptools.HttpResponseParser(self)
        self.ended = False
        self.of_function = False
        self.words = b""

    def on_header(self, name: bytes, value: bytes) -> None:
        del value
        self.of_function |= name.lower() == _OF_FUNCTIONS

    def on_body(self, body: bytes) -> None:
        self.words = (self.words + body[:_WORDS])[:_WORDS]

    def on_message_complete(self) -> None:
        self.ended = True


async def post(door: str, host: str, body: bytes, content_type: str, seconds: float) -> Outcome:
    """POST ``body`` to ``/`` of the function that answers under ``host``; waits that many real seconds at most.

    Raises:
        Unreachable: the gateway could not be reached.
    """
    started = time.monotonic()
    try:
        reader, writer = await asyncio.open_unix_connection(door)
    except OSError as error:
        raise Unreachable(str(error)) from None
    head = (
        f"POST / HTTP/1.1\r\nHost: {host}\r\nUser-Agent: {USER_AGENT}\r\nContent-Type: {content_type}\r\n"
        f"Content-Length: {len(body)}\r\nConnection: close\r\n\r\n"
    )
    answer, fault = _Answer(), ""
    try:
        async with asyncio.timeout(seconds):
            writer.write(head.encode("latin-1") + body)
            await writer.drain()
            while not answer.ended and (data := await reader.read(_CHUNK)):
                answer.parser.feed_data(data)
    except TimeoutError:
        fault = f"no answer came within {seconds:g} s"
    except (OSError, httptools.HttpParserError):
        fault = "the connection broke before the answer's end"
    finally:
        writer.close()
    duration = round((time.monotonic() - started) * 1000, 3)
    if not answer.ended:
        return Outcome(None, duration, fault or "the connection ended before the answer's end")
    status = answer.parser.get_status_code()
    if status < REFUSED:
        return Outcome(status, duration)
    return Outcome(
        status,
        duration,
        error=f"it answered {status}: {_said(answer.words)}".removesuffix(": "),
        turned_away=status == _UNAVAILABLE and not answer.of_function,
    )


def _said(words: bytes) -> str:
    """Return what a refusal says of itself: a gateway's message, or the beginning of its text."""
    try:
        return msgspec.json.decode(words, type=dict[str, str])["message"]
    except (msgspec.MsgspecError, KeyError, UnicodeDecodeError):
        return words.decode("utf-8", "replace").strip()
