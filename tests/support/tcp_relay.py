"""A relay of TCP connections that can be away for a while, as a server that restarts."""

from __future__ import annotations

import contextlib
import socket
import threading
from collections.abc import Iterator
from contextlib import contextmanager

__all__ = ["TcpRelay", "tcp_relay"]

_READ_BYTES = 65536


class TcpRelay:
    """Listens on an address and connects each client to a server.

    Attributes:
        port: The port that it listens on, the same after each ``open``.
    """

    def __init__(self, host: str, target: tuple[str, int]) -> None:
        self._host = host
        self._target = target
        self._listener: socket.socket | None = None
        self.port = 0

    def open(self) -> None:
        """Listen."""
        self._listener = socket.create_server((self._host, self.port), backlog=128)
        self.port = int(self._listener.getsockname()[1])
        threading.Thread(target=self._accept, args=(self._listener,), daemon=True).start()

    def close(self) -> None:
        """Refuse connections from now on."""
        if self._listener is not None:
            with contextlib.suppress(OSError):
                self._listener.shutdown(socket.SHUT_RDWR)
            self._listener.close()
            self._listener = None

    def _accept(self, listener: socket.socket) -> None:
        while True:
            try:
                client, _ = listener.accept()
                server = socket.create_connection(self._target)
            except OSError:
                return
            threading.Thread(target=_relay, args=(client, server), daemon=True).start()
            del client, server


def _relay(client: socket.socket, server: socket.socket) -> None:
    with client, server:
        back = threading.Thread(target=_copy, args=(server, client), daemon=True)
        back.start()
        _copy(client, server)
        back.join()


def _copy(source: socket.socket, sink: socket.socket) -> None:
    with contextlib.suppress(OSError):
        while data := source.recv(_READ_BYTES):
            sink.sendall(data)
    with contextlib.suppress(OSError):
        sink.shutdown(socket.SHUT_WR)


@contextmanager
def tcp_relay(host: str, target: tuple[str, int]) -> Iterator[TcpRelay]:
    """Return a relay that listens, and close it."""
    relay = TcpRelay(host, target)
    relay.open()
    try:
        yield relay
    finally:
        relay.close()
