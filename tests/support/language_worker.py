"""A worker of another language as a child process, driven over its descriptors as an instance's starter does it."""

from __future__ import annotations

import contextlib
import json
import os
import select
import signal
import socket
import struct
import time
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Final

from fnkit.contract.invocation.response import MappedResponse, map_failure, map_response
from tests.support.waiting import DEADLINE, wait_until

READY: Final = b'{"ready": true}\n'
CONTEXT: Final = {"memoryLimitInMb": 256, "functionName": "f", "functionVersion": ""}
_LENGTH_PREFIX: Final = struct.Struct("!I")
_READ_SIZE: Final = 1 << 18
_HIGH_DESCRIPTOR: Final = 100
"""Above the numbers that a worker gets, so that no descriptor is overwritten before it is duplicated."""


@dataclass(frozen=True)
class WorkerResponse:
    """What a worker sent for one request. ``headers`` has the names as they were sent, in their order."""

    status: int
    headers: tuple[tuple[str, str], ...]
    body: bytes

    @property
    def is_last(self) -> bool:
        """Whether the worker announced its end."""
        return ("connection", "close") in self.headers

    def mapped(self) -> MappedResponse:
        """Return the client's response, as the gateway makes it."""
        if self.status == 500:
            return map_failure(self.body.decode())
        own = ("content-length", "connection", "fnkit-request")
        return map_response(self.status, [line for line in self.headers if line[0] not in own], self.body)


class WorkerEnded(Exception):
    """The worker closed its socket before it had sent what was waited for."""


