"""Clients of zygotes: ask for forks over a socket that carries numbers and descriptors.

A zygote is one process per interpreter, which forks a worker in about a millisecond. The messages are those of
``fnkit/worker/python/fork_server.py``. Settings never pass through this socket: a fork gets them over its own
(``forked_process``).
"""

from __future__ import annotations

import array
import asyncio
import contextlib
import os
import socket
import struct
import subprocess
from collections.abc import Sequence
from enum import Enum
from pathlib import Path
from typing import Final

from fnkit import worker

_MESSAGE: Final = struct.Struct("!4sIi")
_READY: Final = b"REDY"
_FORK: Final = b"FORK"
_FORK_FAILED: Final = b"FAIL"
_EXIT: Final = b"EXIT"
_KILL: Final = b"KILL"
_REPLY_TIMEOUT: Final = 15.0  # a zygote forks in a millisecond and starts in a tenth of a second
_STOP_TIMEOUT: Final = 2.0
_LAUNCH: Final = Path(worker.__file__).parent / "python" / "launch.py"
_OWNER_VARIABLE: Final = "FNKIT_DATA_PLANE"
"""Shows in /proc to which data plane a zygote and its forks belong. It is no variable of a handler."""


class Storage(Enum):
    """Where the root of an instance is written to. The values are those of ``fnkit/worker/sandbox/rootfs.py``."""

    READ_ONLY = 0
    MEMORY = 1
    DISK = 2


class ForkServerClient:
    """The data plane's end of a zygote.

    Attributes:
        moves_itself_to_cgroup: Whether forks can join their cgroups themselves.
        reply_timeout: Seconds after which a zygote that has not confirmed an order is considered stuck.
        lost: Done when the zygote ended without ``close``.
        storage: Where the roots of its forks are written to; of no meaning before the first fork.
    """

    moves_itself_to_cgroup = True
    reply_timeout = _REPLY_TIMEOUT

    def __init__(self, loop: asyncio.AbstractEventLoop, interpreter: str) -> None:
        self.interpreter = interpreter
        self.storage = Storage.READ_ONLY
        self.lost: asyncio.Future[None] = loop.create_future()
        self._loop = loop
        self._buffer = b""
        self._is_closed = False
        self._control: socket.socket | None = None
        self._exits: dict[int, asyncio.Future[int | None]] = {}  # of the forks that have not ended
        self._pending: set[tuple[bytes, int]] = set()  # orders that the zygote has not confirmed

    @property
    def is_closed(self) -> bool:
        """Whether the zygote has ended, and every fork of it."""
        return self._is_closed

    def request_fork(self, number: int, descriptors: Sequence[int]) -> asyncio.Future[int | None]:
        """Request a process that inherits these descriptors: its socket, stdout, stderr.

        The caller may close them at once: the kernel keeps those in flight open.

        Returns:
            Done when the process has ended, with its wait status; with ``None`` if the zygote could not fork, or
            has ended.
        """
        exited: asyncio.Future[int | None] = self._loop.create_future()
        if self._is_closed:
            exited.set_result(None)
            return exited
        self._exits[number] = exited
        self._expect_reply(_FORK, number)
        rights = array.array("i", descriptors)
        self._send(_FORK, number, [(socket.SOL_SOCKET, socket.SCM_RIGHTS, rights)])
        return exited

    def kill(self, number: int) -> None:
        """Kill a fork that has not ended."""
        if number in self._exits:
            self._expect_reply(_KILL, number)  # confirmed by the end of the process
            self._send(_KILL, number, [])

    def close(self) -> None:
        """End the zygote and every fork of it."""
        if self._is_closed:
            return
        self._is_closed = True
        if self._control is not None:
            self._loop.remove_reader(self._control.fileno())
            self._control.close()  # at the end of this socket, the zygote kills and reaps its forks and exits
        self._reap()
        # Their wait statuses are unknown: the zygote, which reaps them, has ended.
        for number in list(self._exits):
            self._set_exited(number, None)

    def _start_reading(self, control: socket.socket) -> None:
        control.settimeout(0)
        self._control = control
        self._loop.add_reader(control.fileno(), self._on_readable)

    def _expect_reply(self, kind: bytes, number: int) -> None:
        # The first order counts: repeating it must not give a stuck zygote more time.
        if (kind, number) not in self._pending:
            self._pending.add((kind, number))
            self._loop.call_later(self.reply_timeout, self._check_timeout, kind, number)

    def _check_timeout(self, kind: bytes, number: int) -> None:
        """Give up the zygote if an order is still unconfirmed, for example because its process is stopped."""
        if (kind, number) in self._pending and not self._is_closed:
            self._abandon()

    def _send(self, kind: bytes, number: int, ancillary: list[tuple[int, int, array.array[int]]]) -> None:
        if self._is_closed or self._control is None:
            return
        try:
            self._control.sendmsg([_MESSAGE.pack(kind, number, 0)], ancillary)
        except OSError:  # the zygote has ended, or its socket is full because it does not read
            self._abandon()

    def _abandon(self) -> None:
        """Kill the zygote without waiting for its socket to close."""
        self._kill()
        self._loop.call_soon(self._on_lost)  # not at once: the caller is in the middle of a fork or kill

    def _on_lost(self) -> None:
        if not self._is_closed:
            self.close()
            self.lost.set_result(None)

    def _on_readable(self) -> None:
        """Read until the socket would block, or is at its end.

        The end must be found in this call: when the other end was closed with messages of ours unread, uvloop calls
        once more and never again.
        """
        while not self._is_closed and self._control is not None:
            try:
                data = self._control.recv(65536)
            except BlockingIOError:
                return
            except OSError:
                data = b""
            if not data:
                self._on_lost()
                return
            self._parse(data)

    def _parse(self, data: bytes) -> None:
        self._buffer += data
        while len(self._buffer) >= _MESSAGE.size:
            kind, number, value = _MESSAGE.unpack(self._buffer[: _MESSAGE.size])
            self._buffer = self._buffer[_MESSAGE.size :]
            self._pending.discard((_FORK, number))
            if kind == _READY:
                with contextlib.suppress(ValueError):
                    self.storage = Storage(value)
            # A deployment zygote runs third-party code, so its messages are untrusted: it can report only its own
            # forks, and those only once.
            if kind in (_EXIT, _FORK_FAILED) and number in self._exits:
                self._pending.discard((_KILL, number))
                self._set_exited(number, value if kind == _EXIT else None)

    def _set_exited(self, number: int, status: int | None) -> None:
        exited = self._exits.pop(number)
        if not exited.done():  # cancelled with a task that waited for it
            exited.set_result(status)

    def _kill(self) -> None:
        """Kill a zygote that does not react."""
        raise NotImplementedError

    def _reap(self) -> None:
        """Make sure that the zygote ends and is reaped, after its socket was closed."""
        raise NotImplementedError


