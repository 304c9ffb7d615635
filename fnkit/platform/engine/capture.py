"""Reads what an instance writes to stdout and stderr, line by line."""

from __future__ import annotations

import asyncio
import os
import socket
import sys
from collections.abc import Callable, Iterable
from itertools import chain

from fnkit.platform.log_lines import MAX_LINE_BYTES

__all__ = ["LineReader", "open_worker_channels"]

_PIPE_BYTES = 65536  # the capacity of a pipe: one read empties it


def open_worker_channels() -> tuple[socket.socket, socket.socket, list[tuple[int, int]]]:
    """Open the socket pair of a new instance and the pipes of its stdout and stderr.

    Returns:
        The data plane's end, the instance's end, and a (read, write) pair of descriptors for each pipe.

    Raises:
        OSError: No descriptors are left. None stay open then.
    """
    ours, theirs = socket.socketpair()
    pipes: list[tuple[int, int]] = []
    try:
        # The kernel attaches the sender's process id to messages sent after this option is set, so it is set
        # before the other end is passed on.
        if sys.platform == "linux":
            ours.setsockopt(socket.SOL_SOCKET, socket.SO_PASSCRED, 1)
        pipes += [os.pipe()]
        pipes += [os.pipe()]
    except OSError:
        ours.close()
        theirs.close()
        for descriptor in chain.from_iterable(pipes):
            os.close(descriptor)
        raise
    return ours, theirs, pipes


class LineReader:
    """Splits the output of one pipe into lines.

    Args:
        loop: The event loop.
        descriptor: The read end, which the reader owns.
        on_lines: Receives the complete lines of each read, without line breaks.
    """

    def __init__(
        self, loop: asyncio.AbstractEventLoop, descriptor: int, on_lines: Callable[[Iterable[bytes]], None]
    ) -> None:
        self._loop = loop
        self._on_lines = on_lines
        self._partial_line = b""
        self._is_skipping = False
        self.descriptor = descriptor
        self.is_closed = False
        os.set_blocking(descriptor, False)
        loop.add_reader(descriptor, self.read)

    def read(self) -> None:
        """Read what is available now."""
        try:
            data = os.read(self.descriptor, _PIPE_BYTES)
        except BlockingIOError:
            return
        except OSError:
            data = b""
        if not data:
            self.close()
            return
        *lines, self._partial_line = (self._partial_line + data).split(b"\n")
        if self._is_skipping and lines:
            self._is_skipping = False
            del lines[0]  # the rest of a line that was too long
        if len(self._partial_line) > MAX_LINE_BYTES:
            if not self._is_skipping:
                lines.append(self._partial_line)
            self._is_skipping = True
            self._partial_line = b""
        if lines:
            self._on_lines(lines)

    def flush(self) -> None:
        """Emit an unfinished line, so that the output of the next request does not continue it."""
        if self._partial_line and not self._is_skipping:
            rest, self._partial_line = self._partial_line, b""
            self._on_lines((rest,))

    def close(self) -> None:
        """Close the pipe and emit an unfinished last line."""
        if self.is_closed:
            return
        self.is_closed = True
        self._loop.remove_reader(self.descriptor)
        os.close(self.descriptor)
        self.flush()
