"""Functions' logs on disk: JSONL segments, bounded in line, rate and size (decision 38)."""

from __future__ import annotations

import contextlib
import os
from collections import OrderedDict
from collections.abc import Callable, Iterable
from pathlib import Path
from typing import Final

import msgspec

from fnkit.platform.log_lines import (
    LINE_MAX_BYTES,
    SEGMENT_MAX_BYTES,
    SEGMENTS_KEPT,
    LogLine,
    Stream,
    segment_name,
    segment_number,
)

__all__ = ["LogWriter"]

_LINES_PER_MINUTE: Final = 30_000  # Scaleway's published rate
_MINUTE: Final = 60.0
_OPEN_FILES: Final = 128
_encoder: Final = msgspec.json.Encoder()


class _Segment:
    """The open segment of one function."""

    def __init__(self, folder: Path) -> None:
        folder.mkdir(parents=True, exist_ok=True, mode=0o700)
        self.folder = folder
        numbers = [n for n in (segment_number(entry.name) for entry in folder.iterdir()) if n is not None]
        self.number = max(numbers, default=1)
        self._open()

    def _open(self) -> None:
        path = self.folder / segment_name(self.number)
        self.descriptor = os.open(path, os.O_WRONLY | os.O_APPEND | os.O_CREAT | os.O_CLOEXEC, 0o600)
        self.size = os.fstat(self.descriptor).st_size

    def append(self, data: bytes) -> None:
        if self.size and self.size + len(data) > SEGMENT_MAX_BYTES:
            self.close()
            self.number += 1
            self._open()
            with contextlib.suppress(FileNotFoundError):
                (self.folder / segment_name(self.number - SEGMENTS_KEPT)).unlink()
        os.write(self.descriptor, data)
        self.size += len(data)

    def close(self) -> None:
        os.close(self.descriptor)


class _Rate:
    """How many lines a function wrote in its current minute."""

    __slots__ = ("dropped", "since", "written")

    def __init__(self, since: float) -> None:
        self.since = since
        self.written = 0
        self.dropped = 0


class LogWriter:
    """Appends lines. A full disk loses lines, never a request.

    timestamp gives the virtual time of a line, seconds the real time that the rate is measured in.
    """

    def __init__(self, folder: Path, timestamp: Callable[[], str], seconds: Callable[[], float]) -> None:
        self._folder = folder
        self._timestamp = timestamp
        self._seconds = seconds
        self._segments: OrderedDict[str, _Segment] = OrderedDict()
        self._rates: dict[str, _Rate] = {}
        self.dropped: dict[str, int] = {}  # lines of each function, since the beginning

    def write(
        self, function_id: str, instance: str, request_id: str, stream: Stream, messages: Iterable[bytes]
    ) -> None:
        """Append these lines of one stream; longer ones than 64 KiB are cut."""
        time = self._timestamp()
        rate = self._rate(function_id)
        lines: list[LogLine] = []
        for message in messages:
            if rate.written >= _LINES_PER_MINUTE:
                rate.dropped += 1
                self.dropped[function_id] = self.dropped.get(function_id, 0) + 1
                continue
            rate.written += 1
            text = message[:LINE_MAX_BYTES].decode("utf-8", "replace")
            lines.append(_line(time, function_id, instance, request_id, stream, text))
        if lines:
            self._append(function_id, lines)

    def system(self, function_id: str, message: str, *, instance: str = "", request_id: str = "") -> None:
        """Append a line of the platform's own; it is never dropped."""
        self._append(function_id, [_line(self._timestamp(), function_id, instance, request_id, "system", message)])

    def _rate(self, function_id: str) -> _Rate:
        now = self._seconds()
        rate = self._rates.get(function_id)
        if rate is None or now - rate.since >= _MINUTE:
            if rate is not None and rate.dropped:
                self.system(function_id, f"dropped {rate.dropped} lines (more than {_LINES_PER_MINUTE} a minute)")
            rate = self._rates[function_id] = _Rate(now)
        return rate

    def settle(self) -> None:
        """Say what was dropped in minutes that have passed; called now and then."""
        now = self._seconds()
        for function_id in [f for f, r in self._rates.items() if now - r.since >= _MINUTE]:
            rate = self._rates.pop(function_id)
            if rate.dropped:
                self.system(function_id, f"dropped {rate.dropped} lines (more than {_LINES_PER_MINUTE} a minute)")

    def _append(self, function_id: str, lines: list[LogLine]) -> None:
        data = b"".join(_encoder.encode(line) + b"\n" for line in lines)
        with contextlib.suppress(OSError):
            self._segment(function_id).append(data)

    def _segment(self, function_id: str) -> _Segment:
        segment = self._segments.get(function_id)
        if segment is None:
            segment = self._segments[function_id] = _Segment(self._folder / function_id)
            if len(self._segments) > _OPEN_FILES:
                self._segments.popitem(last=False)[1].close()
        self._segments.move_to_end(function_id)
        return segment

    def forget(self, function_id: str) -> None:
        """Close the files of a function that is gone."""
        segment = self._segments.pop(function_id, None)
        if segment is not None:
            segment.close()
        self._rates.pop(function_id, None)
        self.dropped.pop(function_id, None)

    def close(self) -> None:
        """Say what was dropped and close every file."""
        for function_id, rate in list(self._rates.items()):
            if rate.dropped:
                self.system(function_id, f"dropped {rate.dropped} lines (more than {_LINES_PER_MINUTE} a minute)")
        for function_id in list(self._segments):
            self.forget(function_id)


def _line(time: str, function_id: str, instance: str, request_id: str, stream: Stream, message: str) -> LogLine:
    return LogLine(
        time=time,
        function_id=function_id,
        instance=instance,
        request_id=request_id,
        stream=stream,
        message=message,
    )
