"""Reads what an instance writes to stdout and stderr, line by line."""

from __future__ import annotations

import asyncio
import os
import socket
import sys
from collections.abc import Callable, Iterable
from itertools import chain

from fnkit.platform.log_lines import LINE_MAX_BYTES

__all__ = ["LineReader", "open_line"]

_CHUNK = 65536  # the capacity of a pipe: one read empties it


def open_line() -> tuple[socket.socket, socket.socket, list[tuple[int, int]]]:
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
        self._rest = b""
        self._skipping = False
        self.descriptor = descriptor
        self.closed = False
        os.set_blocking(descriptor, False)
        loop.add_reader(descriptor, self.read)

    def read(self) -> None:
        """Read what is available now."""
        try:
            data = os.read(self.descriptor, _CHUNK)
        except BlockingIOError:
            return
        except OSError:
            data = b""
        if not data:
            self.close()
            return
        *lines, self._rest = (self._rest + data).split(b"\n")
        if self._skipping and lines:
            self._skipping = False
            del lines[0]  # the rest of a line that was too long
        if len(self._rest) > LINE_MAX_BYTES:
            if not self._skipping:
                lines.append(self._rest)
            self._skipping = True
            self._rest = b""
        if lines:
            self._on_lines(lines)

    def end_line(self) -> None:
        """Emit an unfinished line, so that the output of the next request does not continue it."""
        if self._rest and not self._skipping:
            rest, self._rest = self._rest, b""
            self._on_lines((rest,))

    def close(self) -> None:
        """Close the pipe and emit an unfinished last line."""
        if self.closed:
            return
        self.closed = True
        self._loop.remove_reader(self.descriptor)
        os.close(self.descriptor)
        self.end_line()
