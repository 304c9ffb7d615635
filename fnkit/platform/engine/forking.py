"""Client of a zygote: asks for forks over a socket that carries numbers and descriptors.

The messages are those of ``fnkit/worker/fork_server.py``. Settings never pass through this socket: an instance gets
them over a socket of its own. A zygote is one process per interpreter, which forks a worker in about a millisecond.
"""

from __future__ import annotations

import array
import asyncio
import socket
import struct
from typing import Final, Protocol

__all__ = ["ForkObserver", "Forker"]

_MESSAGE: Final = struct.Struct("!4sIi")
_FORK: Final = b"FORK"
_FORK_FAILED: Final = b"FAIL"
_EXIT: Final = b"EXIT"
_KILL: Final = b"KILL"
_STUCK_SECONDS: Final = 15.0  # a zygote forks in a millisecond and starts in a tenth of a second


class ForkObserver(Protocol):
    """Receives what a zygote reports."""

    def instance_exited(self, number: int, status: int) -> None:
        """An instance has ended with this wait status."""

    def instance_not_forked(self, number: int, error: int) -> None:
        """A fork failed with this ``errno``."""

    def zygote_lost(self, zygote: Forker) -> None:
        """The zygote has ended by itself, and all its instances with it."""


class Forker:
    """The data plane's end of a zygote.

    Attributes:
        moves_itself_to_cgroup: Whether forks can join their cgroups themselves.
        reply_timeout: Seconds after which a zygote that has not confirmed an order is considered stuck.
    """

    joins_itself = True
    stuck_seconds = _STUCK_SECONDS

    def __init__(self, loop: asyncio.AbstractEventLoop, interpreter: str, observer: ForkObserver) -> None:
        self.interpreter = interpreter
        self._loop = loop
        self._observer = observer
        self._buffer = b""
        self._closed = False
        self._control: socket.socket | None = None
        self._living: set[int] = set()
        self._unheard: set[tuple[bytes, int]] = set()  # orders that the zygote has not confirmed

    def _listen(self, control: socket.socket) -> None:
        control.settimeout(0)
        self._control = control
        self._loop.add_reader(control.fileno(), self._hear)

    @property
    def closed(self) -> bool:
        """Whether the zygote has ended, and every instance of it."""
        return self._closed

    def holds(self, number: int) -> bool:
        """Return whether this instance was requested and has not ended."""
        return number in self._living

    def fork(self, number: int, descriptors: list[int]) -> None:
        """Request an instance that inherits these descriptors: its socket, stdout, stderr.

        The caller may close them at once: the kernel keeps those in flight open.
        """
        rights = array.array("i", descriptors)
        self._living.add(number)
        self._expect(_FORK, number)
        self._say(_FORK, number, [(socket.SOL_SOCKET, socket.SCM_RIGHTS, rights)])

    def kill(self, number: int) -> None:
        """Kill an instance that has not ended."""
        if number in self._living:
            self._expect(_KILL, number)
            self._say(_KILL, number, [])

    def _expect(self, kind: bytes, number: int) -> None:
        if (kind, number) not in self._unheard:
            self._unheard.add((kind, number))
            self._loop.call_later(self.stuck_seconds, self._suspect, kind, number)

    def _suspect(self, kind: bytes, number: int) -> None:
        """Give up the zygote if an order is still unconfirmed, for example because its process is stopped."""
        if (kind, number) in self._unheard and not self._closed:
            self._give_up()

    def _say(self, kind: bytes, number: int, ancillary: list[tuple[int, int, array.array[int]]]) -> None:
        if self._closed or self._control is None:
            return
        try:
            self._control.sendmsg([_MESSAGE.pack(kind, number, 0)], ancillary)
        except OSError:  # the zygote has ended, or its socket is full because it does not read
            self._give_up()

    def _give_up(self) -> None:
        """Kill the zygote without waiting for its socket to close."""
        self._destroy()
        # Not at once: the caller is in the middle of a fork or kill, and observers change its tables.
        self._loop.call_soon(self._lose)

    def _lose(self) -> None:
        if not self._closed:
            self.close()
            self._observer.zygote_lost(self)

    def _hear(self) -> None:
        """Read until the socket would block, or is at its end.

        The end must be found in this call: when the other end was closed with messages of ours unread, uvloop calls
        once more and never again.
        """
        while not self._closed and self._control is not None:
            try:
                data = self._control.recv(65536)
            except BlockingIOError:
                return
            except OSError:
                data = b""
            if not data:
                self._lose()
                return
            self._take(data)

    def _take(self, data: bytes) -> None:
        self._buffer += data
        while len(self._buffer) >= _MESSAGE.size:
            kind, number, value = _MESSAGE.unpack(self._buffer[: _MESSAGE.size])
            self._buffer = self._buffer[_MESSAGE.size :]
            self._unheard.discard((_FORK, number))
            # A deployment zygote runs third-party code, so its messages are untrusted: it can report only its own
            # forks, and those only once.
            if kind not in (_EXIT, _FORK_FAILED) or number not in self._living:
                continue
            self._living.discard(number)
            self._unheard.discard((_KILL, number))
            self._forget(number)
            if kind == _EXIT:
                self._observer.instance_exited(number, value)
            else:
                self._observer.instance_not_forked(number, value)

    def _forget(self, number: int) -> None:
        """An instance has ended; for subclasses that count them."""

    def close(self) -> None:
        """End the zygote and every instance of it."""
        if self._closed:
            return
        self._closed = True
        if self._control is not None:
            self._loop.remove_reader(self._control.fileno())
            self._control.close()  # tells the zygote to kill and reap its instances, and to exit
        self._bury()

    def _destroy(self) -> None:
        """Kill a zygote that does not react."""
        raise NotImplementedError

    def _bury(self) -> None:
        """Make sure that the zygote ends and is reaped, after its socket was closed."""
        raise NotImplementedError
