"""Servers that a benchmark starts, calls and ends: how long until the first answer, and what they take after it."""

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

from benchmarks.load import Address, call

__all__ = ["REQUEST", "Server", "first_answer", "free_port", "serving"]

REQUEST = b"GET / HTTP/1.1\r\nHost: localhost\r\n\r\n"
_PATIENCE = 60.0


@dataclass(frozen=True, slots=True)
class Server:
    """What to run in ``folder``. ``{port}`` in the command is filled in."""

    name: str
    folder: Path
    command: Sequence[str]
    environment: Mapping[str, str] = field(default_factory=dict)


@contextmanager
def _process(server: Server) -> Iterator[Address]:
    """Start it; yield its address at once."""
    port = free_port()
    process = subprocess.Popen(
        [part.format(port=port) for part in server.command],
        cwd=server.folder,
        env={**os.environ, **server.environment},
        stdout=subprocess.DEVNULL,
        stderr=subprocess.DEVNULL,
        start_new_session=True,  # reloaders and workers end with it
    )
    try:
        yield ("127.0.0.1", port)
    finally:
        os.killpg(process.pid, signal.SIGKILL)
        process.wait()


def first_answer(server: Server) -> float:
    """Seconds from starting its process to its first whole answer."""
    started = time.perf_counter()
    with _process(server) as address:
        _until_answered(address)
        return time.perf_counter() - started


@contextmanager
def serving(server: Server) -> Iterator[Address]:
    """Start it; yield its address once it answers."""
    with _process(server) as address:
        _until_answered(address)
        yield address


def _until_answered(address: Address) -> None:
    deadline = time.monotonic() + _PATIENCE
    while True:
        try:
            call(address, REQUEST)
        except OSError:
            if time.monotonic() > deadline:
                raise
            time.sleep(0.001)
        else:
            return


def free_port() -> int:
    """Return a port that is free now."""
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        port: int = probe.getsockname()[1]
        return port
