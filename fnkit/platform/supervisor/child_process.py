"""A child process of the supervisor: started, logged, and restarted with backoff when it ends."""

from __future__ import annotations

import asyncio
import codecs
import contextlib
import os
import signal
import sys
from collections.abc import Callable, Mapping
from datetime import UTC, datetime
from typing import Final

from fnkit.contract.text import escape_control_characters
from fnkit.platform.rotating_log import RotatingLogFile

_MIN_RESTART_DELAY: Final = 0.1
_MAX_RESTART_DELAY: Final = 10.0
_STABLE_SECONDS: Final = 30.0
_READ_BYTES: Final = 65536


class ChildProcess:
    """Keeps one of the platform's modules running in a process.

    Args:
        name: The name in logs and in ``fnkit platform status``.
        module: The module that the process runs.
        settings: JSON for its standard input. Secrets are passed only here, since arguments and environment are
            visible to other processes.
        environment: The environment of the process.
        descriptors: Descriptors that the process inherits, with the same numbers.
        output_log: Receives the output of the process.
        supervisor_log: Receives messages about starts and ends.
        on_change: Called with the pid after a start, and with 0 after an end.
    """

    def __init__(
        self,
        name: str,
        module: str,
        *,
        settings: bytes,
        environment: Mapping[str, str],
        descriptors: tuple[int, ...],
        output_log: RotatingLogFile,
        supervisor_log: RotatingLogFile,
        on_change: Callable[[int], None],
    ) -> None:
        self.name = name
        self.crashes = 0
        self._module = module
        self._settings = settings
        self._environment = environment
        self._descriptors = descriptors
        self._output_log = output_log
        self._supervisor_log = supervisor_log
        self._on_change = on_change
        self._process: asyncio.subprocess.Process | None = None
        self._stop_requested = asyncio.Event()

    async def run(self, *, on_demand: bool = False) -> None:
        """Run the process until ``stop`` is called, and restart it when it ends.

        The delay doubles with each restart, and starts over after a run that was long enough.

        Args:
            on_demand: Whether the first start waits for a connection to one of the descriptors, which are listening
                sockets. The connection waits until the process accepts it.
        """
        loop = asyncio.get_running_loop()
        delay = _MIN_RESTART_DELAY
        if on_demand:
            await self._wait_for_connection()
        while not self._stop_requested.is_set():
            began = loop.time()
            code = await self._run_once()
            if self._stop_requested.is_set():
                return
            self.crashes += 1
            if loop.time() - began > _STABLE_SECONDS:
                delay = _MIN_RESTART_DELAY
            self._log_event(f"ended ({_exit_description(code)}); restarting in {delay:g} s")
            with contextlib.suppress(TimeoutError):
                await asyncio.wait_for(self._stop_requested.wait(), timeout=delay)
            delay = min(delay * 2, _MAX_RESTART_DELAY)

    def stop(self, number: signal.Signals) -> None:
        """Send SIGTERM or SIGKILL, and do not restart."""
        self._stop_requested.set()
        self._send_signal(number)

    async def _wait_for_connection(self) -> None:
        """Wait until a client connects, or ``stop`` is called."""
        loop = asyncio.get_running_loop()
        connected = asyncio.Event()
        for descriptor in self._descriptors:
            loop.add_reader(descriptor, connected.set)
        waiting = [asyncio.create_task(event.wait()) for event in (connected, self._stop_requested)]
        try:
            await asyncio.wait(waiting, return_when=asyncio.FIRST_COMPLETED)
        finally:
            for descriptor in self._descriptors:
                loop.remove_reader(descriptor)
            for task in waiting:
                task.cancel()

    async def _run_once(self) -> int:
        process = await asyncio.create_subprocess_exec(
            sys.executable,
            "-P",  # keeps the current directory off sys.path, where a file could shadow a module
            "-m",
            "fnkit.platform.supervisor.child",
            str(os.getpid()),
            self._module,
            stdin=asyncio.subprocess.PIPE,
            stdout=asyncio.subprocess.PIPE,
            stderr=asyncio.subprocess.STDOUT,
            env=dict(self._environment),
            pass_fds=self._descriptors,
            start_new_session=True,  # Ctrl-C in a terminal must reach only the supervisor, which stops all in order
        )
        self._process = process
        self._on_change(process.pid)
        self._log_event(f"started, pid {process.pid}")
        # A stop requested while the process was being created had no process to signal.
        if self._stop_requested.is_set():
            self._send_signal(signal.SIGTERM)
        try:
            await asyncio.gather(self._send_settings(process), self._collect_output(process))
            return await process.wait()
        finally:
            self._process = None
            self._on_change(0)

    async def _send_settings(self, process: asyncio.subprocess.Process) -> None:
        if process.stdin is None:
            return
        # If the process dies before it has read its settings, its exit code is handled as usual.
        with contextlib.suppress(ConnectionError, BrokenPipeError):
            process.stdin.write(self._settings)
            await process.stdin.drain()
        process.stdin.close()

    async def _collect_output(self, process: asyncio.subprocess.Process) -> None:
        """Copy the output to the log until the process ends.

        Waiting for the end of the pipe instead could take forever: children of the process may keep it open.
        """
        if process.stdout is None:
            return
        copying = asyncio.create_task(self._copy_output(process.stdout))
        await process.wait()
        with contextlib.suppress(TimeoutError):
            await asyncio.wait_for(copying, timeout=1.0)

    async def _copy_output(self, stream: asyncio.StreamReader) -> None:
        decoder = codecs.getincrementaldecoder("utf-8")("backslashreplace")
        while chunk := await stream.read(_READ_BYTES):
            self._output_log.write(escape_control_characters(decoder.decode(chunk), multiline=True).encode())

    def _send_signal(self, number: signal.Signals) -> None:
        if self._process is not None:
            with contextlib.suppress(ProcessLookupError):
                self._process.send_signal(number)

    def _log_event(self, text: str) -> None:
        self._supervisor_log.write(f"{datetime.now(UTC):%Y-%m-%dT%H:%M:%SZ} {self.name} {text}\n".encode())


def _exit_description(exit_code: int) -> str:
    if exit_code < 0:
        with contextlib.suppress(ValueError):
            return f"killed by {signal.Signals(-exit_code).name}"
    return f"exit code {exit_code}"
