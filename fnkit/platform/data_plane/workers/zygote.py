"""Client of a zygote: asks for forks over a socket that carries numbers and descriptors.

A zygote is one process per interpreter, which forks a worker in about a millisecond. ``fork_process`` goes through
these steps:

1. A socket pair and two pipes are opened, and their other ends are sent with a ``FORK`` message. The messages are
   those of ``fnkit/worker/python/fork_server.py``.
2. The fork sends one byte over its socket, to which the kernel attaches its process id.
3. The fork is added to its cgroups, or is told which ones to join.
4. The caller gets a ``ForkedProcess``. Its ``exited`` is done when the zygote has reaped it.

Settings never pass through the zygote's socket: a fork gets them over its own.
"""

from __future__ import annotations

import array
import asyncio
import contextlib
import errno
import os
import socket
import struct
import subprocess
import sys
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Final

import msgspec

from fnkit import worker
from fnkit.platform.data_plane.workers.isolation import InstanceGroups, Level
from fnkit.platform.model.log_record import LogStream

__all__ = ["ForkServerClient", "ForkedProcess", "InterpreterZygoteClient", "encode_document", "fork_process"]

_MESSAGE: Final = struct.Struct("!4sIi")
_FORK: Final = b"FORK"
_FORK_FAILED: Final = b"FAIL"
_EXIT: Final = b"EXIT"
_KILL: Final = b"KILL"
_UCRED: Final = struct.Struct("3i")  # ucred: process, user, group
_REPLY_TIMEOUT: Final = 15.0  # a zygote forks in a millisecond and starts in a tenth of a second
_STOP_TIMEOUT: Final = 2.0
_LAUNCH: Final = Path(worker.__file__).parent / "python" / "launch.py"


@dataclass(slots=True, kw_only=True, eq=False)
class ForkedProcess:
    """A process that a zygote has forked.

    Attributes:
        number: Its number among all processes that were requested from zygotes.
        zygote: The zygote that forked it.
        groups: Its cgroups.
        pid: In the PID namespace of the data plane; 0 if the kernel does not report it.
        connection: The data plane's end of its socket, not blocking.
        outputs: The read ends of the pipes of its stdout and stderr.
        exited: Its wait status once it was reaped; ``None`` if its zygote has ended.
        host_directory: Its directory on the machine's disk, if it has one.
    """

    number: int
    zygote: ForkServerClient
    groups: InstanceGroups | None
    pid: int
    connection: socket.socket
    outputs: tuple[int, int]
    exited: asyncio.Future[int | None]
    host_directory: str | None = None

    @property
    def name(self) -> str:
        """The number in the form of an instance's name."""
        return f"{self.number:08x}"

    def streams(self) -> tuple[tuple[int, LogStream], ...]:
        """Return the read ends of the pipes with their names."""
        return (self.outputs[0], "stdout"), (self.outputs[1], "stderr")

    def kill(self) -> None:
        """Kill it, if it has not ended."""
        self.zygote.kill(self.number)


async def fork_process(
    zygote: ForkServerClient, number: int, groups: InstanceGroups | None, *, owner: int = 0
) -> ForkedProcess:
    """Fork a process, which waits for its settings afterwards.

    Args:
        zygote: The zygote to fork.
        number: The number of the new process.
        groups: The cgroups of the new process.
        owner: The user that gets the pipes, if the process has no right to give them to its user itself; 0 for
            none.

    Raises:
        ChildProcessError: The zygote has ended, or could not fork.
        OSError: No descriptors are left, or the process could not be added to its cgroups. It is killed then.
    """
    loop = asyncio.get_running_loop()
    connection, their_connection, pipes = _open_channels()
    outputs = (pipes[0][0], pipes[1][0])
    their_ends = (their_connection.detach(), pipes[0][1], pipes[1][1])
    try:
        try:
            if owner:
                for write_end in their_ends[1:]:
                    os.fchown(write_end, owner, owner)
            exited = zygote.request_fork(number, their_ends)
        finally:
            # This process must not hold the other ends: the end of the process would never show as the end of its
            # streams.
            for descriptor in their_ends:
                os.close(descriptor)
        connection.settimeout(0)
        pid = await _receive_peer_pid(loop, connection)
        joins_by_itself = zygote.moves_itself_to_cgroup
        # The process waits for the document, so it is in its groups before it gets anything to do.
        if groups is not None and not joins_by_itself and pid:
            await loop.run_in_executor(None, groups.add_process, pid)
        joined = groups.procs_files if groups is not None and joins_by_itself else []
        with contextlib.suppress(OSError):  # it ended at once, which ``exited`` shows
            await loop.sock_sendall(connection, encode_document({"cgroups": joined}))
        if exited.done():
            raise ChildProcessError(errno.ECHILD, "the zygote ended while it forked")  # noqa: TRY301  (cleans up)
    except BaseException:
        zygote.kill(number)
        connection.close()
        for descriptor in outputs:
            os.close(descriptor)
        raise
    return ForkedProcess(
        number=number,
        zygote=zygote,
        groups=groups,
        pid=pid,
        connection=connection,
        outputs=outputs,
        exited=exited,
    )


