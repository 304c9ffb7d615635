"""A latch that handlers wait for until a test releases it, so that a test controls how long a handler runs."""

from __future__ import annotations

import contextlib
import socket
import threading
from collections.abc import Iterator
from contextlib import contextmanager

from tests.support.engine_under_test import engine_under_test

__all__ = ["HandlerLatch", "handler_latch"]

_SOURCE = """
import socket

def wait_for_latch():
    with socket.create_connection(("{host}", {port})) as connection:
        connection.recv(1)
"""


class HandlerLatch:
    """A latch across processes. A handler's module must include ``source``, which defines ``wait_for_latch()``."""

    def __init__(self, host: str) -> None:
        self._listener = socket.create_server((host, 0), backlog=512)
        self._lock = threading.Lock()
        self._connections: list[socket.socket] = []
        self._is_released = False
        self.source = _SOURCE.format(host=host, port=self._listener.getsockname()[1])
        self._thread = threading.Thread(target=self._accept, daemon=True)
        self._thread.start()

    @property
    def waiting_count(self) -> int:
        """How many handlers are waiting."""
        with self._lock:
            return len(self._connections)

    def release(self) -> None:
        """Let the waiting handlers continue; later ones do not wait."""
        with self._lock:
            self._is_released = True
            for connection in self._connections:
                connection.close()
            self._connections.clear()

    def reset(self) -> None:
        """Make later handlers wait again."""
        with self._lock:
            self._is_released = False

    def close(self) -> None:
        """Release the latch for good."""
        self.release()
        with contextlib.suppress(OSError):
            self._listener.shutdown(socket.SHUT_RDWR)
        self._thread.join()
        self._listener.close()

    def _accept(self) -> None:
        while True:
            try:
                connection, _ = self._listener.accept()
            except OSError:
                return
            with self._lock:
                if self._is_released:
                    connection.close()
                else:
                    self._connections.append(connection)


@contextmanager
def handler_latch(host: str = "") -> Iterator[HandlerLatch]:
    """Create a latch, and release it at the end.

    Args:
        host: The address of this machine by which handlers reach it; empty for that of the engine under test.
    """
    latch = HandlerLatch(host or engine_under_test().host)
    try:
        yield latch
    finally:
        latch.close()
