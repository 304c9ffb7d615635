"""One zygote: a single-threaded interpreter of a runtime that forks an instance in about a millisecond.

There is one per resolved interpreter (decision 33).
"""

from __future__ import annotations

import asyncio
import os
import socket
import subprocess
from pathlib import Path
from typing import Final

from fnkit.platform.engine.forking import Forker, ForkObserver
from fnkit.platform.engine.isolation import Level

__all__ = ["Zygote"]

_BRIDGE: Final = Path(__file__).parent / "bridges" / "python.py"
_STOP_SECONDS: Final = 2.0


class Zygote(Forker):
    """The data plane's end. ``OSError`` from the constructor when the interpreter cannot be run."""

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
        ours, theirs = socket.socketpair()
        try:
            self._process = subprocess.Popen(
                [os.path.realpath(interpreter), "-I", "-S", _BRIDGE, str(theirs.fileno()), level.value, root],
                pass_fds=(theirs.fileno(),),
                stdin=subprocess.DEVNULL,
                cwd="/",
                env={"LANG": "C.UTF-8", "PATH": os.defpath},
            )
        except OSError:
            ours.close()
            raise
        finally:
            theirs.close()
        self._listen(ours)

    @property
    def pid(self) -> int:
        """The process that was started; its only child is the zygote where there are namespaces."""
        return self._process.pid

    def _destroy(self) -> None:
        self._process.kill()

    def _bury(self) -> None:
        try:
            self._process.wait(_STOP_SECONDS)
        except subprocess.TimeoutExpired:
            self._process.kill()
            self._process.wait()
