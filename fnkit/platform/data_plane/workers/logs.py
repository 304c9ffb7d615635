"""Function logs on disk: JSONL segments with limits on line length, rate and total size.

``OutputReader`` delivers the lines of an instance's stdout and stderr here.
"""

from __future__ import annotations

import contextlib
import os
from collections import OrderedDict
from collections.abc import Callable, Collection
from dataclasses import dataclass
from itertools import islice
from pathlib import Path
from typing import Final

import msgspec

from fnkit.contract.limits import LOG_LINES_PER_MINUTE
from fnkit.platform.model.log_record import (
    MAX_LINE_BYTES,
    MAX_SEGMENT_BYTES,
    MAX_SEGMENTS,
    LogRecord,
    LogStream,
    format_times,
    parse_time,
    segment_name,
    segment_number,
)

_RATE_PERIOD: Final = 60.0
_MAX_OPEN_FILES: Final = 128
_MAX_ENCODED_LINE: Final = 6 * MAX_LINE_BYTES + 1024  # if every character is escaped as \\u00XX
_USUAL_TAIL_BYTES: Final = 8192
_encoder: Final = msgspec.json.Encoder()
_decoder: Final = msgspec.json.Decoder(LogRecord)


class _Segment:
    """The newest segment of one function's log, open for appending.

    Attributes:
        last_time: The time of the last line, in Unix nanoseconds.
    """

    def __init__(self, directory: Path) -> None:
        directory.mkdir(parents=True, exist_ok=True, mode=0o700)
        self.directory = directory
        numbers = [n for n in (segment_number(entry.name) for entry in directory.iterdir()) if n is not None]
        self.last_time = 0
        self._open(max(numbers, default=1))
        try:
            self._recover()
        except OSError:
            self.close()
            raise

    def _open(self, number: int) -> None:
        path = self.directory / segment_name(number)
        self.descriptor = os.open(path, os.O_WRONLY | os.O_APPEND | os.O_CREAT | os.O_CLOEXEC, 0o600)
        self.number = number
        self.size = os.fstat(self.descriptor).st_size

    def append(self, data: bytes) -> None:
        if self.size and self.size + len(data) > MAX_SEGMENT_BYTES:
            before = self.descriptor
            self._open(self.number + 1)  # if this fails, the old segment stays open and takes the lines
            os.close(before)
            with contextlib.suppress(FileNotFoundError):
                (self.directory / segment_name(self.number - MAX_SEGMENTS)).unlink()
        written = os.write(self.descriptor, data)
        if written < len(data):  # the disk is full: part of a line would make the next one unreadable
            os.ftruncate(self.descriptor, self.size)
            return
        self.size += written

    def next_times(self, now: int, count: int) -> range:
        """Return the times of the next ``count`` lines.

        Each is later than any before, even if the clock was moved back: readers page by time.
        """
        first = max(now, self.last_time + 1)
        self.last_time = first + count - 1
        return range(first, first + count)

    def _recover(self) -> None:
        """Continue after the last line's time, and end a line that a crash cut off."""
        if not self.size:
            return
        content = b""
        with Path(self.directory / segment_name(self.number)).open("rb") as file:
            # A function's log is opened while requests wait, and its last line is rarely long.
            for size in (_USUAL_TAIL_BYTES, 2 * _MAX_ENCODED_LINE):
                file.seek(max(0, self.size - size))
                content = file.read()
                if (last_time := _last_time(content)) is not None:
                    self.last_time = last_time
                    break
        if not content.endswith(b"\n"):
            os.write(self.descriptor, b"\n")
            self.size += 1

    def close(self) -> None:
        os.close(self.descriptor)


def _last_time(content: bytes) -> int | None:
    """Return the time of the last complete line, in Unix nanoseconds, or ``None`` if there is none."""
    for line in reversed(content.splitlines()):
        with contextlib.suppress(msgspec.MsgspecError, UnicodeDecodeError):
            return parse_time(_decoder.decode(line).time) or 0
    return None


@dataclass(slots=True)
class _LineRate:
    """The lines that a function wrote in its current minute."""

    since: float
    written: int = 0
    dropped: int = 0


