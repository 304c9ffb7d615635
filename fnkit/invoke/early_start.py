"""Starts the process of a handler before the project is read, with what was known of the function the last time.

Reading a project and importing the packages of its handler take about the same time. The record of a function is a
file in the user's cache. It holds no value of a secret, and nothing depends on it: a process that was started with
another interpreter, or other variables, than the function has now is not used.
"""

from __future__ import annotations

import json
import os
from collections.abc import Iterator, Mapping
from contextlib import contextmanager, suppress
from pathlib import Path
from tempfile import TemporaryDirectory

from fnkit.errors import InvokeError
from fnkit.invoke.handler_connection import HandlerConnection, HandlerProcessEnded
from fnkit.invoke.handler_process import HandlerProcess, LineCallback


class HandlerStart:
    """The process of a handler, which may have been started early.

    Args:
        record: The file with what was known the last time.
        home: The empty directory in which the handler runs.
        has_terminal: Whether the process gets the terminal, for a debugger.
    """

    def __init__(self, record: Path, home: str, *, has_terminal: bool) -> None:
        self.home = home
        self._record = record
        self._has_terminal = has_terminal
        self._early = self._start_early()
        self._connected: HandlerProcess | None = None

    def _start_early(self) -> HandlerProcess | None:
        try:
            python, known = json.loads(self._record.read_bytes())
            known["environment"]["HOME"] = self.home
            return HandlerProcess(python, known, has_terminal=self._has_terminal)
        except (OSError, ValueError, TypeError, KeyError, InvokeError):
            return None

    @contextmanager
    def connect(
        self, python: str, settings: Mapping[str, object], on_line: LineCallback | None
    ) -> Iterator[HandlerConnection]:
        """Connect to a process that has loaded the handler, or has failed to; end it afterwards.

        Args:
            python: The interpreter of the process.
            settings: See ``fnkit/worker/python/local.py``.
            on_line: Called with each line that the process prints, from another thread.

        Raises:
            InvokeError: ``invoke-start``: no process could be started.
            HandlerProcessEnded: The process exited while it loaded the handler.
        """
        process, self._early = self._early, None
        connection = None
        try:
            if process is not None and process.python == python and not settings["command"]:
                with suppress(InvokeError, HandlerProcessEnded):
                    connection = process.connect(settings, on_line)
            if connection is None:
                if process is not None:
                    process.end()
                process = HandlerProcess(python, None, has_terminal=self._has_terminal)
                connection = process.connect(settings, on_line)
                self._write(python, settings)
            if connection is None or process is None:
                raise AssertionError("a process without early imports accepts its settings")
            self._connected = process
            yield connection
            process.finish()
        finally:
            if process is not None:
                process.end()

    def _write(self, python: str, settings: Mapping[str, object]) -> None:
        """Keep what is known of a Python function for the next time. Without the file, nothing starts early."""
        environment, secrets = settings["environment"], settings["secrets"]
        is_python = not settings["command"] and settings["preload"]
        if not (is_python and isinstance(environment, dict) and isinstance(secrets, list)):
            return
        visible = {name: value for name, value in environment.items() if name not in secrets}
        known = {
            "handler": settings["user_handler"],  # an entry module is no file of the project
            "root": settings["root"],
            "included": settings["included"],
            "environment": visible,
            "secrets": secrets,
        }
        temporary = self._record.with_name(f"{self._record.name}.{os.getpid()}.new")
        with suppress(OSError):
            self._record.parent.mkdir(mode=0o700, parents=True, exist_ok=True)
            temporary.write_text(json.dumps([python, known]))
            temporary.replace(self._record)

    def peak_memory(self) -> int | None:
        """Return the most memory that the connected process has used, in bytes; ``None`` if it is not known."""
        return None if self._connected is None else self._connected.peak_memory()

    def close(self) -> None:
        """End a process that nobody needed."""
        if self._early is not None:
            self._early.end()
            self._early = None


@contextmanager
def handler_start(record: Path, *, has_terminal: bool) -> Iterator[HandlerStart]:
    """Start the process of a handler early, if its function is known; end it at the end.

    Args:
        record: The file with what was known the last time.
        has_terminal: Whether the process gets the terminal, for a debugger.
    """
    with TemporaryDirectory(prefix="fnkit-invoke-") as home:
        start = HandlerStart(record, home, has_terminal=has_terminal)
        try:
            yield start
        finally:
            start.close()
