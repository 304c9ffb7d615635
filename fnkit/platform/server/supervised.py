"""One process under supervision: started, its words kept, started again when it ends."""

from __future__ import annotations

import asyncio
import contextlib
import os
import signal
import sys
from collections.abc import Callable, Mapping
from datetime import UTC, datetime
from typing import Final

from fnkit.platform.server.platform_log import PlatformLog

__all__ = ["Supervised"]

_FIRST_DELAY: Final = 0.1
_LONGEST_DELAY: Final = 10.0
_LIVED_WELL: Final = 30.0
_CHUNK: Final = 65536


class Supervised:
    """Keeps one of the platform's modules running.

    name: in logs and in ``status``. settings: the JSON that the process reads on standard input; it is the
    only place where the process' secrets are, so they stand in no argument and no environment.
    log: keeps its words. journal: keeps the supervisor's own.
    on_change: called with the new pid, 0 when it ended.
    """

    def __init__(
        self,
        name: str,
        module: str,
        *,
        settings: bytes,
        environment: Mapping[str, str],
        log: PlatformLog,
        journal: PlatformLog,
        on_change: Callable[[int], None],
    ) -> None:
        self.name = name
        self.deaths = 0
        self._module = module
        self._settings = settings
        self._environment = environment
        self._log = log
        self._journal = journal
        self._on_change = on_change
        self._process: asyncio.subprocess.Process | None = None
        self._stopping = asyncio.Event()

    async def keep(self) -> None:
        """Run it, again and again, until ``end`` is called. A short life makes the next wait longer."""
        loop = asyncio.get_running_loop()
        delay = _FIRST_DELAY
        while not self._stopping.is_set():
            began = loop.time()
            code = await self._run()
            if self._stopping.is_set():
                return
            self.deaths += 1
            if loop.time() - began > _LIVED_WELL:
                delay = _FIRST_DELAY
            self._say(f"ended ({_ending(code)}); starts again in {delay:g} s")
            with contextlib.suppress(TimeoutError):
                await asyncio.wait_for(self._stopping.wait(), timeout=delay)
            delay = min(delay * 2, _LONGEST_DELAY)

    def end(self) -> None:
        """Ask it to finish what it holds and to end."""
        self._stopping.set()
        self._signal(signal.SIGTERM)

    def kill(self) -> None:
        """End it now."""
        self._stopping.set()
        self._signal(signal.SIGKILL)

    async def _run(self) -> int:
        process = await asyncio.create_subprocess_exec(
            sys.executable,
            "-P",  # the user's folder must not shadow a module of ours
            "-m",
            "fnkit.platform.server.attached",
            str(os.getpid()),
            self._module,
            stdin=asyncio.subprocess.PIPE,
            stdout=asyncio.subprocess.PIPE,
            stderr=asyncio.subprocess.STDOUT,
            env=dict(self._environment),
            start_new_session=True,  # Ctrl-C in a terminal is the supervisor's to handle
        )
        self._process = process
        self._on_change(process.pid)
        self._say(f"started, pid {process.pid}")
        if self._stopping.is_set():
            self._signal(signal.SIGTERM)
        try:
            await asyncio.gather(self._tell(process), self._listen(process))
            return await process.wait()
        finally:
            self._process = None
            self._on_change(0)

    async def _tell(self, process: asyncio.subprocess.Process) -> None:
        if process.stdin is None:
            return
        # A process that dies while it is told its settings is seen by its exit code.
        with contextlib.suppress(ConnectionError, BrokenPipeError):
            process.stdin.write(self._settings)
            await process.stdin.drain()
        process.stdin.close()

    async def _listen(self, process: asyncio.subprocess.Process) -> None:
        """Keep its words until it ends. What it started may hold the pipe longer, so the end is its own."""
        if process.stdout is None:
            return
        words = asyncio.create_task(self._copy(process.stdout))
        await process.wait()
        with contextlib.suppress(TimeoutError):
            await asyncio.wait_for(words, timeout=1.0)

    async def _copy(self, stream: asyncio.StreamReader) -> None:
        while chunk := await stream.read(_CHUNK):
            self._log.write(chunk)

    def _signal(self, number: signal.Signals) -> None:
        if self._process is not None:
            with contextlib.suppress(ProcessLookupError):
                self._process.send_signal(number)

    def _say(self, text: str) -> None:
        self._journal.write(f"{datetime.now(UTC):%Y-%m-%dT%H:%M:%SZ} {self.name} {text}\n".encode())


def _ending(code: int) -> str:
    if code < 0:
        with contextlib.suppress(ValueError):
            return f"killed by {signal.Signals(-code).name}"
    return f"exit code {code}"
