"""A closed-loop load generator: each connection sends its next request when it has received a response.

It runs in the process of the benchmark, supports TCP and Unix sockets, and checks every status. If the server
closes a connection after a response, the next request opens a new one, and its duration includes connecting.
"""

from __future__ import annotations

import re
import select
import socket
import time
from array import array
from dataclasses import dataclass
from pathlib import Path

__all__ = ["Address", "Client", "Load", "generate_load", "timed_request"]

Address = tuple[str, int] | Path

_HEAD = re.compile(rb"HTTP/1\.[01] (\d+)[^\r]*\r\n(?:[^\r]*\r\n)*?content-length: *(\d+)\r\n", re.IGNORECASE)
_CLOSES = re.compile(rb"\r\nconnection: *close\r\n", re.IGNORECASE)
_TIMEOUT = 60.0


@dataclass(frozen=True, slots=True)
class Load:
    """The result of a run; ``latencies`` are seconds in ascending order."""

    seconds: float
    latencies: array[float]

    @property
    def requests(self) -> int:
        """The number of responses."""
        return len(self.latencies)

    @property
    def seconds_per_request(self) -> float:
        """The inverse of the throughput."""
        return self.seconds / self.requests

    def percentile(self, fraction: float) -> float:
        """Return the latency in seconds at a fraction from 0 to 1."""
        return self.latencies[min(self.requests - 1, int(self.requests * fraction))]


class Client:
    """A connection that sends the same request repeatedly."""

    def __init__(self, address: Address, request: bytes) -> None:
        self._address = address
        self._request = request
        self._buffer = b""
        self.started = 0.0
        self.socket = _connect(address)

    def send(self) -> None:
        """Send the request."""
        self.started = time.perf_counter()
        self.socket.sendall(self._request)

    def receive(self) -> bool:
        """Receive available bytes and return whether the response is complete.

        Raises:
            RuntimeError: The status is not 200, or the server closed the connection.
        """
        received = self.socket.recv(65536)
        if not received:
            raise RuntimeError(f"{self._address} closed the connection without a response")
        self._buffer += received
        head = _HEAD.match(self._buffer)
        end = self._buffer.find(b"\r\n\r\n")
        if head is None or end < 0 or len(self._buffer) < end + 4 + int(head[2]):
            return False
        if head[1] != b"200":
            raise RuntimeError(f"{self._address} returned {self._buffer[:2000].decode('latin-1')}")
        return True

    def finish_response(self) -> bool:
        """Discard the response; close the connection and return True if the server asked for that."""
        answer, self._buffer = self._buffer, b""
        if _CLOSES.search(answer) is None:
            return False
        self.socket.close()
        return True

    def reconnect(self) -> None:
        """Open a new connection and send the request; the latency includes connecting."""
        self.started = time.perf_counter()
        self.socket = _connect(self._address)
        self.socket.sendall(self._request)


def _connect(address: Address) -> socket.socket:
    if isinstance(address, Path):
        connection = socket.socket(socket.AF_UNIX)
        connection.settimeout(_TIMEOUT)
        connection.connect(str(address))
    else:
        connection = socket.create_connection(address, timeout=_TIMEOUT)
        connection.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
    return connection


def generate_load(address: Address, request: bytes, *, connections: int, seconds: float) -> Load:
    """Send requests for a number of seconds.

    Raises:
        RuntimeError: A status is not 200, or there is no response for a minute.
    """
    poller = select.epoll()
    clients: dict[int, Client] = {}
    latencies = array("d")
    started = time.perf_counter()
    for _ in range(connections):
        client = Client(address, request)
        clients[client.socket.fileno()] = client
        poller.register(client.socket, select.EPOLLIN)
        client.send()
    now = started
    while now < started + seconds:
        ready = poller.poll(_TIMEOUT)
        if not ready:
            raise RuntimeError(f"{address} sent no response for {_TIMEOUT:g} s")
        for descriptor, _ in ready:
            client = clients[descriptor]
            if not client.receive():
                continue
            now = time.perf_counter()
            latencies.append(now - client.started)
            if client.finish_response():
                del clients[descriptor]
                client.reconnect()
                clients[client.socket.fileno()] = client
                poller.register(client.socket, select.EPOLLIN)
            else:
                client.send()
    for client in clients.values():
        client.socket.close()
    poller.close()
    return Load(now - started, array("d", sorted(latencies)))


def timed_request(address: Address, request: bytes) -> float:
    """Return the seconds from connecting to a complete response.

    Raises:
        ConnectionError: The server does not accept connections.
    """
    started = time.perf_counter()
    client = Client(address, request)
    client.send()
    while not client.receive():
        pass
    elapsed = time.perf_counter() - started
    client.socket.close()
    return elapsed
