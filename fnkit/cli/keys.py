"""Single keys that a user presses while a command runs."""

from __future__ import annotations

import os
import select
import sys
import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import Final

_POLL_SECONDS: Final = 0.2
_MAX_BYTES: Final = 64


class KeyReader:
    """Reads keys from the terminal without waiting for Enter, in a thread of its own.

    Args:
        report: Called with each character, from the thread.
    """

    def __init__(self, report: Callable[[str], None]) -> None:
        self._report = report
        self._stop = threading.Event()
        self._thread = threading.Thread(target=self._run, name="keys", daemon=True)

    @contextmanager
    def reading(self) -> Iterator[None]:
        """Read while the block runs; the terminal then has the settings that it had before."""
        import termios  # not on Windows, where the platform does not run
        import tty

        descriptor = sys.stdin.fileno()
        before = termios.tcgetattr(descriptor)
        tty.setcbreak(descriptor)  # Ctrl-C still interrupts
        self._thread.start()
        try:
            yield
        finally:
            self._stop.set()
            self._thread.join()
            termios.tcsetattr(descriptor, termios.TCSANOW, before)

    def _run(self) -> None:
        descriptor = sys.stdin.fileno()
        while not self._stop.is_set():
            readable, _, _ = select.select([descriptor], [], [], _POLL_SECONDS)
            if not readable:
                continue
            try:
                data = os.read(descriptor, _MAX_BYTES)
            except OSError:
                return
            if not data:
                return
            for key in data.decode("utf-8", "ignore"):
                self._report(key)
