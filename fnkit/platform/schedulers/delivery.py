"""Sends requests of triggers and crons to functions, over the gateway's Unix socket for deliveries.

The socket is accessible to control alone, so requests on it need no token. All requests share one connection, which
is opened when it is needed. The connection writes to its socket itself rather than through an asyncio transport, so
that it knows how much the kernel accepted: if the connection breaks, a request whose last byte was not written
cannot have reached a handler and may be sent again.
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
"""Lowest status that counts as a failure of a trigger, as Scaleway documents."""

# Sent by the gateway itself if its queue is full or it has no route to the function (yet). No handler ran.
_TURNED_AWAY: Final = frozenset({404, 503})


@dataclass(frozen=True, slots=True)
class Outcome:
    """The outcome of one attempt to deliver.

    Attributes:
        http_status: The status, or ``None`` if there was no response.
        duration_ms: Duration in real milliseconds.
        error: Why the attempt failed, else empty.
        rejected: Whether the gateway rejected the request, so that no handler ran.
    """

    http_status: int | None
    duration_ms: float
    error: str = ""
    turned_away: bool = False

    @property
    def succeeded(self) -> bool:
        """Whether the function responded with success."""
        return self.http_status is not None and self.http_status < REFUSED


class Door:
    """Client of the gateway's socket for deliveries. Lives on one event loop."""

    def __init__(self, path: str) -> None:
        self._path = path
        self._line: DeliveryLine | None = None
        self._connecting = asyncio.Lock()

    async def post(self, host: str, body: bytes, content_type: str, timeout_seconds: float) -> Outcome:
        """Send ``POST /`` to a function and wait for its response.

        Args:
            host: The function's hostname at the gateway.
            body: The body.
            content_type: Value of the ``Content-Type`` header.
            timeout_seconds: Real seconds to wait for the response.

        Raises:
            Unreachable: The gateway cannot be reached; nothing was delivered.
        """
        started = time.monotonic()
        connection = self._line
        if connection is None or not connection.is_open:
            connection = await self._connected()
        try:
            response = await connection.ask(host, content_type, body, timeout_seconds)
        except (ConnectionError, TimeoutError) as error:
            return Outcome(None, _milliseconds(started), str(error))
        return outcome_of(response, _milliseconds(started))

    def close(self) -> None:
        """Close the connection."""
        if self._line is not None:
            self._line.close()

    async def _connected(self) -> DeliveryLine:
        async with self._connecting:
            if self._line is None or not self._line.is_open:
                self._line = await DeliveryLine.connected(self._path)
            return self._line


def outcome_of(response: Answer, duration_ms: float) -> Outcome:
    """Return the outcome that a response of the gateway stands for."""
    if response.status < REFUSED:
        return Outcome(response.status, duration_ms)
    return Outcome(
        response.status,
        duration_ms,
        error=f"HTTP {response.status}: {_said(response)}".removesuffix(": "),
        turned_away=response.status in _TURNED_AWAY and not response.of_function,
    )


def _milliseconds(started: float) -> float:
    return round((time.monotonic() - started) * 1000, 3)


def _said(response: Answer) -> str:
    """Return the text of a failure: the gateway's message, or the beginning of the function's response."""
    try:
        return msgspec.json.decode(response.words, type=dict[str, str])["message"]
    except (msgspec.MsgspecError, KeyError, UnicodeDecodeError):
        return response.words.decode("utf-8", "replace").strip()
