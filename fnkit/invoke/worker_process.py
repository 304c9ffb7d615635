"""The child process that runs one handler: how it is started, and how it gets one request."""

from __future__ import annotations

import json
import os
import secrets
import socket
import subprocess
import sys
import threading
import time
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import IO, Final

from fnkit import worker
from fnkit.environments.model import HandlerEnvironment
from fnkit.errors import InvokeError

_LAUNCH: Final = Path(worker.__file__).parent / "python" / "launch.py"
_START_TIMEOUT: Final = 60.0
_EXIT_SECONDS: Final = 1.0
_END_OF_HEADERS: Final = b"\r\n\r\n"

WorkerAnswer = tuple[int, list[tuple[str, str]], bytes]
"""Status, headers and body of a worker's response."""


class WorkerEnded(Exception):
    """The process exited instead of answering; the message says when."""


class WorkerConnection:
    """The connection to a process whose handler is loaded."""

    def __init__(self, connection: socket.socket) -> None:
        self._connection = connection

    def wait_until_ready(self) -> None:
        """Wait until the handler is loaded, or its import has failed, which its response says.

        Raises:
            WorkerEnded: The process exited.
        """
        self._connection.settimeout(_START_TIMEOUT)
        try:
            line, _ = _receive_until(self._connection, b"\n")
            error = json.loads(line).get("error") if line else "it exited"
        except (OSError, ValueError):
            error = "it exited"
        if error:
            raise WorkerEnded("the process exited while it imported the handler")

    def send(self, body: bytes, timeout: float | None) -> WorkerAnswer:
        """Send a request and return the response.

        Args:
            body: The document of the request, or for Go and Rust the request itself.
            timeout: In seconds; ``None`` for none.

        Raises:
            TimeoutError: There is no complete response in time.
            WorkerEnded: The process exited.
        """
        self._connection.settimeout(timeout)
        try:
            self._connection.sendall(b"POST / HTTP/1.1\r\ncontent-length: %d\r\n\r\n" % len(body) + body)
            head, rest = _receive_until(self._connection, _END_OF_HEADERS)
            return _read_answer(self._connection, head, rest)
        except TimeoutError:
            raise
        except OSError:
            raise WorkerEnded("the process exited before it responded") from None


@contextmanager
def start_worker(
    environment: HandlerEnvironment,
    settings: Mapping[str, object],
    on_line: Callable[[str], None] | None,
) -> Iterator[WorkerConnection]:
    """Start the process of a function; kill it at the end.

    Args:
        environment: What runs the handler.
        settings: What the process reads: see ``fnkit/worker/python/local.py``.
        on_line: Called with each line that it prints, from another thread. ``None`` gives the process the terminal,
            for a debugger; then nothing is read.

    Raises:
        InvokeError: ``invoke-start``: it could not be started.
    """
    with socket.create_server(("127.0.0.1", 0), backlog=8) as listener:
        token = secrets.token_hex(32)
        child = _start(environment, {**settings, "port": listener.getsockname()[1], "token": token}, on_line)
        reader = threading.Thread(target=_read_lines, args=(child.stdout, on_line), daemon=True)
        reader.start()
        try:
            with _accept(listener, token, child) as connection:
                yield WorkerConnection(connection)
            # Exit handlers may print lines too. A process that the handler started may keep the pipe open, so end
            # of file may never come; lines printed until then are enough.
            reader.join(timeout=_EXIT_SECONDS)
            with suppress(subprocess.TimeoutExpired):
                child.wait(_EXIT_SECONDS if on_line is None else 0)
        finally:
            child.kill()
            child.wait()
            reader.join(timeout=_EXIT_SECONDS)


def _start(
    environment: HandlerEnvironment, settings: Mapping[str, object], on_line: Callable[[str], None] | None
) -> subprocess.Popen[bytes]:
    reading, writing = os.pipe()
    # Without bytecode (-B): it is compared by size and second, and an edit may change neither.
    try:
        child = subprocess.Popen(
            [environment.python, "-I", "-B", "-u", str(_LAUNCH), "local", str(reading)],
            stdin=subprocess.DEVNULL if on_line is not None else None,
            stdout=subprocess.PIPE if on_line is not None else sys.stderr.fileno(),
            stderr=subprocess.STDOUT,
            pass_fds=(reading,),
        )
    except OSError as error:
        os.close(writing)
        raise InvokeError(
            f"The handler's process could not be started: {error.strerror}.", code="invoke-start"
        ) from None
    finally:
        os.close(reading)
    with suppress(BrokenPipeError), os.fdopen(writing, "wb") as pipe:  # an exit is noticed when it should connect
        pipe.write(json.dumps(settings).encode())
    return child


def _accept(listener: socket.socket, token: str, child: subprocess.Popen[bytes]) -> socket.socket:
    """Accept the connection of the child.

    Any local process can connect to the port, so a connection counts only if it starts with the token. The short
    timeouts let the loop notice that the child has exited, and keep a silent stranger from blocking it.
    """
    listener.settimeout(0.1)
    deadline = time.monotonic() + _START_TIMEOUT
    while child.poll() is None and time.monotonic() < deadline:
        try:
            connection, _ = listener.accept()
        except TimeoutError:
            continue
        connection.settimeout(1.0)
        try:
            received = _receive_exactly(connection, len(token))
        except OSError:
            received = b""
        if secrets.compare_digest(received, token.encode()):
            return connection
        connection.close()
    raise InvokeError("The handler's process exited before it accepted a request.", code="invoke-start")


def _read_answer(connection: socket.socket, head: bytes, received: bytes) -> WorkerAnswer:
    status_line, *lines = head.decode("latin-1").split("\r\n")
    headers = [(name, value.strip()) for name, _, value in (line.partition(":") for line in lines)]
    length = int(next(value for name, value in headers if name.lower() == "content-length"))
    content = received + _receive_exactly(connection, length - len(received))
    kept = [header for header in headers if header[0].lower() != "content-length"]
    return int(status_line.split(" ")[1]), kept, content


def _receive_until(connection: socket.socket, delimiter: bytes) -> tuple[bytes, bytes]:
    """Receive up to a delimiter; return the bytes before it and those received after it.

    Raises:
        ConnectionError: The connection closed before the delimiter.
    """
    buffer = b""
    while delimiter not in buffer:
        received = connection.recv(65536)
        if not received:
            raise ConnectionError("closed")
        buffer += received
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


def _read_lines(stream: IO[bytes] | None, on_line: Callable[[str], None] | None) -> None:
    if stream is None or on_line is None:
        return
    with stream:
        for line in stream:
            on_line(line.decode(errors="replace").rstrip("\r\n"))
