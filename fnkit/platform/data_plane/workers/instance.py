"""An instance of this machine: a process that answers one request at a time over a socket of its own.

Of its states, *pre-warmed* means forked and partly confined, and *starting* that its settings are sent. It has
*ended* when its socket is closed and its zygote has reaped it.
"""

from __future__ import annotations

import asyncio
import os
import select
import signal
from collections.abc import Callable, Collection, Iterator
from time import monotonic
from typing import Final, cast

import msgspec

from fnkit.platform.data_plane.body_buffer import LARGE_BODY_BYTES, BodyBuffer
from fnkit.platform.data_plane.instance import AssignedRequest, InstanceState
from fnkit.platform.data_plane.logs import LogWriter
from fnkit.platform.data_plane.workers.forked_process import ForkedProcess, OutputReader
from fnkit.platform.data_plane.workers.http_client import ProtocolViolation, ResponseReader
from fnkit.platform.model.log_record import LogStream

_SOCKET_GRACE_SECONDS: Final = 0.2  # from the end of a process to that of its socket, which a child may hold open
_MAX_LINE_BYTES: Final = 65536


class _StartupStatus(msgspec.Struct):
    ready: bool = False
    error: str = ""


class LocalInstance(asyncio.Protocol):
    """An ``Instance`` that is a process: the data plane's end of it.

    Args:
        process: The process that was forked for it.
        logs: Receives its output.

    Attributes:
        process: The process.
        reason: Why it ends; empty until then.
        was_killed_externally: Its zygote has ended, or it was killed from outside: no fault of the function.
        The others are those of ``Instance``.
    """

    def __init__(self, process: ForkedProcess, logs: LogWriter) -> None:
        self._loop = asyncio.get_running_loop()
        self.process = process
        self.name = process.name
        self.state = InstanceState.PREWARMED
        self.started: asyncio.Future[bool] = self._loop.create_future()
        self.ended: asyncio.Future[str] = self._loop.create_future()
        self.idle_since = 0.0
        self.start_began_at = 0.0
        self.ready_at = 0.0
        self.busy_since = 0.0
        self.has_served = False
        self.request: AssignedRequest | None = None
        self.reason = ""
        self.was_ready = False
        self.was_killed_externally = False
        self._on_idle: Callable[[LocalInstance], None] | None = None
        self._function_id = ""
        self._request_id = ""
        self._logs = logs
        self._transport: asyncio.Transport | None = None
        self._startup_line = b""
        self._wait_status: int | None = None
        self._is_reaped = False
        self._is_disconnected = False
        self._is_paused = False
        self._is_write_paused = False
        self._unsent: Iterator[bytes] = iter(())  # what is left of a large request
        self._is_finished = False
        self._response_reader = ResponseReader()
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
        """Whether it is alive and waits for its settings.

        The kernel is asked because the event loop may not have processed its end yet.
        """
        if self.state is not InstanceState.PREWARMED or self.is_terminating or self._transport is None:
            return False
        connection = self._transport.get_extra_info("socket")
        ended = select.poll()
        ended.register(connection.fileno(), select.POLLIN)  # readable only at its end: it sends nothing by itself
        return not ended.poll(0)

    # Starting

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        """Keep the transport of the socket."""
        self._transport = cast("asyncio.Transport", transport)  # uvloop's transports are no subclass

    def assign(self, function_id: str, settings: bytes, on_idle: Callable[[LocalInstance], None]) -> None:
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

    def _on_startup_line(self, data: bytes) -> None:
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
        self.state = InstanceState.IDLE
        self.was_ready = True
        self.ready_at = monotonic()
        self._output.read_pending()  # while it belongs to no request
        if not self.started.done():
            self.started.set_result(True)

    # Output

    def _log(self, stream: LogStream, lines: Collection[bytes]) -> None:
        self._logs.write(self._function_id, self.name, self._request_id, stream, lines)

    # Requests

    def assign_request(self, request: AssignedRequest) -> None:
        """Assign a request, which is sent through ``send``, and log it."""
        self.state = InstanceState.BUSY
        self.busy_since = monotonic()
        self.has_served = True
        self._request_id = request.request_id
        self.request = request
        self._response_reader.expect(request.handler)
        self._logs.write_request(self._function_id, self.name, request.request_id, request.path)

    def send(self, document: bytes | BodyBuffer) -> None:
        """Send the request: event and context as JSON."""
        if self._transport is None or self._transport.is_closing():
            return
        if isinstance(document, bytes):
            self._transport.write(self._response_reader.encode_head(len(document)) + document)
        else:
            self._transport.write(self._response_reader.encode_head(document.size))
            self._unsent = document.drain()
            self._write_unsent()

    def _write_unsent(self, *, at_once: bool = False) -> None:
        while self._transport is not None and (at_once or not self._is_write_paused):
            piece = next(self._unsent, None)
            if piece is None:
                return
            if not self._transport.is_closing():
                self._transport.write(piece)

    def pause_writing(self) -> None:
        """Stop writing until the instance has read."""
        self._is_write_paused = True

    def resume_writing(self) -> None:
        """Continue with the request."""
        self._is_write_paused = False
        self._write_unsent()

    def discard_response(self) -> None:
        """Discard the rest of the response."""
        self._response_reader.handler = None

    def pause(self) -> None:
        """Pause reading the response."""
        if self._transport is not None and not self._transport.is_closing():
            self._is_paused = True
            self._transport.pause_reading()

    def resume(self) -> None:
        """Resume reading."""
        self._is_paused = False
        self._resume_reading()

    def _resume_reading(self) -> None:
        if self._transport is not None and not self._transport.is_closing() and not self._is_paused:
            self._transport.resume_reading()

    def data_received(self, data: bytes) -> None:
        """Handle the start line, or a part of a response."""
        if self.reason:
            return  # it is being killed
        if len(data) > LARGE_BODY_BYTES and self._transport is not None:
            # libuv would read up to 32 times before others get their turn.
            self._transport.pause_reading()
            self._loop.call_soon(self._resume_reading)
        if self.state is InstanceState.BUSY:
            try:
                if self._response_reader.feed(data):
                    self._complete_response()
            except ProtocolViolation as error:
                self.kill(str(error))
        elif self.state is InstanceState.STARTING:
            self._on_startup_line(data)
        else:
            self.kill("it sent data without a request")

    def _complete_response(self) -> None:
        """Complete the request and become idle.

        The caller has read everything that arrived: what follows a response must not become the response to the
        next request.
        """
        # Now, so that the log attributes what the handler has written to this request.
        self._output.read_pending()
        self._output.flush()
        self._write_unsent(at_once=True)  # it answered before it had read the request, and may read it yet
        if self._is_paused:  # by the last part of this response; the next one must be read
            self.resume()
        request, self.request = self.request, None
        self.state = InstanceState.IDLE
        if request is not None:
            request.complete()
        if self._response_reader.has_trailing_data:
            self.kill("it sent data without a request")
        if self._on_idle is not None and not self._response_reader.connection_close:
            self._on_idle(self)

    # The end

    def kill(self, reason: str) -> None:
        """Kill the process. ``ended`` follows."""
        self.reason = self.reason or reason
        self.process.kill()

    def connection_lost(self, _error: Exception | None) -> None:
        """Handle the end of the socket: the process has ended, or can no longer be reached and is killed."""
        self._is_disconnected = True
        if self._is_reaped:
            self._finish()
        else:
            self.process.kill()

    def _on_exited(self, exited: asyncio.Future[int | None]) -> None:
        """The zygote has reaped the process, or has ended itself."""
        self._is_reaped = True
        self._wait_status = None if exited.cancelled() else exited.result()
        self.was_killed_externally = not self.reason and _was_killed(self._wait_status)
        if self._is_disconnected:
            self._finish()
        else:  # the socket may still hold data that it sent before its end
            self._loop.call_later(_SOCKET_GRACE_SECONDS, self._finish)

    def _finish(self) -> None:
        if self._is_finished:
            return
        self._is_finished = True
        self._unsent = iter(())
        self.state = InstanceState.ENDED
        if self._transport is not None:
            self._transport.abort()
        self._output.close()
        groups = self.process.groups
        if groups is not None and groups.ran_out_of_memory():
            self.reason = "out of memory"
            self.was_killed_externally = False
        if not self.started.done():
            self.started.set_result(False)
        if not self.ended.done():
            self.ended.set_result(self.reason or _describe_status(self._wait_status))


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
