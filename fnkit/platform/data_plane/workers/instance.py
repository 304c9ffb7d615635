"""An instance of this machine: a process that answers one request at a time over a socket of its own.

Of its states, *pre-warmed* means forked and partly confined, and *starting* that its settings are sent. It has
*ended* when its socket is closed and its zygote has reaped it.
"""

from __future__ import annotations

import asyncio
import os
import re
import signal
from collections.abc import Callable, Collection
from time import monotonic
from typing import Final

import msgspec

from fnkit.platform.data_plane.instance import InstanceState
from fnkit.platform.data_plane.instance_connection import ConnectedInstance, ResponseReader
from fnkit.platform.data_plane.logs import LogWriter
from fnkit.platform.data_plane.workers.forked_process import ForkedProcess, OutputReader
from fnkit.platform.data_plane.workers.program import WorkerProgram
from fnkit.platform.model.log_record import LogStream

_SOCKET_GRACE_SECONDS: Final = 0.2  # from the end of a process to that of its socket, which a child may hold open
_MAX_LINE_BYTES: Final = 65536
_MEMORY_ERROR: Final = re.compile(  # of V8, PHP, Go and Rust
    b"JavaScript heap out of memory"
    b"|Fatal (?:process|JavaScript) out of memory"
    b"|Out of memory"
    b"|runtime: out of memory"
    b"|runtime: cannot allocate memory"
    b"|fatal error: out of memory"
    b"|fatal error: failed to reserve page summary memory"
    b"|memory allocation of "
)
"""What a program writes to stderr that ends for lack of memory before the kernel or the platform ends it."""
_STACK_LINES: Final = 2000  # of stderr after the message: the stacks of all goroutines


class _StartupStatus(msgspec.Struct):
    ready: bool = False
    error: str = ""
    import_error: str = ""


class LocalInstance(ConnectedInstance):
    """An ``Instance`` that is a process: the data plane's end of it.

    Args:
        process: The process that was forked for it.
        program: What it runs.
        logs: Receives its output.

    Attributes:
        process: The process.
        program: What it runs.
        was_killed_externally: Its zygote has ended, or it was killed from outside: no fault of the function.
        The others are those of ``ConnectedInstance``.
    """

    def __init__(self, process: ForkedProcess, program: WorkerProgram, logs: LogWriter) -> None:
        super().__init__(process.name, InstanceState.PREWARMED, logs, ResponseReader())
        self.process = process
        self.program = program
        self._startup_line = b""
        self._wait_status: int | None = None
        self._is_reaped = False
        self._is_disconnected = False
        self._is_finished = False
        self._lines_since_memory_error: int | None = None
        self._output = OutputReader(self._loop, process.streams(), self._log)
        process.exited.add_done_callback(self._on_exited)

    async def connect(self) -> None:
        """Read from its socket from now on.

        Raises:
            OSError: The socket cannot be watched. The process is killed then.
        """
        try:
            await self._loop.create_unix_connection(lambda: self, sock=self.process.connection)
        except BaseException:
            self.process.connection.close()
            self._is_disconnected = True
            self.kill("its socket cannot be watched")
            raise

    @property
    def is_terminating(self) -> bool:
        """Whether it is about to end, so that it must get no request."""
        return bool(self.reason) or self._is_disconnected or self._is_reaped

    @property
    def is_prewarmed(self) -> bool:
        """Whether it is alive and waits for its settings."""
        return self.state is InstanceState.PREWARMED and self.is_waiting

    # Starting

    def assign(self, function_id: str, settings: bytes, on_idle: Callable[[ConnectedInstance], None]) -> None:
        """Assign it to a deployment, for the rest of its life.

        Args:
            function_id: The function.
            settings: Its settings, as documents.
            on_idle: Called when it has completed a response.
        """
        self.state = InstanceState.STARTING
        self.start_began_at = monotonic()
        self._function_id = function_id
        self._on_idle = on_idle
        if self._transport is not None and not self._transport.is_closing():
            self._transport.write(settings)

    def _on_start_data(self, data: bytes) -> None:
        self._startup_line += data
        line, separator, rest = self._startup_line.partition(b"\n")
        if not separator:
            if len(self._startup_line) > _MAX_LINE_BYTES:
                self.kill("its start line is invalid")
            return
        try:
            status = msgspec.json.decode(line, type=_StartupStatus)
        except msgspec.DecodeError:
            status = _StartupStatus(error="its start line is invalid")
        if rest or not status.ready:
            self.kill(f"not started: {status.error}")
            return
        self.import_error = status.import_error
        self._note_ready()
        self._output.read_pending()  # while it belongs to no request
        if not self.started.done():
            self.started.set_result(True)

    # Output

    def _log(self, stream: LogStream, lines: Collection[bytes]) -> None:
        if stream == "stderr":
            self._note_memory_error(lines)
        self._logs.write(self._function_id, self.name, self._request_id, stream, lines)

    def _note_memory_error(self, lines: Collection[bytes]) -> None:
        """Count the lines on stderr since the last memory error. The load decides how many reads bring them."""
        if _MEMORY_ERROR.search(b"\n".join(lines)):
            self._lines_since_memory_error = 0
        elif self._lines_since_memory_error is not None:
            self._lines_since_memory_error += len(lines)

    def _on_response_end(self) -> None:
        # Now, so that the log attributes what the handler has written to this request.
        self._output.read_pending()
        self._output.flush()

    # The end

    def kill(self, reason: str) -> None:
        """Kill the process. ``ended`` follows."""
        self.reason = self.reason or reason
        self.process.kill()

    def connection_lost(self, _error: Exception | None) -> None:
        """Handle the end of the socket: the process has ended, or can no longer be reached and is killed."""
        self._is_disconnected = True
        if self._is_reaped:
            self._finish_once()
        else:
            self.process.kill()

    def _on_exited(self, exited: asyncio.Future[int | None]) -> None:
        """The zygote has reaped the process, or has ended itself."""
        self._is_reaped = True
        self._wait_status = None if exited.cancelled() else exited.result()
        self.was_killed_externally = not self.reason and _was_killed(self._wait_status)
        if self._is_disconnected:
            self._finish_once()
        else:  # the socket may still hold data that it sent before its end
            self._loop.call_later(_SOCKET_GRACE_SECONDS, self._finish_once)

    def _finish_once(self) -> None:
        if self._is_finished:
            return
        self._is_finished = True
        groups = self.process.groups
        if groups is not None and groups.ran_out_of_memory():
            self.reason = "out of memory"
            self.was_killed_externally = False
        self._output.close()
        if not self.reason and self._wait_status and self._reported_memory_error():
            self.reason = "out of memory"
        self._finish(self.reason or _describe_status(self._wait_status))

    def _reported_memory_error(self) -> bool:
        """Return whether the last that it has written to stderr is that it has no memory left, and stacks."""
        return self._lines_since_memory_error is not None and self._lines_since_memory_error <= _STACK_LINES


def _was_killed(status: int | None) -> bool:
    """Return whether the process was killed from outside: own faults show as other signals or exit codes."""
    return status is None or (os.WIFSIGNALED(status) and os.WTERMSIG(status) == signal.SIGKILL)


def _describe_status(status: int | None) -> str:
    """Return a description of a wait status.

    >>> _describe_status(0x300)
    'exit 3'
    """
    if status is None:
        return "its zygote ended"
    if os.WIFSIGNALED(status):
        return f"killed by signal {os.WTERMSIG(status)}"
    return f"exit {os.waitstatus_to_exitcode(status)}"
