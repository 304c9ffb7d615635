"""One instance: a process that answers one request at a time over a socket of its own.

Its states: *pre-warmed* (forked and partly confined, assigned to no deployment), *starting* (its settings are sent,
the handler is being imported), *idle*, *busy*, *ended*. It has ended when its socket is closed and its zygote has
reaped it.
"""

from __future__ import annotations

import asyncio
import os
import select
import signal
from collections.abc import Iterable
from enum import Enum
from time import monotonic
from typing import Final, Protocol, cast

import msgspec

from fnkit.platform.data_plane.workers.call import LocalPendingRequest
from fnkit.platform.data_plane.workers.http_client import ProtocolViolation, ResponseReader
from fnkit.platform.data_plane.workers.isolation import InstanceGroups
from fnkit.platform.data_plane.workers.logs import LineReader, LogWriter
from fnkit.platform.data_plane.workers.zygote import ForkServerClient
from fnkit.platform.model.log_record import LogStream

__all__ = ["Instance", "InstanceCallbacks", "WorkerState"]

_SOCKET_GRACE_SECONDS: Final = 0.2  # from the end of a process to that of its socket, which a child may hold open
_MAX_LINE_BYTES: Final = 65536


class WorkerState(Enum):
    """The states of an instance."""

    PREWARMED = "prewarmed"
    STARTING = "starting"
    IDLE = "idle"
    BUSY = "busy"
    ENDED = "ended"


class InstanceCallbacks(Protocol):
    """Receives the events of an instance."""

    def instance_ready(self, instance: Instance) -> None:
        """The handler is imported, or its import failed; in both cases the instance answers requests."""

    def instance_idle(self, instance: Instance) -> None:
        """The response is complete and the instance is idle."""

    def instance_ended(self, instance: Instance, reason: str) -> None:
        """The process has ended; ``reason`` is a short phrase."""


class _StartupStatus(msgspec.Struct):
    ready: bool = False
    error: str = ""


