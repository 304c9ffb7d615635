"""Follows what the functions write, and the platform's lines about their responses, in a thread of its own."""

from __future__ import annotations

import threading
from collections.abc import Callable
from typing import Final

from fnkit.client.loki import LogClient, LogLine, LogServer
from fnkit.errors import ApiError
from fnkit.logs.query import LogSelection
from fnkit.logs.reading import LineFollower, LogReader

_INTERVAL_SECONDS: Final = 0.1


class OutputFollower:
    """Reports new lines of the functions.

    Args:
        server: The log server of the session's platform.
        function_ids: Returns the ids of the functions.
        report: Called with new lines in order of time, from the thread.
    """

    def __init__(
        self, server: LogServer, function_ids: Callable[[], list[str]], report: Callable[[list[LogLine]], None]
    ) -> None:
        self._server = server
        self._function_ids = function_ids
        self._report = report
        self._stop = threading.Event()
        self._thread = threading.Thread(target=self._run, name="output", daemon=True)

    def start(self) -> None:
        """Start to follow, from the first line on."""
        self._thread.start()

    def stop(self) -> None:
        """Stop."""
        self._stop.set()
        self._thread.join()

    def _run(self) -> None:
        with LogClient(self._server) as client:
            reader = LogReader(client, self._function_ids, LogSelection(responses=True))
            follower = LineFollower(reader, 0, [])
            while not self._stop.wait(_INTERVAL_SECONDS):
                try:
                    lines = follower.read_new()
                except ApiError:  # the platform is being restarted, or ends
                    continue
                if lines:
                    self._report(lines)
