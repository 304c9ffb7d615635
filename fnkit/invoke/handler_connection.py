"""The connection to the process of a handler: how it begins, and how a request gets its response."""

from __future__ import annotations

import json
import secrets
import socket
import time
from collections.abc import Callable
from typing import Final, TypeAlias

START_TIMEOUT: Final = 60.0
"""Seconds that a process may take until its handler is loaded."""
_END_OF_HEADERS: Final = b"\r\n\r\n"
_TOKEN_SECONDS: Final = 1.0
_POLL_SECONDS: Final = 0.1

HandlerAnswer: TypeAlias = tuple[int, list[tuple[str, str]], bytes]
"""Status, headers and body of a worker's response."""


class HandlerProcessEnded(Exception):
    """The process exited instead of answering; the message says when."""


class HandlerConnection:
    """A connection from a process whose handler is loaded."""

    def __init__(self, connection: socket.socket) -> None:
        self._connection = connection
        self._received = b""

    def accepts_settings(self) -> bool:
        """Return whether the process can use the settings that it got, after what it has imported before.

        Raises:
            HandlerProcessEnded: It exited.
        """
        return bool(self._read_status().get("accepted"))

    def wait_until_ready(self) -> None:
        """Wait until the handler is loaded, or its import has failed, which its response says.

        Raises:
            HandlerProcessEnded: The process exited.
        """
        self._read_status()

    def _read_status(self) -> dict[str, object]:
        self._connection.settimeout(START_TIMEOUT)
        try:
            line, self._received = _receive_until(self._connection, b"\n", self._received)
            status = json.loads(line)
        except (OSError, ValueError):
            status = {"error": "it exited"}
        if status.get("error"):
            raise HandlerProcessEnded("the process exited while it imported the handler")
        return dict(status)

    def send(self, body: bytes, timeout: float | None) -> HandlerAnswer:
        """Send a request and return the response.

        Args:
            body: The document of the request, or for Go and Rust the request itself.
            timeout: In seconds; ``None`` for none.

        Raises:
            TimeoutError: There is no complete response in time.
            HandlerProcessEnded: The process exited.
        """
        self._connection.settimeout(timeout)
        try:
            self._connection.sendall(b"POST / HTTP/1.1\r\ncontent-length: %d\r\n\r\n" % len(body) + body)
            head, rest = _receive_until(self._connection, _END_OF_HEADERS)
            return _read_answer(self._connection, head, rest)
        except TimeoutError:
            raise
        except OSError:
            raise HandlerProcessEnded("the process exited before it responded") from None

    def close(self) -> None:
        """Close the connection, which ends the process."""
        self._connection.close()


def accept_handler(listener: socket.socket, token: str, is_running: Callable[[], bool]) -> HandlerConnection | None:
    """Accept the connection of a process; ``None`` if it has exited.

    Any local process can connect to the port, so a connection counts only if it starts with the token. The short
    timeouts let the loop notice that the process has exited, and keep a silent stranger from blocking it.
    """
    listener.settimeout(_POLL_SECONDS)
    deadline = time.monotonic() + START_TIMEOUT
    while is_running() and time.monotonic() < deadline:
        try:
            connection, _ = listener.accept()
        except TimeoutError:
            continue
        connection.settimeout(_TOKEN_SECONDS)
        try:
            received = _receive_exactly(connection, len(token))
        except OSError:
            received = b""
        if secrets.compare_digest(received, token.encode()):
            return HandlerConnection(connection)
        connection.close()
    return None


def _read_answer(connection: socket.socket, head: bytes, received: bytes) -> HandlerAnswer:
    status_line, *lines = head.decode("latin-1").split("\r\n")
    headers = [(name, value.strip()) for name, _, value in (line.partition(":") for line in lines)]
    length = int(next(value for name, value in headers if name.lower() == "content-length"))
    content = received + _receive_exactly(connection, length - len(received))
    kept = [header for header in headers if header[0].lower() != "content-length"]
    return int(status_line.split(" ")[1]), kept, content


def _receive_until(connection: socket.socket, delimiter: bytes, received: bytes = b"") -> tuple[bytes, bytes]:
    """Receive up to a delimiter; return the bytes before it and those received after it.

    Raises:
        ConnectionError: The connection closed before the delimiter.
    """
    buffer = received
    while delimiter not in buffer:
        more = connection.recv(65536)
        if not more:
            raise ConnectionError("closed")
        buffer += more
    before, _, after = buffer.partition(delimiter)
    return before, after


def _receive_exactly(connection: socket.socket, size: int) -> bytes:
    content = bytearray()
    while len(content) < size:
        received = connection.recv(size - len(content))
        if not received:
            raise ConnectionError("closed")
        content += received
    return bytes(content)
