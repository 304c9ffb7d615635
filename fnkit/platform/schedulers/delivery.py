"""One POST to a function through the gateway's private door, which skips the token check (decision 18)."""

from __future__ import annotations

import asyncio
import time
from dataclasses import dataclass
from typing import Final

__all__ = ["Outcome", "Unreachable", "post"]

USER_AGENT: Final = "ScalewayServerlessOrchestrator/1.0"  # recorded
_MAX_HEAD: Final = 1024 * 1024


class Unreachable(Exception):
    """The gateway's door is closed: nothing was delivered."""


@dataclass(frozen=True, slots=True)
class Outcome:
    """What the function answered; ``http_status`` ``None``: no answer came. ``duration_ms`` is real time."""

    http_status: int | None
    duration_ms: float


async def post(door: str, host: str, body: bytes, content_type: str, seconds: float) -> Outcome:
    """POST ``body`` to ``/`` of the function that answers under ``host``; waits that many real seconds at most.

    Raises:
        Unreachable: the gateway could not be reached.
    """
    started = time.monotonic()
    try:
        reader, writer = await asyncio.open_unix_connection(door, limit=_MAX_HEAD)
    except OSError as error:
        raise Unreachable(str(error)) from None
    head = (
        f"POST / HTTP/1.1\r\nHost: {host}\r\nUser-Agent: {USER_AGENT}\r\nContent-Type: {content_type}\r\n"
        f"Content-Length: {len(body)}\r\nConnection: close\r\n\r\n"
    )
    status: int | None = None
    try:
        async with asyncio.timeout(seconds):
            writer.write(head.encode("latin-1") + body)
            await writer.drain()
            status = await _status(reader)
            while await reader.read(65536):
                pass
    except (TimeoutError, OSError, asyncio.IncompleteReadError, asyncio.LimitOverrunError):
        pass
    finally:
        writer.close()
    return Outcome(status, round((time.monotonic() - started) * 1000, 3))


async def _status(reader: asyncio.StreamReader) -> int | None:
    line = (await reader.readuntil(b"\r\n\r\n")).split(b"\r\n", 1)[0].split(b" ", 2)
    if len(line) < 2 or not line[0].startswith(b"HTTP/1.") or not line[1].isdigit():  # noqa: PLR2004  version and status
        return None
    return int(line[1])
