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

from fnkit.platform.delivery_frames import DeliveryResponse
from fnkit.platform.schedulers.delivery_line import DeliveryClient, Unreachable

__all__ = ["FAILURE_STATUS", "GatewayClient", "DeliveryOutcome", "Unreachable", "parse_outcome"]

FAILURE_STATUS: Final = 300
"""Lowest status that counts as a failure of a trigger, as Scaleway documents."""

# Sent by the gateway itself if its queue is full or it has no route to the function (yet). No handler ran.
_REJECTION_STATUSES: Final = frozenset({404, 503})


@dataclass(frozen=True, slots=True)
class DeliveryOutcome:
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
    rejected: bool = False

    @property
    def succeeded(self) -> bool:
        """Whether the function responded with success."""
        return self.http_status is not None and self.http_status < FAILURE_STATUS


class GatewayClient:
    """Client of the gateway's socket for deliveries. Lives on one event loop."""

    def __init__(self, path: str) -> None:
        self._path = path
        self._connection: DeliveryClient | None = None
        self._connect_lock = asyncio.Lock()

    async def post(self, host: str, body: bytes, content_type: str, timeout_seconds: float) -> DeliveryOutcome:
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
        connection = self._connection
        if connection is None or not connection.is_open:
            connection = await self._connect()
        try:
            response = await connection.post(host, content_type, body, timeout_seconds)
        except (ConnectionError, TimeoutError) as error:
            return DeliveryOutcome(None, _elapsed_ms(started), str(error))
        return parse_outcome(response, _elapsed_ms(started))

    def close(self) -> None:
        """Close the connection."""
        if self._connection is not None:
            self._connection.close()

    async def _connect(self) -> DeliveryClient:
        async with self._connect_lock:
            if self._connection is None or not self._connection.is_open:
                self._connection = await DeliveryClient.connect(self._path)
            return self._connection


def parse_outcome(response: DeliveryResponse, duration_ms: float) -> DeliveryOutcome:
    """Return the outcome that a response of the gateway stands for."""
    if response.status < FAILURE_STATUS:
        return DeliveryOutcome(response.status, duration_ms)
    return DeliveryOutcome(
        response.status,
        duration_ms,
        error=f"HTTP {response.status}: {_error_text(response)}".removesuffix(": "),
        rejected=response.status in _REJECTION_STATUSES and not response.from_function,
    )


def _elapsed_ms(started: float) -> float:
    return round((time.monotonic() - started) * 1000, 3)


def _error_text(response: DeliveryResponse) -> str:
    """Return the text of a failure: the gateway's message, or the beginning of the function's response."""
    try:
        return msgspec.json.decode(response.error_excerpt, type=dict[str, str])["message"]
    except (msgspec.MsgspecError, KeyError, UnicodeDecodeError):
        return response.error_excerpt.decode("utf-8", "replace").strip()
