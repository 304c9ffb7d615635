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

from fnkit.platform.engine.answer_reader import AnswerReader, NoAnswerError
from fnkit.platform.engine.calls import LocalCall
from fnkit.platform.engine.capture import LineReader
from fnkit.platform.engine.cgroups import InstanceGroups
from fnkit.platform.engine.forking import Forker
from fnkit.platform.engine.logs import LogWriter
from fnkit.platform.log_lines import Stream

__all__ = ["Instance", "InstanceOwner", "InstanceState"]

_EOF_GRACE_SECONDS: Final = 0.2  # from the end of a process to that of its socket, which a child may hold open
_LINE_MAX: Final = 65536


class InstanceState(Enum):
    """The states of an instance."""

    BLANK = "prewarmed"
    STARTING = "starting"
    IDLE = "idle"
    BUSY = "busy"
    ENDED = "ended"


class InstanceOwner(Protocol):
    """Receives the events of an instance."""

    def instance_ready(self, instance: Instance) -> None:
        """The handler is imported, or its import failed; in both cases the instance answers requests."""

    def instance_free(self, instance: Instance) -> None:
        """The response is complete and the instance is idle."""

    def instance_ended(self, instance: Instance, reason: str) -> None:
        """The process has ended; ``reason`` is a short phrase."""


