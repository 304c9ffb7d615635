"""Runs the installed ``fnkit`` command on a pseudo-terminal of a chosen width."""

from __future__ import annotations

import errno
import fcntl
import os
import pty
import re
import struct
import subprocess
import termios
import threading
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path

from tests.support.command import FNKIT
from tests.support.waiting import DEADLINE, wait_until

__all__ = ["Terminal", "terminal"]

_ROWS = 40
_CTRL_C = b"\x03"
_ESCAPE_SEQUENCE = re.compile(r"\x1b\[[0-9;?]*[A-Za-z]")


@dataclass
class Terminal:
    """A command on a terminal. stdout and stderr are in one output, as a user sees them."""

    process: subprocess.Popen[bytes]
    descriptor: int
    _output: bytearray = field(default_factory=bytearray)

    @property
    def output(self) -> str:
        """What the command has written so far, without escape sequences and carriage returns."""
        return _ESCAPE_SEQUENCE.sub("", self._output.decode("utf-8", "replace")).replace("\r\n", "\n")

    def wait_for(self, text: str) -> None:
        """Wait until the output has the text."""
        wait_until(lambda: text in self.output, what=f"{text!r} in the output:\n{self.output}")

    def press_ctrl_c(self) -> None:
        """Send the character that the terminal turns into SIGINT."""
        os.write(self.descriptor, _CTRL_C)

    def wait(self) -> int:
        """Wait for the end and return the exit code."""
        return self.process.wait(DEADLINE)

    def read(self) -> None:
        """Collect the output until the terminal is closed."""
        while True:
            try:
                data = os.read(self.descriptor, 65536)
            except OSError as error:
                if error.errno == errno.EIO:  # Linux's end of file of a terminal
                    return
                raise
            if not data:
                return
            self._output += data


@contextmanager
def terminal(
    *arguments: str, columns: int, cwd: Path | None = None, environment: Mapping[str, str] | None = None
) -> Iterator[Terminal]:
    """Run a command; one that still runs at the end is killed.

    Args:
        *arguments: The arguments of ``fnkit``.
        columns: The width of the terminal.
        cwd: The working directory.
        environment: Variables beside those of the tests.
    """
    descriptor, other_end = pty.openpty()
    fcntl.ioctl(other_end, termios.TIOCSWINSZ, struct.pack("HHHH", _ROWS, columns, 0, 0))
    variables = {name: value for name, value in os.environ.items() if name != "COLUMNS"}
    process = subprocess.Popen(
        ["setsid", "-c", str(FNKIT), *arguments],  # the terminal controls the session, for Ctrl-C
        stdin=other_end,
        stdout=other_end,
        stderr=other_end,
        cwd=cwd,
        env={**variables, "TERM": "xterm", **(environment or {})},
    )
    os.close(other_end)
    running = Terminal(process, descriptor)
    reader = threading.Thread(target=running.read, daemon=True)
    reader.start()
    try:
        yield running
    finally:
        process.kill()
        process.wait()
        reader.join(DEADLINE)
        os.close(descriptor)