class LanguageWorker:
    """A started worker that does not know its function yet.

    Its output is read while a response is waited for, and once more when the response is complete: what it wrote
    before the response is then in ``stdout`` and ``stderr``.

    Args:
        command: The program and its arguments.
        environment: The environment that the process starts with.
    """

    def __init__(self, command: Sequence[str], environment: Mapping[str, str] | None = None) -> None:
        self.import_error = ""
        self.stdout = b""
        self.stderr = b""
        self._received = bytearray()
        self._status: int | None = None
        self.connection, theirs = socket.socketpair()
        pipes = [os.pipe() for _ in range(3)]
        (self._stdout, stdout), (self._stderr, stderr), (assignment, self._assignment) = pipes
        os.set_blocking(self._stdout, False)
        os.set_blocking(self._stderr, False)
        high = [os.dup2(end, _HIGH_DESCRIPTOR + end) for end in (stdout, stderr, theirs.fileno(), assignment)]
        actions = [
            (os.POSIX_SPAWN_OPEN, 0, os.devnull, os.O_RDONLY, 0),
            *((os.POSIX_SPAWN_DUP2, end, number) for number, end in enumerate(high, start=1)),
            *((os.POSIX_SPAWN_CLOSE, end) for end in high),
        ]
        self.pid = os.posix_spawn(
            command[0],
            list(command),
            dict(os.environ if environment is None else environment),
            file_actions=actions,
        )
        theirs.close()
        for end in (*high, stdout, stderr, assignment):
            os.close(end)

    def assign(self, settings: Mapping[str, object], environment: Mapping[str, str]) -> None:
        """Send the line and the environment."""
        self.send_line(json.dumps(settings).encode() + b"\n")
        self.send_environment(environment)

    def send_line(self, line: bytes) -> None:
        """Write to descriptor 4, and close it."""
        os.write(self._assignment, line)
        self.close_line()

    def close_line(self) -> None:
        """Close the writing end of descriptor 4."""
        if self._assignment >= 0:
            os.close(self._assignment)
            self._assignment = -1

    def send_environment(self, environment: Mapping[str, str]) -> None:
        """Send the environment document."""
        document = json.dumps(environment).encode()
        self.connection.sendall(_LENGTH_PREFIX.pack(len(document)) + document)

    def read_start_line(self) -> bytes:
        """Return the line that reports the start."""
        return self._read_until(b"\n")

    def call(self, event: Mapping[str, object] | None = None, *, nonce: str = "n0") -> WorkerResponse:
        """Send one request and return the response."""
        self.send_request(event or {}, nonce=nonce)
        return self.read_response(nonce)

    def send_request(self, event: Mapping[str, object], *, nonce: str = "n0") -> None:
        """Send one request; the worker's output is read meanwhile."""
        body = json.dumps({"event": event, "context": CONTEXT}, ensure_ascii=False).encode()
        nonce_line = f"fnkit-request: {nonce}\r\n" if nonce else ""
        head = (
            f"POST / HTTP/1.1\r\ncontent-type: application/json\r\n{nonce_line}content-length: {len(body)}\r\n\r\n"
        )
        self.connection.sendall(head.encode() + body)

    def read_response(self, nonce: str = "n0") -> WorkerResponse:
        """Read one response and check its framing."""
        head = self._read_until(b"\r\n\r\n")
        status_line, *lines = head.decode("ascii").removesuffix("\r\n\r\n").split("\r\n")
        version, status, reason = status_line.split(" ", 2)
        assert (version, reason) == ("HTTP/1.1", {200: "OK", 500: "Internal Server Error"}[int(status)])
        headers = tuple((name, value) for name, _, value in (line.partition(": ") for line in lines))
        if nonce:
            assert headers[-1] == ("fnkit-request", nonce)
        body = self._read_exactly(int(dict(headers)["content-length"]))
        self.read_output()
        assert not self._received, "data after the response"
        return WorkerResponse(int(status), headers, body)

    def receive_available(self) -> bytes:
        """Return what the worker has sent so far."""
        with contextlib.suppress(BlockingIOError):
            self._received += self.connection.recv(_READ_SIZE, socket.MSG_DONTWAIT)
        return bytes(self._received)

    def _read_until(self, end: bytes) -> bytes:
        while end not in self._received:
            self._receive()
        size = self._received.index(end) + len(end)
        return self._take(size)

    def _read_exactly(self, size: int) -> bytes:
        while len(self._received) < size:
            self._receive()
        return self._take(size)

    def _take(self, size: int) -> bytes:
        taken = bytes(self._received[:size])
        del self._received[:size]
        return taken

    def _receive(self) -> None:
        deadline = time.monotonic() + DEADLINE
        while True:
            connection = self.connection.fileno()
            readable, _, _ = select.select(
                [connection, self._stdout, self._stderr], [], [], deadline - time.monotonic()
            )
            if not readable:
                raise AssertionError(f"nothing was received; stderr: {self.stderr.decode(errors='replace')}")
            self.read_output()
            if connection in readable:
                break
        try:
            received = self.connection.recv(_READ_SIZE)
        except ConnectionResetError:
            received = b""
        if not received:
            self.read_output()
            raise WorkerEnded(self.stderr.decode(errors="replace"))
        self._received += received

    def read_output(self) -> None:
        """Read what is in the pipes of stdout and stderr."""
        self.stdout += _read_available(self._stdout)
        self.stderr += _read_available(self._stderr)

    def wait_for_output(self, text: bytes) -> None:
        """Wait until the worker has written a text."""

        def is_written() -> bool:
            self.read_output()
            return text in self.stdout + self.stderr

        wait_until(is_written, what=f"{text!r} in the output")

    def wait(self) -> int:
        """Wait for the end of the process and return its exit code; negative: the signal that ended it."""
        deadline = time.monotonic() + DEADLINE
        while self._status is None:
            pid, status = os.waitpid(self.pid, os.WNOHANG)
            if pid:
                self._status = os.waitstatus_to_exitcode(status)
                break
            assert time.monotonic() < deadline, "the worker does not end"
            select.select([self._stdout, self._stderr], [], [], 0.01)
            self.read_output()
        self.read_output()
        return self._status

    def is_running(self) -> bool:
        """Return whether the process has not ended."""
        if self._status is None:
            pid, status = os.waitpid(self.pid, os.WNOHANG)
            if pid:
                self._status = os.waitstatus_to_exitcode(status)
        return self._status is None

    def close(self) -> None:
        """Kill the process and close all descriptors."""
        if self.is_running():
            os.kill(self.pid, signal.SIGKILL)
            self.wait()
        self.connection.close()
        self.close_line()
        os.close(self._stdout)
        os.close(self._stderr)


def _read_available(descriptor: int) -> bytes:
    parts = []
    with contextlib.suppress(BlockingIOError):
        while part := os.read(descriptor, _READ_SIZE):
            parts.append(part)
    return b"".join(parts)


def write_sources(root: Path, sources: Mapping[str, str]) -> None:
    """Write files, given by their paths below the root."""
    for name, text in sources.items():
        path = root / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(text, encoding="utf-8")


@contextlib.contextmanager
def running_worker(
    command: Sequence[str],
    root: Path,
    handler: str = "handler.handle",
    *,
    environment: Mapping[str, str] | None = None,
    settings: Mapping[str, object] | None = None,
) -> Iterator[LanguageWorker]:
    """Start a worker, assign it to a function and wait until it is ready, with or without its handler."""
    worker = LanguageWorker(command)
    try:
        assignment = {"handler": handler, "root": str(root), "home": str(root), **(settings or {})}
        worker.assign(assignment, {"PATH": os.environ["PATH"], **(environment or {})})
        start_line = worker.read_start_line()
        assert start_line.startswith(READY[:-2]), start_line
        worker.import_error = json.loads(start_line).get("import_error", "")
        yield worker
    finally:
        worker.close()
