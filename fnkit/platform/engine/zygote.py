"""One zygote: a single-threaded interpreter of a runtime that forks an instance in about a millisecond.

There is one per resolved interpreter (decision 33). It hears numbers and descriptors, never settings: what
travels to an instance goes over the instance's own socket. Its messages are those of ``bridges/python.py``.
"""

from __future__ import annotations

import array
import asyncio
import os
import socket
import struct
import subprocess
from pathlib import Path
from typing import Final, Protocol

from fnkit.platform.engine.isolation import Level

__all__ = ["Zygote", "ZygoteObserver"]

_MESSAGE: Final = struct.Struct("!4sIi")
_BRIDGE: Final = Path(__file__).parent / "bridges" / "python.py"
_STOP_SECONDS: Final = 2.0


class ZygoteObserver(Protocol):
    """Who hears what became of instances."""

    def instance_exited(self, number: int, status: int) -> None:
        """The instance ended with this wait status."""

    def instance_not_forked(self, number: int, error: int) -> None:
        """The kernel refused a fork; ``error`` is an errno."""

    def zygote_lost(self, zygote: Zygote) -> None:
        """The zygote ended, and with it all its instances."""


class Zygote:
    """The data plane's end. ``OSError`` from the constructor when the interpreter cannot be run."""

    def __init__(
        self,
        loop: asyncio.AbstractEventLoop,
        interpreter: str,
        level: Level,
        root: Path,
        observer: ZygoteObserver,
    ) -> None:
        self.interpreter = interpreter
        self._loop = loop
        self._observer = observer
        self._buffer = b""
        self._closed = False
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
        ours.settimeout(0)
        self._control = ours
        loop.add_reader(ours.fileno(), self._hear)

    @property
    def pid(self) -> int:
        """The process that was started; its only child is the zygote where there are namespaces."""
        return self._process.pid

    @property
    def closed(self) -> bool:
        """Whether it has ended, and with it every instance it was asked for."""
        return self._closed

    def fork(self, number: int, descriptors: list[int]) -> None:
        """Ask for an instance that gets these descriptors: its socket, stdout, stderr."""
        rights = array.array("i", descriptors)
        self._say(b"FORK", number, [(socket.SOL_SOCKET, socket.SCM_RIGHTS, rights)])

    def kill(self, number: int) -> None:
        """End an instance, if it has not ended."""
        self._say(b"KILL", number, [])

    def _say(self, kind: bytes, number: int, ancillary: list[tuple[int, int, array.array[int]]]) -> None:
        if self._closed:
            return
        try:
            self._control.sendmsg([_MESSAGE.pack(kind, number, 0)], ancillary)
        except OSError:  # ended, or stopped listening while thousands of messages piled up: useless either way
            self._process.kill()

    def _hear(self) -> None:
        try:
            data = self._control.recv(65536)
        except BlockingIOError:
            return
        except OSError:
            data = b""
        if not data:
            self.close()
            self._observer.zygote_lost(self)
            return
        self._buffer += data
        while len(self._buffer) >= _MESSAGE.size:
            kind, number, value = _MESSAGE.unpack(self._buffer[: _MESSAGE.size])
            self._buffer = self._buffer[_MESSAGE.size :]
            if kind == b"EXIT":
                self._observer.instance_exited(number, value)
            elif kind == b"LOST":
                self._observer.instance_not_forked(number, value)

    def close(self) -> None:
        """End the zygote and every instance of it."""
        if self._closed:
            return
        self._closed = True
        self._loop.remove_reader(self._control.fileno())
        self._control.close()  # it ends its instances, buries them and itself
        try:
            self._process.wait(_STOP_SECONDS)
        except subprocess.TimeoutExpired:
            self._process.kill()
            self._process.wait()
