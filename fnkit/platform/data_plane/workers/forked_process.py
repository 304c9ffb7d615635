"""A process that a zygote has forked: the channels to it, and its output in lines.

``fork_process`` goes through these steps:

1. A socket pair and two pipes are opened, and their other ends are sent to the zygote with the order to fork.
2. The fork sends one byte over its socket, to which the kernel attaches its process id.
3. The data plane adds the fork to its cgroups, or sends it their names so that it joins them itself. It also sends
   the path of its disk.
4. The caller gets a ``ForkedProcess``. Its ``exited`` is done when the zygote has reaped it.
"""

from __future__ import annotations

import asyncio
import contextlib
import errno
import os
import select
import socket
import struct
import sys
from collections.abc import Callable, Collection, Iterable, Iterator
from dataclasses import dataclass
from typing import Final

import msgspec

from fnkit.platform.data_plane.workers.isolation import InstanceGroups
from fnkit.platform.data_plane.workers.zygote import ForkServerClient
from fnkit.platform.model.log_record import MAX_LINE_BYTES, LogStream

PYTHON_SOURCE: Final = "python/serve.py"
"""What a new Python interpreter reads, below the directory of the worker."""

_UCRED: Final = struct.Struct("3i")  # ucred: process, user, group
_PIPE_BYTES: Final = 65536  # the capacity of a pipe: one read empties it
_READ_BYTES: Final = 8192  # in an iteration of the event loop: as many empty lines take milliseconds to log


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
    zygote: ForkServerClient,
    number: int,
    groups: InstanceGroups | None,
    *,
    disk: str = "",
    is_zygote: bool = False,
    owner: int = 0,
    source: str = PYTHON_SOURCE,
    program: dict[str, object] | None = None,
) -> ForkedProcess:
    """Fork a process, which waits for its settings afterwards.

    Args:
        zygote: The zygote to fork.
        number: The number of the new process.
        groups: The cgroups of the new process.
        disk: Its directory for files, as the zygote sees it; empty if it has no root of its own.
        is_zygote: It becomes a deployment zygote, and the directory is for its forks.
        owner: The user that gets the pipes, if the process has no right to give them to its user itself; 0 for
            none.
        source: What an interpreter runs, below the directory of the worker.
        program: What the process executes at once (``fnkit/worker/python/program.py``); ``None`` if it stays a
            fork.

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
            document = {
                "cgroups": joined,
                "disk": disk,
                "is_zygote": is_zygote,
                "source": source,
                "program": program,
            }
            await loop.sock_sendall(connection, encode_document(document))
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


class OutputReader:
    """Reads the output of a process in lines.

    Args:
        loop: The event loop.
        streams: The read ends of its pipes, which the reader owns from now on, with their names.
        on_lines: Receives the complete lines of each read, without line breaks.
    """

    def __init__(
        self,
        loop: asyncio.AbstractEventLoop,
        streams: Iterable[tuple[int, LogStream]],
        on_lines: Callable[[LogStream, Collection[bytes]], None],
    ) -> None:
        self._loop = loop
        self._on_lines = on_lines
        self._splitters = {descriptor: _LineSplitter(stream) for descriptor, stream in streams}  # of open pipes
        self._poll = select.poll()
        for descriptor in self._splitters:
            os.set_blocking(descriptor, False)
            loop.add_reader(descriptor, self._read, descriptor, _READ_BYTES)
            self._poll.register(descriptor, select.POLLIN)

    def read_pending(self) -> None:
        """Read what the process has written so far."""
        for descriptor, _ in self._poll.poll(0):
            self._read(descriptor)

    def flush(self) -> None:
        """Emit unfinished lines, so that later output does not continue them."""
        for splitter in self._splitters.values():
            if rest := splitter.take_rest():
                self._on_lines(splitter.stream, (rest,))

    def close(self) -> None:
        """Read the rest, emit unfinished lines and close the pipes."""
        for descriptor in list(self._splitters):
            self._read(descriptor)
            self._close(descriptor)

    def _read(self, descriptor: int, size: int = _PIPE_BYTES) -> None:
        try:
            data = os.read(descriptor, size)
        except BlockingIOError:
            return
        except OSError:
            data = b""
        if not data:
            self._close(descriptor)
            return
        splitter = self._splitters[descriptor]
        if lines := splitter.split(data):
            self._on_lines(splitter.stream, lines)

    def _close(self, descriptor: int) -> None:
        splitter = self._splitters.pop(descriptor, None)
        if splitter is None:
            return
        self._loop.remove_reader(descriptor)
        # The number may be given to a pipe of another process at once, whose output must not be read here.
        self._poll.unregister(descriptor)
        os.close(descriptor)
        if rest := splitter.take_rest():
            self._on_lines(splitter.stream, (rest,))


class _Lines(Collection[bytes]):
    """Lines that are split only when iterated over. Counting them is a hundred times faster.

    Args:
        text: The lines, without the last line break.
    """

    __slots__ = ("_text",)

    def __init__(self, text: bytes) -> None:
        self._text = text

    def __len__(self) -> int:
        return self._text.count(b"\n") + 1

    def __iter__(self) -> Iterator[bytes]:
        return iter(self._text.split(b"\n"))

    def __contains__(self, line: object) -> bool:
        return line in self._text.split(b"\n")


class _LineSplitter:
    """Splits a stream into lines. A line over the limit is cut, and the rest of it skipped."""

    __slots__ = ("_is_skipping", "_partial_line", "stream")

    def __init__(self, stream: LogStream) -> None:
        self.stream = stream
        self._partial_line = b""
        self._is_skipping = False

    def split(self, data: bytes) -> Collection[bytes]:
        """Return the lines that are complete with this data."""
        text, line_break, self._partial_line = (self._partial_line + data).rpartition(b"\n")
        if self._is_skipping and line_break:
            self._is_skipping = False
            _, line_break, text = text.partition(b"\n")  # the first is the rest of a line that was too long
        if len(self._partial_line) > MAX_LINE_BYTES:
            if not self._is_skipping:
                text, line_break = text + line_break + self._partial_line, b"\n"
            self._is_skipping = True
            self._partial_line = b""
        return _Lines(text) if line_break else ()

    def take_rest(self) -> bytes:
        """Return the unfinished line, which the next data does not continue."""
        rest, self._partial_line = self._partial_line, b""
        was_skipping, self._is_skipping = self._is_skipping, False
        return b"" if was_skipping else rest
