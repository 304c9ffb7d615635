"""The child process that runs one handler, and what it prints."""

from __future__ import annotations

import json
import os
import secrets
import socket
import subprocess
import sys
import threading
from collections.abc import Callable, Mapping
from contextlib import suppress
from pathlib import Path
from typing import IO, Final, TypeAlias

from fnkit import worker
from fnkit.errors import InvokeError
from fnkit.invoke.handler_connection import HandlerConnection, accept_handler
from fnkit.invoke.peak_memory import peak_memory

LineCallback: TypeAlias = Callable[[str], None]

_LAUNCH: Final = Path(worker.__file__).parent / "python" / "launch.py"
_EXIT_SECONDS: Final = 1.0


class HandlerProcess:
    """A process that waits for the settings of a handler.

    Args:
        python: Its interpreter.
        known: What it can already import packages for, or ``None``: see ``fnkit/worker/python/early_imports.py``.
        has_terminal: Whether it gets the terminal, for a debugger. Otherwise its lines are read.

    Raises:
        InvokeError: ``invoke-start``: it could not be started.
    """

    def __init__(self, python: str, known: Mapping[str, object] | None, *, has_terminal: bool) -> None:
        self.python = python
        self._connection: HandlerConnection | None = None
        self._reader: threading.Thread | None = None
        self._lines = _Lines()
        reading, writing = os.pipe()
        # Without bytecode (-B): it is compared by size and second, and an edit may change neither.
        try:
            self._child = subprocess.Popen(
                [python, "-I", "-B", "-u", str(_LAUNCH), "local", str(reading)],
                stdin=None if has_terminal else subprocess.DEVNULL,
                stdout=sys.stderr.fileno() if has_terminal else subprocess.PIPE,
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
        self._settings: IO[bytes] = os.fdopen(writing, "wb", buffering=0)
        self._write(json.dumps(known).encode() + b"\n")

    def _write(self, data: bytes) -> None:
        with suppress(BrokenPipeError):  # an exit is noticed when the process should connect
            while data:
                data = data[self._settings.write(data) or 0 :]

    def connect(self, settings: Mapping[str, object], on_line: LineCallback | None) -> HandlerConnection | None:
        """Send the settings, and wait until the handler is loaded, or its import has failed.

        Args:
            settings: See ``fnkit/worker/python/local.py``.
            on_line: Called with each line that it has printed and prints, from another thread.

        Returns:
            ``None`` if the process must not be used, because of what it has imported. Its lines are dropped.

        Raises:
            InvokeError: ``invoke-start``: it exited before.
            HandlerProcessEnded: It exited while it loaded the handler.
        """
        if self._child.stdout is not None:
            self._reader = threading.Thread(target=self._lines.read, args=(self._child.stdout,), daemon=True)
            self._reader.start()
        with socket.create_server(("127.0.0.1", 0), backlog=8) as listener:
            token = secrets.token_hex(32)
            document = {**settings, "port": listener.getsockname()[1], "token": token}
            self._write(json.dumps(document).encode())
            self._settings.close()
            self._connection = accept_handler(listener, token, lambda: self._child.poll() is None)
        if self._connection is None:
            raise InvokeError("The handler's process exited before it accepted a request.", code="invoke-start")
        if not self._connection.accepts_settings():
            return None
        self._lines.pass_on(on_line)
        self._connection.wait_until_ready()
        return self._connection

    def peak_memory(self) -> int | None:
        """Return the most memory that it has used, in bytes; ``None`` if it is not known or it has ended."""
        return peak_memory(self._child.pid)

    def finish(self) -> None:
        """Let the process end by itself for a moment: exit handlers may print lines too.

        A process that the handler started may keep the pipe open, so end of file may never come; lines printed
        until then are enough.
        """
        if self._connection is not None:
            self._connection.close()
        with suppress(subprocess.TimeoutExpired):
            if self._reader is not None:
                self._reader.join(timeout=_EXIT_SECONDS)
            else:
                self._child.wait(_EXIT_SECONDS)

    def end(self) -> None:
        """Kill the process if it still runs."""
        self._settings.close()
        if self._connection is not None:
            self._connection.close()
        self._child.kill()
        self._child.wait()
        if self._reader is not None:
            self._reader.join(timeout=_EXIT_SECONDS)


class _Lines:
    """The lines of a process, which are kept until it is known whether they count."""

    def __init__(self) -> None:
        self._lock = threading.Lock()
        self._kept: list[str] = []
        self._on_line: LineCallback | None = None

    def read(self, stream: IO[bytes]) -> None:
        """Read to the end of the output."""
        with stream:
            for line in stream:
                self._add(line.decode(errors="replace").rstrip("\r\n"))

    def _add(self, line: str) -> None:
        with self._lock:
            if self._on_line is None:
                self._kept.append(line)
            else:
                self._on_line(line)

    def pass_on(self, on_line: LineCallback | None) -> None:
        """Pass on the kept lines, and those that follow."""
        with self._lock:
            self._on_line = on_line
            if on_line is not None:
                for line in self._kept:
                    on_line(line)
            self._kept.clear()
