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

_CHUNK = 65536  # a pipe's capacity: one read empties it


def open_line() -> tuple[socket.socket, socket.socket, list[tuple[int, int]]]:
    """Return both ends of a new instance's socket, and the pipes of its stdout and stderr: all of them, or none.

    ``OSError`` when this process has no descriptors left.
    """
    ours, theirs = socket.socketpair()
    pipes: list[tuple[int, int]] = []
    try:
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
    """The reading end of one pipe. ``hear`` gets the complete lines of each read, without line breaks."""

    def __init__(
        self, loop: asyncio.AbstractEventLoop, descriptor: int, hear: Callable[[Iterable[bytes]], None]
    ) -> None:
        self._loop = loop
        self._hear = hear
        self._rest = b""
        self._skipping = False
        self.descriptor = descriptor
        self.closed = False
        os.set_blocking(descriptor, False)
        loop.add_reader(descriptor, self.read)

    def read(self) -> None:
        """Take what is there now."""
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
            del lines[0]  # the end of a line that was cut
        if len(self._rest) > LINE_MAX_BYTES:
            if not self._skipping:
                lines.append(self._rest)
            self._skipping = True
            self._rest = b""
        if lines:
            self._hear(lines)

    def end_line(self) -> None:
        """Take an unfinished line for a whole one: who wrote it is done, and it is not the next one's beginning."""
        if self._rest and not self._skipping:
            rest, self._rest = self._rest, b""
            self._hear((rest,))

    def close(self) -> None:
        """Stop reading; an unfinished last line counts."""
        if self.closed:
            return
        self.closed = True
        self._loop.remove_reader(self.descriptor)
        os.close(self.descriptor)
        self.end_line()
