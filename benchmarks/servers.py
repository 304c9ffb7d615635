"""Server processes that a benchmark starts, sends requests to and kills."""

from __future__ import annotations

import os
import signal
import socket
import subprocess
import time
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path

from benchmarks.load import Address, timed_request

__all__ = ["REQUEST", "Server", "free_port", "measure_first_response", "running_server"]

REQUEST = b"GET / HTTP/1.1\r\nHost: localhost\r\n\r\n"
_TIMEOUT = 60.0


@dataclass(frozen=True, slots=True)
class Server:
    """A server to run; ``{port}`` in its command and in the values of its environment is replaced.

    Attributes:
        name: What a table calls it.
        folder: Its working directory.
        command: The program and its arguments.
        environment: Its variables, besides those of the benchmark.
        request: What it answers with 200 once it serves.
    """

    name: str
    folder: Path
    command: Sequence[str]
    environment: Mapping[str, str] = field(default_factory=dict)
    request: bytes = REQUEST


@contextmanager
def _server_process(server: Server) -> Iterator[tuple[str, int]]:
    """Run a server and yield its address, without waiting until it responds."""
    port = free_port()
    process = subprocess.Popen(
        [part.format(port=port) for part in server.command],
        cwd=server.folder,
        env={**os.environ, **{name: value.format(port=port) for name, value in server.environment.items()}},
        stdout=subprocess.DEVNULL,
        stderr=subprocess.DEVNULL,
        start_new_session=True,  # a process group, to kill reloaders and workers too
    )
    try:
        yield ("127.0.0.1", port)
    finally:
        os.killpg(process.pid, signal.SIGKILL)
        process.wait()


def measure_first_response(server: Server) -> float:
    """Return the seconds from starting the process to its first complete response."""
    started = time.perf_counter()
    with _server_process(server) as address:
        _wait_for_response(address, server.request)
        return time.perf_counter() - started


@contextmanager
def running_server(server: Server) -> Iterator[tuple[str, int]]:
    """Run a server and yield its address once it responds."""
    with _server_process(server) as address:
        _wait_for_response(address, server.request)
        yield address


def _wait_for_response(address: Address, request: bytes) -> None:
    deadline = time.monotonic() + _TIMEOUT
    while True:
        try:
            timed_request(address, request)
        except OSError:
            if time.monotonic() > deadline:
                raise
            time.sleep(0.001)
        else:
            return


def free_port() -> int:
    """Return a port that is currently free."""
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        port: int = probe.getsockname()[1]
        return port