class LogWriter:
    """Appends lines to function logs. If the disk is full, lines are lost, but no request fails.

    It writes on the event loop, without fsync: an append to the page cache takes 10 µs, less than handing the line
    to a thread, and what a handler wrote is in the file before its response ends. The cost is that a disk too
    slow for the kernel's write-back delays every request.

    Args:
        directory: Contains a directory for each function.
        now_ns: Returns the virtual time in Unix nanoseconds.
        seconds: Returns the real time by which the rate is measured.
        call_later: Calls a function after a number of real seconds.
    """

    def __init__(
        self,
        directory: Path,
        now_ns: Callable[[], int],
        seconds: Callable[[], float],
        call_later: Callable[[float, Callable[[], None]], object] = lambda _delay, _callback: None,
    ) -> None:
        self._directory = directory
        self._now_ns = now_ns
        self._seconds = seconds
        self._call_later = call_later
        self._closed = False
        self._segments: OrderedDict[str, _Segment] = OrderedDict()
        self._rates: dict[str, _LineRate] = {}
        self.dropped: dict[str, int] = {}  # number of lines by function

    def write(
        self, function_id: str, instance: str, request_id: str, stream: LogStream, messages: Collection[bytes]
    ) -> None:
        """Append lines of one stream. Lines above the rate are dropped, and lines over 64 KiB are cut.

        Args:
            function_id: The function.
            instance: The name of the instance.
            request_id: The request that it handles.
            stream: The stream.
            messages: The lines. Those that are dropped are only counted.
        """
        rate = self._current_rate(function_id)
        allowed = LOG_LINES_PER_MINUTE - rate.written
        dropped = max(0, len(messages) - allowed)
        if dropped:
            if not rate.dropped:
                self._call_later(max(0.0, rate.since + _RATE_PERIOD - self._seconds()), self.log_dropped_lines)
            rate.dropped += dropped
            self.dropped[function_id] = self.dropped.get(function_id, 0) + dropped
        if allowed:
            lines = [message[:MAX_LINE_BYTES] for message in islice(messages, allowed)]
            rate.written += len(lines)
            texts = [line.decode("utf-8", "replace") for line in lines]
            self._append(function_id, instance, request_id, stream, texts)

    def write_system(self, function_id: str, message: str, *, instance: str = "", request_id: str = "") -> None:
        """Append a message of the platform. It is never dropped."""
        self._append(function_id, instance, request_id, "system", [message])

    def _current_rate(self, function_id: str) -> _LineRate:
        now = self._seconds()
        rate = self._rates.get(function_id)
        if rate is None or now - rate.since >= _RATE_PERIOD:
            if rate is not None:
                self._log_dropped(function_id, rate)
            rate = self._rates[function_id] = _LineRate(now)
        return rate

    def _log_dropped(self, function_id: str, rate: _LineRate) -> None:
        if rate.dropped:
            self.write_system(
                function_id, f"dropped {rate.dropped} lines (more than {LOG_LINES_PER_MINUTE} a minute)"
            )

    def log_dropped_lines(self) -> None:
        """Log how many lines were dropped in minutes that have passed."""
        if self._closed:
            return
        now = self._seconds()
        for function_id in [f for f, r in self._rates.items() if now - r.since >= _RATE_PERIOD]:
            self._log_dropped(function_id, self._rates.pop(function_id))

    def _append(
        self, function_id: str, instance: str, request_id: str, stream: LogStream, messages: list[str]
    ) -> None:
        with contextlib.suppress(OSError):
            segment = self._open_segment(function_id)
            times = format_times(segment.next_times(self._now_ns(), len(messages)))
            lines = [
                LogRecord(
                    time=time,
                    function_id=function_id,
                    instance=instance,
                    request_id=request_id,
                    stream=stream,
                    message=message,
                )
                for time, message in zip(times, messages, strict=True)
            ]
            segment.append(_encoder.encode_lines(lines))

    def _open_segment(self, function_id: str) -> _Segment:
        segment = self._segments.get(function_id)
        if segment is None:
            segment = self._segments[function_id] = _Segment(self._directory / function_id)
            if len(self._segments) > _MAX_OPEN_FILES:
                self._segments.popitem(last=False)[1].close()
        self._segments.move_to_end(function_id)
        return segment

    def close_function(self, function_id: str) -> None:
        """Log how many lines of a function were dropped, and close its files."""
        if (rate := self._rates.pop(function_id, None)) is not None:
            self._log_dropped(function_id, rate)
        segment = self._segments.pop(function_id, None)
        if segment is not None:
            segment.close()
        self.dropped.pop(function_id, None)

    def close(self) -> None:
        """Log how many lines were dropped, and close every file."""
        for function_id in [*self._rates, *self._segments]:
            self.close_function(function_id)
        self._closed = True
