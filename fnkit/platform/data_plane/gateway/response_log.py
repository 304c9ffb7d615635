"""The log of responses: one line for each, with status, duration, and whether an instance had to be started.

It is off by default. Whoever develops functions watches it (``fnkit dev``).
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, field
from time import monotonic
from typing import Final

import msgspec

from fnkit.contract.platform import ResponseLine
from fnkit.platform.data_plane.interface import PendingRequest

_MAX_PATH: Final = 300  # characters
_encoder: Final = msgspec.json.Encoder()


class ResponseLog:
    """Writes the lines.

    Args:
        write: Appends a line, given the function, the instance, the request and the line.
    """

    def __init__(self, write: Callable[[str, str, str, str], None]) -> None:
        self._write = write

    def begin(self, function_id: str, request_id: str, method: str, path: str) -> LoggedResponse:
        """Return the observer of a request."""
        return LoggedResponse(self._write, function_id, request_id, method, path)


@dataclass(slots=True, eq=False)
class LoggedResponse:
    """A request in progress whose response will be logged: a ``RequestObserver``."""

    write: Callable[[str, str, str, str], None]
    function_id: str
    request_id: str
    method: str
    path: str
    started_at: float = field(default_factory=monotonic)
    instance: str = ""
    start_seconds: float = 0.0

    def assigned(self, pending_request: PendingRequest) -> None:
        """Note the assigned instance."""
        self.instance = pending_request.instance_name
        if (start := pending_request.cold_start) is not None:
            self.start_seconds = start.ended_at - start.started_at

    def finish(self, status: int) -> None:
        """Log the response."""
        line = ResponseLine(
            method=self.method,
            path=self.path[:_MAX_PATH],
            status=status,
            duration_ms=round((monotonic() - self.started_at) * 1000, 2),
            start_ms=round(self.start_seconds * 1000, 2),
        )
        self.write(self.function_id, self.instance, self.request_id, _encoder.encode(line).decode())
