"""A command in a terminal of its own: what it shows, and what a user types."""

from __future__ import annotations

import fcntl
import os
import pty
import re
import select
import struct
import subprocess
import termios
import time
from collections.abc import Iterator, Mapping
from contextlib import contextmanager, suppress
from pathlib import Path

from tests.support.command import FNKIT

_TIMEOUT = 90.0
_CHUNK_BYTES = 65536
_CONTROL_SEQUENCE = re.compile(r"\x1b\[[0-9;?]*[A-Za-z]")


class TerminalSession:
    """A command that runs in a terminal.

    Attributes:
        shown: What it has shown so far, with control sequences.
    """

    def __init__(self, process: subprocess.Popen[bytes], descriptor: int) -> None:
        self.process = process
        self._descriptor = descriptor
        self.shown = ""

    @property
    def plain(self) -> str:
        """What it has shown so far, without control sequences and carriage returns."""
        return _CONTROL_SEQUENCE.sub("", self.shown).replace("\r\n", "\n")

    def type(self, text: str) -> None:
        """Type text, which may have control characters such as ``\\x03`` for Ctrl-C."""
        os.write(self._descriptor, text.encode())

    def wait_for(self, text: str, *, seconds: float = _TIMEOUT) -> None:
        """Wait until a text has been shown.

        Raises:
            AssertionError: It was not, in time or before the end.
        """
        deadline = time.monotonic() + seconds
        while text not in self.shown:
            if not self._read(deadline - time.monotonic()):
                raise AssertionError(f"{text!r} was not shown:\n{self.shown}")

    def wait(self, *, seconds: float = _TIMEOUT) -> int:
        """Read until the end of the command, and return its exit code."""
        deadline = time.monotonic() + seconds
        while self._read(deadline - time.monotonic()):
            pass
        return self.process.wait(timeout=max(1.0, deadline - time.monotonic()))

    def _read(self, seconds: float) -> bool:
        """Read what there is; return whether there may be more."""
        if seconds <= 0 or not select.select([self._descriptor], [], [], seconds)[0]:
            return False
        try:
            data = os.read(self._descriptor, _CHUNK_BYTES)
        except OSError:  # EIO: no process has the terminal open any more
            return False
        self.shown += data.decode(errors="replace")
        return bool(data)


@contextmanager
def terminal(
    *arguments: str, directory: Path, columns: int = 100, variables: Mapping[str, str] | None = None
) -> Iterator[TerminalSession]:
    """Run ``fnkit`` in a terminal; kill it at the end."""
    main, other = pty.openpty()
    fcntl.ioctl(other, termios.TIOCSWINSZ, struct.pack("HHHH", 30, columns, 0, 0))
    environment = {name: value for name, value in os.environ.items() if name != "COLUMNS"}
    process = subprocess.Popen(
        ["setsid", "--ctty", FNKIT, *arguments],  # it becomes the command itself
        cwd=directory,
        env={**environment, "TERM": "xterm-256color", **(variables or {})},
        stdin=other,
        stdout=other,
        stderr=other,
    )
    os.close(other)
    try:
        yield TerminalSession(process, main)
    finally:
        with suppress(OSError):
            process.kill()
        process.wait()
        os.close(main)
