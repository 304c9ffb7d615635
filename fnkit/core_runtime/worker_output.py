"""The output of the worker, for a platform: each line with its stream and the request during which it was written.

The platform reads these lines from the container's log. The worker gets pipes instead of the log itself, because
lines of two processes could be mixed, and because only this process knows which request the worker has.
"""

from __future__ import annotations

import asyncio
import os
import select
from typing import Final

from fnkit.core_runtime.log import STDOUT, write_bytes

_LINE_MAX_BYTES: Final = 64 * 1024  # as in the platform's log
_READ_BYTES: Final = 8 * 1024  # as many empty lines, with what precedes each, are a write of some 400 KB
_READS_PER_PIPE: Final = 8  # its capacity is 64 KiB
_NO_REQUEST: Final = b"-"


class WorkerOutput:
    """Reads the worker's stdout and stderr, and writes their lines to the log.

    It waits for the log. The worker waits in turn once its pipe is full, so no line is lost, and no more than one
    read and one unfinished line of each stream are in memory.

    Args:
        stdout: The read end of a pipe, which this object owns from now on.
        stderr: Another one.
    """

    def __init__(self, stdout: int, stderr: int) -> None:
        self._loop = asyncio.get_running_loop()
        self._request_id = _NO_REQUEST
        self._splitters = {stdout: LineSplitter(b"stdout"), stderr: LineSplitter(b"stderr")}  # of open pipes
        self._poll = select.poll()
        for descriptor in self._splitters:
            os.set_blocking(descriptor, False)
            self._poll.register(descriptor, select.POLLIN)
            self._loop.add_reader(descriptor, self._read, descriptor)

    def begin_request(self, request_id: bytes) -> None:
        """Note the request that the worker is about to get; empty if its id is unknown."""
        self._read_pending()
        self._request_id = request_id or _NO_REQUEST

    def end_request(self) -> None:
        """Write what the worker has written during its request. An unfinished line ends here."""
        self._read_pending()
        for splitter in self._splitters.values():
            self._write(splitter.stream, splitter.take_rest())
        self._request_id = _NO_REQUEST

    def close(self) -> None:
        """Write the rest and close the pipes, which another process may still hold."""
        for descriptor in list(self._splitters):
            self._drain(descriptor)
            self._close(descriptor)

    def _read_pending(self) -> None:
        for descriptor, _ in self._poll.poll(0):
            self._drain(descriptor)

    def _drain(self, descriptor: int) -> None:
        """Read what a full pipe holds at most: another process may fill it as fast as it is read."""
        for _ in range(_READS_PER_PIPE):
            if not self._read(descriptor):
                return

    def _read(self, descriptor: int) -> bool:
        """Read once, and return whether there may be more."""
        try:
            data = os.read(descriptor, _READ_BYTES)
        except BlockingIOError:
            return False
        except OSError:
            data = b""
        if not data:
            self._close(descriptor)
            return False
        splitter = self._splitters[descriptor]
        self._write(splitter.stream, splitter.split(data))
        return len(data) == _READ_BYTES

    def _close(self, descriptor: int) -> None:
        splitter = self._splitters.pop(descriptor, None)
        if splitter is None:
            return
        self._loop.remove_reader(descriptor)
        self._poll.unregister(descriptor)
        os.close(descriptor)
        self._write(splitter.stream, splitter.take_rest())

    def _write(self, stream: bytes, lines: bytes | None) -> None:
        if lines is not None:
            start = b"%b %b " % (stream, self._request_id)
            write_bytes(STDOUT, start + lines.replace(b"\n", b"\n" + start) + b"\n")


class LineSplitter:
    """Splits a stream into lines. A line over the limit is cut, and the rest of it skipped.

    Args:
        stream: The name of the stream.

    Attributes:
        stream: The name of the stream.
    """

    def __init__(self, stream: bytes) -> None:
        self.stream = stream
        self._partial_line = b""
        self._is_skipping = False

    def split(self, data: bytes) -> bytes | None:
        r"""Return the lines that are complete with this data, without the last line break; ``None`` for no line.

        >>> splitter = LineSplitter(b"stdout")
        >>> splitter.split(b"a\n\nb")
        b'a\n'
        >>> splitter.split(b"c") is None
        True
        """
        lines, line_break, self._partial_line = (self._partial_line + data).rpartition(b"\n")
        if self._is_skipping and line_break:
            self._is_skipping = False
            _, line_break, lines = lines.partition(b"\n")  # the first is the rest of a line that was too long
        first, first_break, others = lines.partition(
            b"\n"
        )  # reads are smaller than the limit: no other one exceeds it
        lines = first[:_LINE_MAX_BYTES] + first_break + others
        if len(self._partial_line) > _LINE_MAX_BYTES:
            if not self._is_skipping:
                lines, line_break = lines + line_break + self._partial_line[:_LINE_MAX_BYTES], b"\n"
            self._is_skipping = True
            self._partial_line = b""
        return lines if line_break else None

    def take_rest(self) -> bytes | None:
        """Return the unfinished line, which the next data does not continue; ``None`` without one."""
        rest, self._partial_line = self._partial_line, b""
        was_skipping, self._is_skipping = self._is_skipping, False
        return None if was_skipping else rest or None