class Instance(asyncio.Protocol):
    """The data plane's end of one instance.

    Attributes:
        number: Its number among all processes that were requested from zygotes.
        state: A state of the module's list.
        pid: In the PID namespace of the data plane; 0 if the kernel does not report it.
        host_directory: Its directory on the machine's disk, if it has one.
        idle_since: The virtual time since when it has been idle.
        start_began_at: When its start began (``time.monotonic``, as the next two).
        ready_at: When its handler was imported.
        busy_since: When it was assigned its request; 0 while it has none.
        reason: Why it ends; empty until then.
        was_killed_externally: Its zygote has ended, or it was killed from outside: no fault of the function.
    """

    def __init__(
        self, number: int, zygote: ForkServerClient, groups: InstanceGroups | None, logs: LogWriter
    ) -> None:
        self.number = number
        self.name = f"{number:08x}"
        self.zygote = zygote
        self.groups = groups
        self.state = WorkerState.PREWARMED
        self.callbacks: InstanceCallbacks | None = None
        self.function_id = ""
        self.host_directory: str | None = None
        self.pid = 0
        self.idle_since = 0.0
        self.start_began_at = 0.0
        self.ready_at = 0.0
        self.busy_since = 0.0
        self.has_served = False
        self.request: LocalPendingRequest | None = None
        self.reason = ""
        self.was_ready = False
        self.was_killed_externally = False
        self._request_id = ""
        self._logs = logs
        self._is_reaped = False
        self._loop = asyncio.get_running_loop()
        self._transport: asyncio.Transport | None = None
        self._handshake = b""
        self._wait_status: int | None = None
        self._is_disconnected = False
        self._is_paused = False
        self._is_finished = False
        self._response_reader = ResponseReader()
        self._readers: dict[int, LineReader] = {}
        self._output_poll = select.poll()

    @property
    def is_terminating(self) -> bool:
        """Whether it is about to end, so that it must get no request."""
        return bool(self.reason) or self._is_disconnected or self._is_reaped

    @property
    def is_prewarmed(self) -> bool:
        """Whether it is alive and waits for its settings.

        The kernel is asked because the event loop may not have processed its end yet.
        """
        if self.state is not WorkerState.PREWARMED or self.is_terminating or self._transport is None:
            return False
        connection = self._transport.get_extra_info("socket")
        ended = select.poll()
        ended.register(connection.fileno(), select.POLLIN)  # readable only at its end: it sends nothing by itself
        return not ended.poll(0)

    # Its socket and its pipes

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        """Keep the transport of the socket."""
        self._transport = cast("asyncio.Transport", transport)  # uvloop's transports are no subclass

    def capture_output(self, descriptor: int, stream: LogStream) -> None:
        """Read this pipe into the function's log."""
        reader = LineReader(self._loop, descriptor, lambda lines: self._log(stream, lines))
        self._readers[descriptor] = reader
        self._output_poll.register(descriptor, select.POLLIN)

    def _log(self, stream: LogStream, lines: Iterable[bytes]) -> None:
        self._logs.write(self.function_id, self.name, self._request_id, stream, lines)

    def _read_pending_output(self) -> None:
        """Read what the handler has written so far, so that the log attributes it to this request."""
        for descriptor, _ in self._output_poll.poll(0):
            reader = self._readers[descriptor]
            reader.read()
            if reader.is_closed:
                self._output_poll.unregister(descriptor)

    # Starting

    def assign(self, callbacks: InstanceCallbacks, function_id: str, settings: bytes) -> None:
        """Assign it to a deployment, for the rest of its life.

        Args:
            callbacks: Receives its events.
            function_id: The function.
            settings: Its settings as JSON.
        """
        self.callbacks = callbacks
        self.function_id = function_id
        self.state = WorkerState.STARTING
        self.start_began_at = monotonic()
        self.write_document(settings)

    def write_document(self, document: bytes) -> None:
        """Send a length-prefixed JSON document."""
        if self._transport is not None and not self._transport.is_closing():
            self._transport.write(len(document).to_bytes(4, "big") + document)

    def _on_handshake(self, data: bytes) -> None:
        self._handshake += data
        line, separator, rest = self._handshake.partition(b"\n")
        if not separator:
            if len(self._handshake) > _MAX_LINE_BYTES:
                self.kill("its start line is invalid")
            return
        try:
            start = msgspec.json.decode(line, type=_StartupStatus)
        except msgspec.DecodeError:
            start = _StartupStatus(error="its start line is invalid")
        if rest or not start.ready:
            self.kill(f"not started: {start.error}")
        elif self.callbacks is not None:
            self.state = WorkerState.IDLE
            self.was_ready = True
            self.ready_at = monotonic()
            self._read_pending_output()
            self.callbacks.instance_ready(self)

    # Requests

    def assign_request(self, request: LocalPendingRequest) -> None:
        """Assign a request, which is sent through ``send``."""
        self.state = WorkerState.BUSY
        self.busy_since = monotonic()
        self.has_served = True
        self._request_id = request.request_id
        self.request = request
        self._response_reader.expect(request)

    def send(self, document: bytes) -> None:
        """Send the request: event and context as JSON."""
        if self._transport is not None and not self._transport.is_closing():
            self._transport.write(self._response_reader.encode_request(document))

    def pause(self) -> None:
        """Pause reading the response."""
        if self._transport is not None and not self._transport.is_closing():
            self._is_paused = True
            self._transport.pause_reading()

    def resume(self) -> None:
        """Resume reading."""
        self._is_paused = False
        if self._transport is not None and not self._transport.is_closing():
            self._transport.resume_reading()

    def data_received(self, data: bytes) -> None:
        """Handle the start line, or a part of a response."""
        if self.reason:
            return  # it is being killed
        if self.state is WorkerState.BUSY:
            try:
                if self._response_reader.feed(data):
                    self._complete_response()
            except ProtocolViolation as error:
                self.kill(str(error))
        elif self.state is WorkerState.STARTING:
            self._on_handshake(data)
        else:
            self.kill("it sent data without a request")

    def _complete_response(self) -> None:
        """Complete the request and become idle.

        The caller has read everything that arrived: what follows a response must not become the response to the
        next request.
        """
        self._read_pending_output()
        for reader in self._readers.values():
            reader.flush()
        if self._is_paused:  # by the last part of this response; the next one must be read
            self.resume()
        call, self.request = self.request, None
        self.state = WorkerState.IDLE
        if call is not None:
            call.complete()
        if self._response_reader.has_trailing_data:
            self.kill("it sent data without a request")
        if self.callbacks is not None and not self._response_reader.connection_close:
            self.callbacks.instance_idle(self)

    # The end

    def kill(self, reason: str) -> None:
        """Kill the process. ``instance_ended`` follows."""
        self.reason = self.reason or reason
        self.zygote.kill(self.number)

    def connection_lost(self, _error: Exception | None) -> None:
        """Handle the end of the socket: the process has ended, or can no longer be reached and is killed."""
        self._is_disconnected = True
        if self._is_reaped:
            self._finish()
        else:
            self.zygote.kill(self.number)

    def on_exit(self, status: int | None) -> None:
        """Note that the zygote has reaped the process, or has ended itself (``None``)."""
        self._is_reaped = True
        self._wait_status = status
        self.was_killed_externally = not self.reason and _was_killed(status)
        if self._is_disconnected:
            self._finish()
        else:  # the socket may still hold data that it sent before its end
            self._loop.call_later(_SOCKET_GRACE_SECONDS, self._finish)

    def _finish(self) -> None:
        if self._is_finished:
            return
        self._is_finished = True
        self.state = WorkerState.ENDED
        if self._transport is not None:
            self._transport.abort()
        for reader in self._readers.values():
            if not reader.is_closed:
                reader.read()
            reader.close()
        if self.groups is not None and self.groups.ran_out_of_memory():
            self.reason = "out of memory"
            self.was_killed_externally = False
        if self.callbacks is not None:
            self.callbacks.instance_ended(self, self.reason or _describe_status(self._wait_status))


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
