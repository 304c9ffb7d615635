"""Writes log lines of a function with chosen times, in the data plane's format."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from pathlib import Path

from fnkit.platform.data_plane.logs import LogWriter
from fnkit.platform.model.log_record import LogStream

__all__ = ["FunctionLogLine", "write_log_lines"]


@dataclass(frozen=True, slots=True)
class FunctionLogLine:
    """One line. time: Unix nanoseconds. message: in the stream ``requests``, the path of the request."""

    time: int
    message: str
    stream: LogStream = "stdout"
    instance: str = "i-1"
    request_id: str = ""

    @property
    def metadata(self) -> Mapping[str, str]:
        """The structured metadata that the platform adds to the line."""
        known = {"resource_instance": self.instance, "request_id": self.request_id}
        return {name: value for name, value in known.items() if value}


def write_log_lines(home: Path, function_id: str, lines: Iterable[FunctionLogLine]) -> None:
    """Append lines, which must be in ascending order of time."""
    now = [0]
    writer = LogWriter(home / "logs", lambda: now[0], lambda: 0.0)
    for count, line in enumerate(lines):
        now[0] = line.time
        if line.stream == "requests":
            writer.write_request(function_id, line.instance, line.request_id, line.message)
        else:
            writer.write(function_id, line.instance, line.request_id, line.stream, [line.message.encode()])
        assert count < 30_000, "exceeds the rate limit of a function: use several writers"
    writer.close()
