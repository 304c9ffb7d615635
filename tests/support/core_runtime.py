"""The core runtime as it runs inside an image: its files, an interpreter without packages, and a handler."""

from __future__ import annotations

import contextlib
import http.client
import os
import shutil
import signal
import socket
import subprocess
import tempfile
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from functools import cache
from pathlib import Path

import pytest

from fnkit.contract.invocation.environment import EnvironmentSpec, instance_environment
from fnkit.contract.runtimes import RUNTIMES, python_version
from fnkit.errors import PlatformError
from fnkit.toolchains.resolution import Toolchains
from fnkit.worker.interpreters import INTERPRETERS
from tests.support.data_plane import children
from tests.support.http_response import HttpResponse
from tests.support.ports import free_port, is_listening
from tests.support.source_tree import PACKAGE
from tests.support.waiting import DEADLINE, wait_until

AGES = ["oldest", "newest"]
"""Which of this machine's interpreters to use."""
_COPIED = ("core_runtime", "worker", "contract/invocation", "contract/__init__.py", "contract/limits.py")


@cache
def interpreter_of_age(age: str) -> str:
    """Return the machine's oldest or newest supported interpreter, or skip the test."""
    toolchains, found = Toolchains(strict=True), {}
    for runtime in RUNTIMES:
        version = python_version(runtime.name)
        with contextlib.suppress(PlatformError):
            if version is not None:
                found[version] = toolchains.resolve(runtime.name).interpreter.path
    if not found:
        pytest.skip("no supported Python was found on this machine")
    return found[min(found) if age == "oldest" else max(found)]


ENDS_WITHIN_RESPONSE = """
import os, threading

def handle(e, c):
    threading.Thread(target=end).start()
    return "x" * 80_000_000

def end():
    wait_for_latch()
    os._exit(3)
"""
"""A handler whose process ends while its response is sent, once the latch is released: put its source before."""


def write_image_files(folder: Path) -> Path:
    """Copy the files that an image contains and return the path of the program."""
    package = folder / "fnkit"
    for name in _COPIED:
        source, target = PACKAGE / name, package / name
        target.parent.mkdir(parents=True, exist_ok=True)
        if source.is_dir():
            shutil.copytree(source, target, ignore=shutil.ignore_patterns("__pycache__"))
        else:
            shutil.copyfile(source, target)
    (package / "__init__.py").touch()
    return package / "core_runtime" / "main.py"


@dataclass
class CoreRuntimeProcess:
    """A running core runtime."""

    port: int
    folder: Path
    process: subprocess.Popen[bytes]

    @property
    def raw_output(self) -> bytes:
        """What it, its worker and the handler have written."""
        return (self.folder / "output.log").read_bytes()

    @property
    def output(self) -> str:
        """The same as text."""
        return self.raw_output.decode()

    @property
    def lines(self) -> list[str]:
        return self.output.splitlines()

    @property
    def worker(self) -> int:
        """The process of the worker."""
        return wait_until(lambda: children(self.process.pid), what="the worker")[0]

    def connect(self) -> socket.socket:
        return socket.create_connection(("127.0.0.1", self.port), timeout=DEADLINE)

    def call(
        self,
        path: str = "/",
        *,
        method: str = "GET",
        body: bytes | None = None,
        headers: Mapping[str, str] | None = None,
    ) -> HttpResponse:
        connection = http.client.HTTPConnection("127.0.0.1", self.port, timeout=DEADLINE)
        try:
            connection.request(method, path, body, dict(headers or {}))
            response = connection.getresponse()
            return HttpResponse(response.status, response.headers, response.read())
        finally:
            connection.close()

    def send_raw(self, data: bytes) -> bytes:
        """Send bytes and return everything that is received until the connection is closed."""
        with self.connect() as peer:
            peer.sendall(data)
            return read_to_end(peer)

    def wait_until_listening(self) -> None:
        wait_until(lambda: self.process.poll() is not None or is_listening("127.0.0.1", self.port))
        assert self.process.poll() is None, self.output

    def wait(self) -> int:
        """Wait for its end and return the exit code."""
        return self.process.wait(DEADLINE)

    def stop(self, number: int = signal.SIGTERM) -> int:
        self.process.send_signal(number)
        return self.wait()


def wait_until_received(peer: socket.socket) -> None:
    """Wait until the other end has read what was sent: nothing else orders requests on several connections."""
    port, own = peer.getpeername()[1], peer.getsockname()[1]
    wait_until(lambda: _receive_queue(port, own) == 0)