class InterpreterZygoteClient(ForkServerClient):
    """Starts the zygote of one interpreter and talks to it.

    Args:
        loop: The event loop.
        interpreter: The interpreter.
        settings: Its settings, as documents.

    Raises:
        OSError: The interpreter cannot be executed.
    """

    def __init__(self, loop: asyncio.AbstractEventLoop, interpreter: str, settings: bytes) -> None:
        super().__init__(loop, interpreter)
        control, zygote_end = socket.socketpair()
        try:
            control.sendall(settings)
            with _LAUNCH.open("rb") as program:
                self._process = subprocess.Popen(
                    # -I and -S: no environment variable, user directory or site package of the platform reaches a
                    # function. The real path: a virtual environment would be visible in sys.prefix. Handlers can
                    # read arguments and environment, so neither holds a path of the platform.
                    [os.path.realpath(interpreter), "-I", "-S", "-", str(zygote_end.fileno())],
                    pass_fds=(zygote_end.fileno(),),
                    stdin=program,
                    cwd="/",
                    env={"LANG": "C.UTF-8", "PATH": os.defpath, _OWNER_VARIABLE: str(os.getpid())},
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
        # Blocks the event loop, for milliseconds: a zygote without a control socket only kills its forks and exits,
        # and one that is stuck was killed before (``_abandon``).
        try:
            self._process.wait(_STOP_TIMEOUT)
        except subprocess.TimeoutExpired:
            self._process.kill()
            self._process.wait()
