"""What a function wrote during one request."""

from __future__ import annotations

import time
from typing import Final

from fnkit.client.loki import MAX_LINES, LogClient, LogLine
from fnkit.errors import ApiError
from fnkit.logs.levels import is_request_line
from fnkit.logs.query import request_query

_POLL_SECONDS: Final = 0.05
_TIMEOUT_SECONDS: Final = 2.0


def read_request_lines(client: LogClient, function_id: str, request_id: str, start: int) -> list[LogLine]:
    """Return what a function wrote during a request that has ended, oldest first.

    On the platform of one machine the lines are stored before the response ends, and the runtime's line about the
    request within a tenth of a second. On a cluster both arrive later. The wait ends with that line.

    Args:
        client: The client of the log server.
        function_id: The function.
        request_id: The request's ``X-Request-Id``.
        start: A time before the request on the server's clock, in Unix nanoseconds.

    Returns:
        The lines; those that were not stored within two seconds are missing. Empty if the logs cannot be read: the
        response matters more.
    """
    deadline = time.monotonic() + _TIMEOUT_SECONDS
    query = request_query(function_id, request_id)
    lines: list[LogLine] = []
    while True:
        try:
            lines = client.query_range(query, start=start, limit=MAX_LINES)
        except ApiError:
            return [line for line in lines if not is_request_line(line)]
        if any(is_request_line(line) for line in lines) or time.monotonic() > deadline:
            return [line for line in lines if not is_request_line(line)]
        time.sleep(_POLL_SECONDS)
