"""The zygote of an interpreter, as the data plane sees it: a child process that forks workers."""

from __future__ import annotations

import asyncio
import os
import socket
import subprocess
from pathlib import Path
from typing import Final

from fnkit.platform.engine.forking import ForkServerClient, ForkObserver
from fnkit.platform.engine.isolation import Level

__all__ = ["InterpreterZygoteClient"]

_WORKER_PROGRAM: Final = Path(__file__).parent / "bridges" / "python.py"
_STOP_TIMEOUT: Final = 2.0


class InterpreterZygoteClient(ForkServerClient):
    """Starts the zygote of one interpreter and talks to it.

    Raises:
        OSError: The interpreter cannot be executed.
    """

    def __init__(
        self,
        loop: asyncio.AbstractEventLoop,
        interpreter: str,
        level: Level,
        root: Path,
        observer: ForkObserver,
    ) -> None:
        super().__init__(loop, interpreter, observer)
        root.mkdir(mode=0o700, exist_ok=True)
        control, zygote_end = socket.socketpair()
        try:
            self._process = subprocess.Popen(
                # -I and -S: no environment variable, user directory or site package of the platform reaches a
                # function. The real path: a virtual environment would be visible in sys.prefix.
                [
                    os.path.realpath(interpreter),
                    "-I",
                    "-S",
                    _WORKER_PROGRAM,
                    str(zygote_end.fileno()),
                    level.value,
                    root,
                ],
                pass_fds=(zygote_end.fileno(),),
                stdin=subprocess.DEVNULL,
                cwd="/",
                env={"LANG": "C.UTF-8", "PATH": os.defpath},
            )
        except OSError:
            control.close()
            raise
        finally:
            zygote_end.close()
        self._start_reading(control)

    @property
    def pid(self) -> int:
        """The process that was started. Where there are namespaces, its only child is the zygote."""
        return self._process.pid

    def _kill(self) -> None:
        self._process.kill()

    def _reap(self) -> None:
        try:
            self._process.wait(_STOP_TIMEOUT)
        except subprocess.TimeoutExpired:
            self._process.kill()
            self._process.wait()
