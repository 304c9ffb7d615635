"""Log lines of a function, written as the data plane writes them, at times of the test's choosing."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from pathlib import Path

from fnkit.platform.data_plane.workers.logs import LogWriter
from fnkit.platform.model.log_record import LogStream

__all__ = ["LoggedLine", "write_lines"]


@dataclass(frozen=True, slots=True)
class LoggedLine:
    """One line. time: Unix nanoseconds."""

    time: int
    message: str
    stream: LogStream = "stdout"
    instance: str = "i-1"
    request_id: str = ""

    @property
    def metadata(self) -> Mapping[str, str]:
        """What the platform says of this line alone."""
        known = {"resource_instance": self.instance, "request_id": self.request_id}
        return {name: value for name, value in known.items() if value}


def write_lines(home: Path, function_id: str, lines: Iterable[LoggedLine]) -> None:
    """Append lines, in order of time, each later than the one before."""
    now = [0]
    writer = LogWriter(home / "logs", lambda: now[0], lambda: 0.0)
    for count, line in enumerate(lines):
        now[0] = line.time
        writer.write(function_id, line.instance, line.request_id, line.stream, [line.message.encode()])
        assert count < 30_000, "more than a function may write in a minute: use several writers"
    writer.close()
