"""The line that the platform logs about each response."""

from __future__ import annotations

from typing import Final

import msgspec

from fnkit.client.loki import LogLine


class ResponseLine(msgspec.Struct, frozen=True, kw_only=True):
    """A response of a function.

    Attributes:
        method: The method of the request; empty for the event of a cron or a trigger.
        path: The path that the handler got.
        status: The status that the client got; 499 if it did not wait for it.
        duration_ms: How long it took.
        start_ms: How long the instance took to start if the request had to wait for one, else 0.
    """

    method: str
    path: str
    status: int
    duration_ms: float
    start_ms: float = 0.0


_decoder: Final = msgspec.json.Decoder(ResponseLine)


def read_response(line: LogLine) -> ResponseLine | None:
    """Return the response that a line is about; ``None`` if it is another line."""
    if line.stream != "responses":
        return None
    try:
        return _decoder.decode(line.message)
    except msgspec.DecodeError:
        return None
