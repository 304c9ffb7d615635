"""The program of a compiled function, connected as the platform connects it."""

from __future__ import annotations

import io
import socket
import subprocess
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from http.client import HTTPMessage, parse_headers
from pathlib import Path

NONCE = "00ff00ff00ff00ff"


@dataclass(frozen=True)
class WorkerResponse:
    """A response of a worker."""

    status: int
    headers: HTTPMessage
    lines: list[str]
    body: bytes


class WorkerProcess:
    """A worker that is ready."""

    def __init__(self, process: subprocess.Popen[bytes], connection: socket.socket, errors: Path) -> None:
        self.process = process
        self._connection = connection
        self._stream = connection.makefile("rb")
        self._errors = errors

    @property
    def log(self) -> str:
        return self._errors.read_text()

    def first_line(self) -> bytes:
        return self._stream.readline()

    def request(
        self, method: str = "GET", target: str = "/", body: bytes = b"", headers: str = "Host: localhost\r\n"
    ) -> WorkerResponse:
        message = f"{method} {target} HTTP/1.1\r\n{headers}\r\n".encode() + body
        head = f"POST / HTTP/1.1\r\nfnkit-request: {NONCE}\r\ncontent-length: {len(message)}\r\n\r\n"
        self._connection.sendall(head.encode() + message)
        status_line = self._stream.readline().decode()
        version, status, _ = status_line.split(" ", 2)
        assert version == "HTTP/1.1", status_line
        lines = []
        while (line := self._stream.readline()) != b"\r\n":
            lines.append(line.decode().rstrip("\r\n"))
        fields = parse_headers(io.BytesIO("\r\n".join([*lines, "", ""]).encode()))
        assert lines[-1] == f"fnkit-request: {NONCE}"
        return WorkerResponse(int(status), fields, lines, self._stream.read(int(fields["content-length"])))

    def close(self) -> int:
        """Close the connection, and return the exit code."""
        self._stream.close()
        self._connection.close()
        return self.process.wait(timeout=30)


@contextmanager
def running_worker(program: Path, folder: Path) -> Iterator[WorkerProcess]:
    """Start a program with a connected socket."""
    platform, instance = socket.socketpair()
    platform.settimeout(60)
    errors = folder / "stderr.log"

    with instance, errors.open("wb") as stderr:
        process = subprocess.Popen(
            [program],
            env={"FNKIT_WORKER_FD": str(instance.fileno())},
            stdin=subprocess.DEVNULL,
            stdout=stderr,
            stderr=stderr,
            pass_fds=(instance.fileno(),),
        )
    worker = WorkerProcess(process, platform, errors)
    try:
        with process:
            try:
                yield worker
            finally:
                process.kill()
    finally:
        platform.close()