def encode_document(values: object) -> bytes:
    """Return a length-prefixed JSON document, the form of everything that a fork receives before it is ready."""
    document = msgspec.json.encode(values)
    return len(document).to_bytes(4, "big") + document


def _open_channels() -> tuple[socket.socket, socket.socket, list[tuple[int, int]]]:
    """Open the socket pair of a new process and the pipes of its stdout and stderr.

    Returns:
        The data plane's end, the process's end, and a (read, write) pair of descriptors for each pipe.

    Raises:
        OSError: No descriptors are left. None stay open then.
    """
    ours, theirs = socket.socketpair()
    pipes: list[tuple[int, int]] = []
    try:
        # The kernel attaches the sender's process id to messages sent after this option is set, so it is set
        # before the other end is passed on.
        if sys.platform == "linux":
            ours.setsockopt(socket.SOL_SOCKET, socket.SO_PASSCRED, 1)
        pipes += [os.pipe()]
        pipes += [os.pipe()]
    except OSError:
        ours.close()
        theirs.close()
        for pipe in pipes:
            for descriptor in pipe:
                os.close(descriptor)
        raise
    return ours, theirs, pipes


async def _receive_peer_pid(loop: asyncio.AbstractEventLoop, connection: socket.socket) -> int:
    """Wait for the handshake byte and return the process id of its sender, as the kernel reports it; 0 if unknown.

    The id that fork returned is not enough: it is counted in the PID namespace of the zygote.
    """
    readable = asyncio.Event()
    loop.add_reader(connection.fileno(), readable.set)
    try:
        await readable.wait()
        _, ancillary, _, _ = connection.recvmsg(1, socket.CMSG_SPACE(_UCRED.size))
    except OSError:
        return 0  # it ended at once; the next read from the socket shows that
    finally:
        loop.remove_reader(connection.fileno())
    if sys.platform == "linux":
        connection.setsockopt(socket.SOL_SOCKET, socket.SO_PASSCRED, 0)
        for level, kind, data in ancillary:
            if (level, kind) == (socket.SOL_SOCKET, socket.SCM_CREDENTIALS):
                return int(_UCRED.unpack(data)[0])
    return 0


class ForkServerClient:
    """The data plane's end of a zygote.

    Attributes:
        moves_itself_to_cgroup: Whether forks can join their cgroups themselves.
        reply_timeout: Seconds after which a zygote that has not confirmed an order is considered stuck.
        lost: Done when the zygote has ended by itself, not through ``close``.
    """

    moves_itself_to_cgroup = True
    reply_timeout = _REPLY_TIMEOUT

    def __init__(self, loop: asyncio.AbstractEventLoop, interpreter: str) -> None:
        self.interpreter = interpreter
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
            self._expect_reply(_KILL, number)
            self._send(_KILL, number, [])

    def close(self) -> None:
        """End the zygote and every fork of it."""
        if self._is_closed:
            return
        self._is_closed = True
        if self._control is not None:
            self._loop.remove_reader(self._control.fileno())
            self._control.close()  # tells the zygote to kill and reap its forks, and to exit
        self._reap()
        for number in list(self._exits):
            self._set_exited(number, None)

    def _start_reading(self, control: socket.socket) -> None:
        control.settimeout(0)
        self._control = control
        self._loop.add_reader(control.fileno(), self._on_readable)

    def _expect_reply(self, kind: bytes, number: int) -> None:
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

    Raises:
        OSError: The interpreter cannot be executed.
    """

    def __init__(
        self,
        loop: asyncio.AbstractEventLoop,
        interpreter: str,
        level: Level,
        root: Path,
    ) -> None:
        super().__init__(loop, interpreter)
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
                    _LAUNCH,
                    "main",
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