def _receive_queue(port: int, peer_port: int) -> int | None:
    """Return the number of bytes that wait on the server's end of a connection."""
    for table in ("/proc/net/tcp", "/proc/net/tcp6"):
        for line in Path(table).read_text().splitlines()[1:] if Path(table).exists() else ():
            fields = line.split()
            if (int(fields[1][-4:], 16), int(fields[2][-4:], 16)) == (port, peer_port):
                return int(fields[4].partition(":")[2], 16)
    return None


def read_to_end(peer: socket.socket) -> bytes:
    """Return everything that is received until the connection is closed."""
    parts = []
    with contextlib.suppress(ConnectionError):
        while part := peer.recv(65536):
            parts.append(part)
    return b"".join(parts)


def _write_code(source: str | Mapping[str, str] | Path, code: Path) -> None:
    if isinstance(source, Path):
        shutil.copytree(source, code)
        return
    for path, text in ({"handler.py": source} if isinstance(source, str) else source).items():
        (code / path).parent.mkdir(parents=True, exist_ok=True)
        (code / path).write_text(text)


@contextlib.contextmanager
def starting_core_runtime(
    source: str | Mapping[str, str] | Path,
    *,
    age: str = "newest",
    language: str = "Python",
    name: str = "f",
    handler: str = "handler.handle",
    memory: int = 256,
    settings: Mapping[str, str | None] | None = None,
    launcher: str = "",
) -> Iterator[CoreRuntimeProcess]:
    """Start a core runtime for a handler.

    Args:
        source: The module ``handler.py``, the files of the function, or a directory with them.
        age: Which interpreter runs the core runtime.
        language: The language of the function.
        name: The name of the function.
        handler: The handler as ``dir/file.name``.
        memory: The memory of the function in MiB.
        settings: Further environment variables; those that are ``None`` are removed.
        launcher: A program that replaces itself by the core runtime, whose path is its argument.
    """
    interpreter = interpreter_of_age(age)
    folder = Path(tempfile.mkdtemp(prefix="fnkit-core-"))
    program, code, port = write_image_files(folder / "image"), folder / "code", free_port()
    _write_code(source, code)
    if language in INTERPRETERS:
        row = INTERPRETERS[language]
        shutil.copyfile(PACKAGE / "worker" / row.source, folder / Path(row.path).name)
    spec = EnvironmentSpec(
        name=name, handler=handler, language=language, memory=memory, privacy="public", variables={}
    )
    environment = {
        **instance_environment(spec, home=str(folder), root=str(code)),
        "PORT": str(port),
        "FNKIT_CODE_DIRECTORY": str(code),
        "FNKIT_LANGUAGE": language,
    }
    for key, value in (settings or {}).items():
        if value is None:
            environment.pop(key, None)
        else:
            environment[key] = value
    with (folder / "output.log").open("wb") as output:
        process = subprocess.Popen(
            [interpreter, "-I", "-S", *(["-c", launcher] if launcher else []), str(program)],
            stdin=subprocess.DEVNULL,
            stdout=output,
            stderr=output,
            env=environment,
            cwd=folder,
        )
    try:
        yield CoreRuntimeProcess(port, folder, process)
    finally:
        if process.poll() is None:
            process.terminate()
            with contextlib.suppress(subprocess.TimeoutExpired):
                process.wait(DEADLINE)
        for pid in children(process.pid) if process.poll() is None else ():
            with contextlib.suppress(OSError):
                os.kill(pid, signal.SIGKILL)
        if process.poll() is None:
            process.kill()
            process.wait()
        shutil.rmtree(folder, ignore_errors=True)


@contextlib.contextmanager
def running_core_runtime(
    source: str | Mapping[str, str] | Path,
    *,
    age: str = "newest",
    language: str = "Python",
    name: str = "f",
    handler: str = "handler.handle",
    memory: int = 256,
    settings: Mapping[str, str | None] | None = None,
    launcher: str = "",
) -> Iterator[CoreRuntimeProcess]:
    """Like ``starting_core_runtime``, but wait until it listens."""
    with starting_core_runtime(
        source,
        age=age,
        language=language,
        name=name,
        handler=handler,
        memory=memory,
        settings=settings,
        launcher=launcher,
    ) as running:
        running.wait_until_listening()
        yield running
