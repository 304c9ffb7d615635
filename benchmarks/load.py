"""A load generator: so many connections, each with one request in flight, as fast as they are answered.

It runs in the benchmark's own process, speaks TCP and Unix sockets, and checks every status. A server that closes
its connection after an answer is called again on a new one, which is then part of what is measured.
"""

from __future__ import annotations

import re
import select
import socket
import time
from array import array
from dataclasses import dataclass
from pathlib import Path

__all__ = ["Address", "Client", "Load", "call", "generate"]

Address = tuple[str, int] | Path

_HEAD = re.compile(rb"HTTP/1\.[01] (\d+)[^\r]*\r\n(?:[^\r]*\r\n)*?content-length: *(\d+)\r\n", re.IGNORECASE)
_CLOSES = re.compile(rb"\r\nconnection: *close\r\n", re.IGNORECASE)
_TIMEOUT = 60.0


@dataclass(frozen=True, slots=True)
class Load:
    """What was measured. ``latencies``: seconds, ascending."""

    seconds: float
    latencies: array[float]

    @property
    def requests(self) -> int:
        """How many were answered."""
        return len(self.latencies)

    @property
    def seconds_each(self) -> float:
        """The throughput's inverse."""
        return self.seconds / self.requests

    def percentile(self, part: float) -> float:
        """Seconds within which this part of the requests was answered; ``part`` from 0 to 1."""
        return self.latencies[min(self.requests - 1, int(self.requests * part))]


class Client:
    """One connection. ``hear`` gives whether the answer is complete."""

    def __init__(self, address: Address, request: bytes) -> None:
        self._address = address
        self._request = request
        self._buffer = b""
        self.started = 0.0
        self.socket = _connected(address)

    def ask(self) -> None:
        """Send the request."""
        self.started = time.perf_counter()
        self.socket.sendall(self._request)

    def hear(self) -> bool:
        """Take what has come. ``RuntimeError`` when it is not a 200."""
        received = self.socket.recv(65536)
        if not received:
            raise RuntimeError(f"{self._address} closed the connection without an answer")
        self._buffer += received
        head = _HEAD.match(self._buffer)
        end = self._buffer.find(b"\r\n\r\n")
        if head is None or end < 0 or len(self._buffer) < end + 4 + int(head[2]):
            return False
        if head[1] != b"200":
            raise RuntimeError(f"{self._address} answered {self._buffer[:2000].decode('latin-1')}")
        return True

    def next(self) -> bool:
        """Be ready for another request; ``True`` when that took a new connection."""
        answer, self._buffer = self._buffer, b""
        if _CLOSES.search(answer) is None:
            return False
        self.socket.close()
        return True

    def reconnect(self) -> None:
        """Open another connection; its time counts."""
        self.started = time.perf_counter()
        self.socket = _connected(self._address)
        self.socket.sendall(self._request)


def _connected(address: Address) -> socket.socket:
    if isinstance(address, Path):
        connection = socket.socket(socket.AF_UNIX)
        connection.settimeout(_TIMEOUT)
        connection.connect(str(address))
    else:
        connection = socket.create_connection(address, timeout=_TIMEOUT)
        connection.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
    return connection


def generate(address: Address, request: bytes, *, connections: int, seconds: float) -> Load:
    """Ask for so many seconds. ``RuntimeError`` for an answer that is not a 200, or none within a minute."""
    poller = select.epoll()
    clients: dict[int, Client] = {}
    latencies = array("d")
    started = time.perf_counter()
    for _ in range(connections):
        client = Client(address, request)
        clients[client.socket.fileno()] = client
        poller.register(client.socket, select.EPOLLIN)
        client.ask()
    now = started
    while now < started + seconds:
        ready = poller.poll(_TIMEOUT)
        if not ready:
            raise RuntimeError(f"{address} answered nothing for {_TIMEOUT:g} s")
        for descriptor, _ in ready:
            client = clients[descriptor]
            if not client.hear():
                continue
            now = time.perf_counter()
            latencies.append(now - client.started)
            if client.next():
                del clients[descriptor]
                client.reconnect()
                clients[client.socket.fileno()] = client
                poller.register(client.socket, select.EPOLLIN)
            else:
                client.ask()
    for client in clients.values():
        client.socket.close()
    poller.close()
    return Load(now - started, array("d", sorted(latencies)))


def call(address: Address, request: bytes) -> float:
    """Seconds from opening a connection to one whole answer. ``ConnectionError`` while nobody listens."""
    started = time.perf_counter()
    client = Client(address, request)
    client.ask()
    while not client.hear():
        pass
    elapsed = time.perf_counter() - started
    client.socket.close()
    return elapsed
