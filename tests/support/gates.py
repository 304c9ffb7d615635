"""A gate at which handlers wait until a test opens it: what is to happen meanwhile happens, however slow it is."""

from __future__ import annotations

import contextlib
import socket
import threading
from collections.abc import Iterator
from contextlib import contextmanager

__all__ = ["Gate", "standing_gate"]

_SOURCE = """
import socket

def wait_at_gate():
    with socket.create_connection(("127.0.0.1", {port})) as line:
        line.recv(1)
"""


class Gate:
    """``source``: what a handler's module needs to call ``wait_at_gate()``. It is shut until ``open``."""

    def __init__(self) -> None:
        self._listener = socket.create_server(("127.0.0.1", 0), backlog=512)
        self._lock = threading.Lock()
        self._waiting: list[socket.socket] = []
        self._is_open = False
        self.source = _SOURCE.format(port=self._listener.getsockname()[1])
        self._thread = threading.Thread(target=self._accept, daemon=True)
        self._thread.start()

    @property
    def waiting(self) -> int:
        """How many stand before it."""
        with self._lock:
            return len(self._waiting)

    def open(self) -> None:
        """Let all go on, and whoever comes later."""
        with self._lock:
            self._is_open = True
            for line in self._waiting:
                line.close()
            self._waiting.clear()

    def shut(self) -> None:
        """Whoever comes from now on waits."""
        with self._lock:
            self._is_open = False

    def close(self) -> None:
        """Open it for good."""
        self.open()
        with contextlib.suppress(OSError):
            self._listener.shutdown(socket.SHUT_RDWR)
        self._thread.join()
        self._listener.close()

    def _accept(self) -> None:
        while True:
            try:
                line, _ = self._listener.accept()
            except OSError:
                return
            with self._lock:
                if self._is_open:
                    line.close()
                else:
                    self._waiting.append(line)


@contextmanager
def standing_gate() -> Iterator[Gate]:
    """A gate, which lets everybody go in the end."""
    gate = Gate()
    try:
        yield gate
    finally:
        gate.close()
