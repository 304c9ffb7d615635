"""POSTs to functions through the gateway's door for deliveries, which asks for no token (decision 18).

All of them share one connection (``delivery_line``). It is made when it is needed and not there.
"""

from __future__ import annotations

import asyncio
import time
from dataclasses import dataclass
from typing import Final

import msgspec

from fnkit.platform.delivery_frames import Answer
from fnkit.platform.schedulers.delivery_line import DeliveryLine, Unreachable

__all__ = ["REFUSED", "Door", "Outcome", "Unreachable", "outcome_of"]

REFUSED: Final = 300
"""Published for triggers: an answer of 300 and more is a failure."""

# The gateway's own: it has no room, or it does not know the function (yet). No handler saw the message.
_TURNED_AWAY: Final = frozenset({404, 503})


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


class Door:
    """The gateway's door for deliveries, at this socket. Lives on one event loop."""

    def __init__(self, path: str) -> None:
        self._path = path
        self._line: DeliveryLine | None = None
        self._connecting = asyncio.Lock()

    async def post(self, host: str, body: bytes, content_type: str, seconds: float) -> Outcome:
        """POST ``body`` to ``/`` of the function that answers under ``host``; waits so many real seconds.

        Raises:
            Unreachable: the gateway could not be reached: nothing was delivered.
        """
        started = time.monotonic()
        line = self._line
        if line is None or not line.is_open:
            line = await self._connected()
        try:
            answer = await line.ask(host, content_type, body, seconds)
        except (ConnectionError, TimeoutError) as error:
            return Outcome(None, _milliseconds(started), str(error))
        return outcome_of(answer, _milliseconds(started))

    def close(self) -> None:
        """Let go of the connection."""
        if self._line is not None:
            self._line.close()

    async def _connected(self) -> DeliveryLine:
        async with self._connecting:
            if self._line is None or not self._line.is_open:
                self._line = await DeliveryLine.connected(self._path)
            return self._line


def outcome_of(answer: Answer, duration_ms: float) -> Outcome:
    """Return what an answer of the gateway's means."""
    if answer.status < REFUSED:
        return Outcome(answer.status, duration_ms)
    return Outcome(
        answer.status,
        duration_ms,
        error=f"it answered {answer.status}: {_said(answer)}".removesuffix(": "),
        turned_away=answer.status in _TURNED_AWAY and not answer.of_function,
    )


def _milliseconds(started: float) -> float:
    return round((time.monotonic() - started) * 1000, 3)


def _said(answer: Answer) -> str:
    """Return what a refusal says of itself: a gateway's message, or the beginning of its text."""
    try:
        return msgspec.json.decode(answer.words, type=dict[str, str])["message"]
    except (msgspec.MsgspecError, KeyError, UnicodeDecodeError):
        return answer.words.decode("utf-8", "replace").strip()
