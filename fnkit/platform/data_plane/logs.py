"""Function logs on disk: JSONL segments with limits on line length, rate and total size.

``OutputReader`` delivers the lines of an instance's stdout and stderr here. Each request that an instance gets
adds a line as Scaleway's core runtime writes it.
"""

from __future__ import annotations

import contextlib
from collections import OrderedDict
from collections.abc import Callable, Collection
from dataclasses import dataclass
from itertools import islice
from pathlib import Path
from typing import Final

import msgspec

from fnkit.contract.limits import LOG_LINES_PER_MINUTE
from fnkit.contract.text import escape_control_characters
from fnkit.platform.data_plane.log_segment import LogSegment
from fnkit.platform.model.log_record import (
    MAX_LINE_BYTES,
    MAX_REQUEST_SEGMENTS,
    MAX_SEGMENTS,
    REQUESTS_DIRECTORY,
    LogRecord,
    LogStream,
    format_times,
)

_RATE_PERIOD: Final = 60.0
_MAX_OPEN_LOGS: Final = 128
_REQUEST_LINES_DELAY: Final = 0.1
_MAX_UNWRITTEN_REQUESTS: Final = 128
_encoder: Final = msgspec.json.Encoder()


class _RequestLine(msgspec.Struct, frozen=True, gc=False):
    """A line about a request or a response before it is written. ``time``: platform time in Unix nanoseconds."""

    time: int
    instance: str
    request_id: str
    stream: LogStream
    message: str


class _FunctionLog:
    """The log of one function: its output, and the lines about its requests."""

    def __init__(self, directory: Path) -> None:
        self.output = LogSegment(directory, MAX_SEGMENTS)
        try:
            self.requests = LogSegment(directory / REQUESTS_DIRECTORY, MAX_REQUEST_SEGMENTS)
        except OSError:
            self.output.close()
            raise
        self._last_time = max(self.output.last_time, self.requests.last_time)

    def next_times(self, now: int, count: int) -> range:
        """Return the times of the next ``count`` lines.

        Each is later than any before, even if the clock was moved back: readers page by time.
        """
        first = max(now, self._last_time + 1)
        self._last_time = first + count - 1
        return range(first, first + count)

    def request_times(self, lines: list[_RequestLine]) -> list[int]:
        """Return the times of the next lines, each later than any before."""
        last, times = self._last_time, []
        for line in lines:
            last = line.time if line.time > last else last + 1
            times.append(last)
        self._last_time = last
        return times

    def close(self) -> None:
        self.output.close()
        self.requests.close()


@dataclass(slots=True)
class _LineRate:
    """The lines that a function wrote in its current minute, and those about its requests."""

    since: float
    written: int = 0
    dropped: int = 0
    requests: int = 0


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
        self._logs: dict[str, _FunctionLog] = {}
        self._open_logs: OrderedDict[str, _FunctionLog] = OrderedDict()  # those used last come last
        self._rates: dict[str, _LineRate] = {}
        self._unwritten: dict[str, list[_RequestLine]] = {}  # by function
        self._has_flush_timer = False
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

    def write_request(self, function_id: str, instance: str, request_id: str, path: str) -> None:
        """Append the line about a request that an instance gets. Lines above the rate are dropped.

        It is on disk before what the handler prints, and after a tenth of a second at the latest: together with
        others, which takes 1.6 µs. A write for each would take 10 µs, nearly a tenth of a warm request's CPU.

        Args:
            function_id: The function.
            instance: The name of the instance.
            request_id: The request.
            path: The decoded path, which the core runtime logs at this moment.
        """
        shown = path if path.isprintable() else escape_control_characters(path)
        self._write_later(function_id, instance, request_id, "requests", f"Function Triggered: {shown}")

    def write_response(self, function_id: str, instance: str, request_id: str, message: str) -> None:
        """Append a line about a response, under the same rules as one about a request.

        Args:
            function_id: The function.
            instance: The name of the instance; empty if none answered.
            request_id: The request.
            message: The line.
        """
        self._write_later(function_id, instance, request_id, "responses", message)

    def _write_later(
        self, function_id: str, instance: str, request_id: str, stream: LogStream, message: str
    ) -> None:
        lines = self._unwritten.setdefault(function_id, [])
        lines.append(_RequestLine(self._now_ns(), instance, request_id, stream, message))
        if len(lines) >= _MAX_UNWRITTEN_REQUESTS:
            self._flush_requests(function_id)
        elif not self._has_flush_timer:
            self._has_flush_timer = True
            self._call_later(_REQUEST_LINES_DELAY, self._on_flush_timer)

    def _on_flush_timer(self) -> None:
        self._has_flush_timer = False
        for function_id in [*self._unwritten]:
            self._flush_requests(function_id)

    def _flush_requests(self, function_id: str) -> None:
        lines = self._unwritten.pop(function_id, None)
        if lines is None:
            return
        rate = self._current_rate(function_id)
        del lines[LOG_LINES_PER_MINUTE - rate.requests :]
        if not lines:
            return
        rate.requests += len(lines)
        with contextlib.suppress(OSError):
            log = self._open_log(function_id)
            times = format_times(log.request_times(lines))
            records = [
                LogRecord(
                    time=time,
                    function_id=function_id,
                    instance=line.instance,
                    request_id=line.request_id,
                    stream=line.stream,
                    message=line.message,
                )
                for time, line in zip(times, lines, strict=True)
            ]
            log.requests.append(_encoder.encode_lines(records))

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
        if function_id in self._unwritten:  # they come before what their handlers print
            self._flush_requests(function_id)
        with contextlib.suppress(OSError):
            log = self._open_log(function_id)
            times = format_times(log.next_times(self._now_ns(), len(messages)))
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
            log.output.append(_encoder.encode_lines(lines))

    def _open_log(self, function_id: str) -> _FunctionLog:
        log = self._logs.get(function_id)
        if log is None:
            log = self._logs[function_id] = _FunctionLog(self._directory / function_id)
        self._open_logs[function_id] = log
        self._open_logs.move_to_end(function_id)
        if len(self._open_logs) > _MAX_OPEN_LOGS:
            self._open_logs.popitem(last=False)[1].close()
        return log

    def close_function(self, function_id: str) -> None:
        """Write what is missing in the log of a function, and close its files."""
        self._flush_requests(function_id)
        if (rate := self._rates.pop(function_id, None)) is not None:
            self._log_dropped(function_id, rate)
        self._open_logs.pop(function_id, None)
        log = self._logs.pop(function_id, None)
        if log is not None:
            log.close()
        self.dropped.pop(function_id, None)

    def close(self) -> None:
        """Write what is missing in every log, and close all files."""
        for function_id in {*self._rates, *self._logs, *self._unwritten}:
            self.close_function(function_id)
        self._closed = True