class _StartLine(msgspec.Struct):
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

    def __init__(self, number: int, zygote: Forker, groups: InstanceGroups | None, logs: LogWriter) -> None:
        self.number = number
        self.name = f"{number:08x}"
        self.zygote = zygote
        self.groups = groups
        self.state = InstanceState.BLANK
        self.owner: InstanceOwner | None = None
        self.function_id = ""
        self.home: str | None = None
        self.pid = 0
        self.idle_since = 0.0
        self.began = 0.0
        self.ready_at = 0.0
        self.busy_since = 0.0
        self.has_served = False
        self.call: LocalCall | None = None
        self.reason = ""
        self.was_ready = False
        self.ended_by_others = False
        self._request_id = ""
        self._logs = logs
        self._reaped = False
        self._loop = asyncio.get_running_loop()
        self._transport: asyncio.Transport | None = None
        self._start_line = b""
        self._status: int | None = None
        self._eof = False
        self._is_paused = False
        self._ended = False
        self._answers = AnswerReader()
        self._readers: dict[int, LineReader] = {}
        self._written = select.poll()

    @property
    def is_leaving(self) -> bool:
        """Whether it is about to end, so that it must get no request."""
        return bool(self.reason) or self._eof or self._reaped

    @property
    def is_blank(self) -> bool:
        """Whether it is alive and waits for its settings.

        The kernel is asked because the event loop may not have processed its end yet.
        """
        if self.state is not InstanceState.BLANK or self.is_leaving or self._transport is None:
            return False
        connection = self._transport.get_extra_info("socket")
        ended = select.poll()
        ended.register(connection.fileno(), select.POLLIN)  # readable only at its end: it sends nothing by itself
        return not ended.poll(0)

    # Its socket and its pipes

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        """Keep the transport of the socket."""
        self._transport = cast("asyncio.Transport", transport)  # uvloop's transports are no subclass

    def capture(self, descriptor: int, stream: Stream) -> None:
        """Read this pipe into the function's log."""
        reader = LineReader(self._loop, descriptor, lambda lines: self._log(stream, lines))
        self._readers[descriptor] = reader
        self._written.register(descriptor, select.POLLIN)

    def _log(self, stream: Stream, lines: Iterable[bytes]) -> None:
        self._logs.write(self.function_id, self.name, self._request_id, stream, lines)

    def _read_written(self) -> None:
        """Read what the handler has written so far, so that the log attributes it to this request."""
        for descriptor, _ in self._written.poll(0):
            reader = self._readers[descriptor]
            reader.read()
            if reader.closed:
                self._written.unregister(descriptor)

    # Starting

    def begin(self, callbacks: InstanceOwner, function_id: str, settings: bytes) -> None:
        """Assign it to a deployment, for the rest of its life.

        Args:
            callbacks: Receives its events.
            function_id: The function.
            settings: Its settings as JSON.
        """
        self.owner = callbacks
        self.function_id = function_id
        self.state = InstanceState.STARTING
        self.began = monotonic()
        self.write_document(settings)

    def write_document(self, document: bytes) -> None:
        """Send a length-prefixed JSON document."""
        if self._transport is not None and not self._transport.is_closing():
            self._transport.write(len(document).to_bytes(4, "big") + document)

    def _hear_start(self, data: bytes) -> None:
        self._start_line += data
        line, separator, rest = self._start_line.partition(b"\n")
        if not separator:
            if len(self._start_line) > _LINE_MAX:
                self.kill("its start line is invalid")
            return
        try:
            start = msgspec.json.decode(line, type=_StartLine)
        except msgspec.DecodeError:
            start = _StartLine(error="its start line is invalid")
        if rest or not start.ready:
            self.kill(f"not started: {start.error}")
        elif self.owner is not None:
            self.state = InstanceState.IDLE
            self.was_ready = True
            self.ready_at = monotonic()
            self._read_written()
            self.owner.instance_ready(self)

    # Requests

    def serve(self, call: LocalCall) -> None:
        """Assign a request, which is sent through ``send``."""
        self.state = InstanceState.BUSY
        self.busy_since = monotonic()
        self.has_served = True
        self._request_id = call.request_id
        self.call = call
        self._answers.expect(call)

    def ask(self, document: bytes) -> None:
        """Send the request: event and context as JSON."""
        if self._transport is not None and not self._transport.is_closing():
            self._transport.write(self._answers.question(document))

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
        if self.state is InstanceState.BUSY:
            try:
                if self._answers.read(data):
                    self._end_answer()
            except NoAnswerError as error:
                self.kill(str(error))
        elif self.state is InstanceState.STARTING:
            self._hear_start(data)
        else:
            self.kill("it sent data without a request")

    def _end_answer(self) -> None:
        """Complete the request and become idle.

        The caller has read everything that arrived: what follows a response must not become the response to the
        next request.
        """
        self._read_written()
        for reader in self._readers.values():
            reader.end_line()
        if self._is_paused:  # by the last part of this response; the next one must be read
            self.resume()
        call, self.call = self.call, None
        self.state = InstanceState.IDLE
        if call is not None:
            call.end()
        if self._answers.has_trailing_data:
            self.kill("it sent data without a request")
        if self.owner is not None and not self._answers.connection_close:
            self.owner.instance_free(self)

    # The end

    def kill(self, reason: str) -> None:
        """Kill the process. ``instance_ended`` follows."""
        self.reason = self.reason or reason
        self.zygote.kill(self.number)

    def connection_lost(self, _error: Exception | None) -> None:
        """Handle the end of the socket: the process has ended, or can no longer be reached and is killed."""
        self._eof = True
        if self._reaped:
            self._end()
        else:
            self.zygote.kill(self.number)

    def exited(self, status: int | None) -> None:
        """Note that the zygote has reaped the process, or has ended itself (``None``)."""
        self._reaped = True
        self._status = status
        self.ended_by_others = not self.reason and _was_killed(status)
        if self._eof:
            self._end()
        else:  # the socket may still hold data that it sent before its end
            self._loop.call_later(_EOF_GRACE_SECONDS, self._end)

    def _end(self) -> None:
        if self._ended:
            return
        self._ended = True
        self.state = InstanceState.ENDED
        if self._transport is not None:
            self._transport.abort()
        for reader in self._readers.values():
            if not reader.closed:
                reader.read()
            reader.close()
        if self.groups is not None and self.groups.ran_out_of_memory():
            self.reason = "out of memory"
            self.ended_by_others = False
        if self.owner is not None:
            self.owner.instance_ended(self, self.reason or _describe_status(self._status))


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
