"""The data plane's end of anything that forks instances: a socket on which numbers and descriptors travel.

Its messages are those of ``bridges/forking.py``. No setting is ever among them: what travels to an instance goes
over the instance's own socket.
"""

from __future__ import annotations

import array
import asyncio
import socket
import struct
from typing import Final, Protocol

__all__ = ["ForkObserver", "Forker"]

_MESSAGE: Final = struct.Struct("!4sIi")
_STUCK_SECONDS: Final = 15.0  # a zygote forks in a millisecond, and starts in a tenth of a second


class ForkObserver(Protocol):
    """Who hears what became of instances."""

    def instance_exited(self, number: int, status: int) -> None:
        """The instance ended with this wait status."""

    def instance_not_forked(self, number: int, error: int) -> None:
        """The kernel refused a fork; ``error`` is an errno."""

    def zygote_lost(self, zygote: Forker) -> None:
        """The zygote ended, and with it all its instances."""


class Forker:
    """A zygote as its users see it. ``joins_itself``: its forks can reach their control groups and join them."""

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
        self._unheard: set[tuple[bytes, int]] = set()  # what it was asked to do, and has not done

    def _listen(self, control: socket.socket) -> None:
        control.settimeout(0)
        self._control = control
        self._loop.add_reader(control.fileno(), self._hear)

    @property
    def closed(self) -> bool:
        """Whether it has ended, and with it every instance it was asked for."""
        return self._closed

    def holds(self, number: int) -> bool:
        """Whether an instance was asked for and has not ended."""
        return number in self._living

    def fork(self, number: int, descriptors: list[int]) -> None:
        """Ask for an instance that gets these descriptors: its socket, stdout, stderr."""
        rights = array.array("i", descriptors)
        self._living.add(number)
        self._expect(b"FORK", number)
        self._say(b"FORK", number, [(socket.SOL_SOCKET, socket.SCM_RIGHTS, rights)])

    def kill(self, number: int) -> None:
        """End an instance, if it has not ended."""
        if number in self._living:
            self._expect(b"KILL", number)
            self._say(b"KILL", number, [])

    def _expect(self, kind: bytes, number: int) -> None:
        if (kind, number) not in self._unheard:
            self._unheard.add((kind, number))
            self._loop.call_later(self.stuck_seconds, self._suspect, kind, number)

    def _suspect(self, kind: bytes, number: int) -> None:
        """It was asked for something long ago: a zygote that does not listen is of no use to anybody."""
        if (kind, number) in self._unheard and not self._closed:
            self._give_up()

    def _say(self, kind: bytes, number: int, ancillary: list[tuple[int, int, array.array[int]]]) -> None:
        if self._closed or self._control is None:
            return
        try:
            self._control.sendmsg([_MESSAGE.pack(kind, number, 0)], ancillary)
        except OSError:  # ended, or stopped listening while thousands of messages piled up: useless either way
            self._give_up()

    def _give_up(self) -> None:
        """End it, and do not wait for its socket to say so."""
        self._destroy()
        self._loop.call_soon(self._lose)

    def _lose(self) -> None:
        if not self._closed:
            self.close()
            self._observer.zygote_lost(self)

    def _hear(self) -> None:
        """Take everything, to the end if it has come.

        When the other end was closed with something of ours unread, uvloop calls once more and never again.
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
            self._unheard.discard((b"FORK", number))
            if kind not in (b"EXIT", b"LOST") or number not in self._living:
                continue  # a zygote that holds strangers' modules may say anything, but only of its own forks
            self._living.discard(number)
            self._unheard.discard((b"KILL", number))
            self._forget(number)
            if kind == b"EXIT":
                self._observer.instance_exited(number, value)
            else:
                self._observer.instance_not_forked(number, value)

    def _forget(self, number: int) -> None:
        """This instance is over."""

    def close(self) -> None:
        """End the zygote and every instance of it."""
        if self._closed:
            return
        self._closed = True
        if self._control is not None:
            self._loop.remove_reader(self._control.fileno())
            self._control.close()  # it ends its instances, buries them and itself
        self._bury()

    def _destroy(self) -> None:
        """End it although it does not listen."""
        raise NotImplementedError

    def _bury(self) -> None:
        """Its socket is closed: see to it that it ends."""
        raise NotImplementedError
