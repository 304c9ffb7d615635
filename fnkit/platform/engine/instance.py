"""One instance: a process that answers one request at a time over a socket of its own.

Its life: *blank* (forked and half confined, nobody's), *starting* (its settings are sent, the handler is being
imported), *idle*, *busy*, *ended*. It has ended when its socket is closed and its zygote has reaped it.
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

_EOF_GRACE_SECONDS: Final = 0.2  # between a process's end and its socket's, when something else holds the socket
_LINE_MAX: Final = 65536


class InstanceState(Enum):
    """Where in its life an instance is."""

    BLANK = "blank"
    STARTING = "starting"
    IDLE = "idle"
    BUSY = "busy"
    ENDED = "ended"


class InstanceOwner(Protocol):
    """The pool that an instance was given to."""

    def instance_ready(self, instance: Instance) -> None:
        """The handler is imported, or its import failed; either way it answers."""

    def instance_free(self, instance: Instance) -> None:
        """The answer is complete."""

    def instance_ended(self, instance: Instance, reason: str) -> None:
        """The process is gone; ``reason`` is a short sentence."""


class _StartLine(msgspec.Struct):
    ready: bool = False
    error: str = ""


class Instance(asyncio.Protocol):
    """The data plane's end of one instance."""

    def __init__(self, number: int, zygote: Forker, groups: InstanceGroups | None, logs: LogWriter) -> None:
        self.number = number
        self.name = f"{number:08x}"
        self.zygote = zygote
        self.groups = groups
        self.state = InstanceState.BLANK
        self.owner: InstanceOwner | None = None
        self.function_id = ""
        self.home: str | None = None
        self.pid = 0  # as the data plane sees it, 0 where the kernel does not say
        self.idle_since = 0.0
        self.began = 0.0  # these three in seconds of time.monotonic
        self.ready_at = 0.0
        self.busy_since = 0.0  # 0 while it holds no request
        self.has_served = False
        self.call: LocalCall | None = None
        self.reason = ""
        self.was_ready = False
        self.ended_by_others = False  # its zygote has ended, or somebody killed it: no fault of its own
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
        """It is being ended, or has ended and is about to be reported: nothing is to be given to it."""
        return bool(self.reason) or self._eof or self._reaped

    @property
    def is_blank(self) -> bool:
        """It waits for its settings. The kernel is asked: news of its death may be on their way."""
        if self.state is not InstanceState.BLANK or self.is_leaving or self._transport is None:
            return False
        connection = self._transport.get_extra_info("socket")
        ended = select.poll()
        ended.register(connection.fileno(), select.POLLIN)  # it has nothing to say, but for its end
        return not ended.poll(0)

    # Its three descriptors

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        """The socket is in the event loop's hands."""
        self._transport = cast("asyncio.Transport", transport)  # uvloop's are no subclass

    def capture(self, descriptor: int, stream: Stream) -> None:
        """Read this pipe into the function's log."""
        reader = LineReader(self._loop, descriptor, lambda lines: self._log(stream, lines))
        self._readers[descriptor] = reader
        self._written.register(descriptor, select.POLLIN)

    def _log(self, stream: Stream, lines: Iterable[bytes]) -> None:
        self._logs.write(self.function_id, self.name, self._request_id, stream, lines)

    def _read_written(self) -> None:
        """Take what the handler wrote during this request before the next one starts."""
        for descriptor, _ in self._written.poll(0):
            reader = self._readers[descriptor]
            reader.read()
            if reader.closed:
                self._written.unregister(descriptor)

    # Starting

    def begin(self, owner: InstanceOwner, function_id: str, settings: bytes) -> None:
        """Give it to a pool: from here it is this function's until it ends."""
        self.owner = owner
        self.function_id = function_id
        self.state = InstanceState.STARTING
        self.began = monotonic()
        self.write_document(settings)

    def write_document(self, document: bytes) -> None:
        """Send a JSON document of the start."""
        if self._transport is not None and not self._transport.is_closing():
            self._transport.write(len(document).to_bytes(4, "big") + document)

    def _hear_start(self, data: bytes) -> None:
        self._start_line += data
        line, separator, rest = self._start_line.partition(b"\n")
        if not separator:
            if len(self._start_line) > _LINE_MAX:
                self.kill("it did not speak the start line")
            return
        try:
            start = msgspec.json.decode(line, type=_StartLine)
        except msgspec.DecodeError:
            start = _StartLine(error="it did not speak the start line")
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
        """Take a request; it follows through ``ask``."""
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
        """Stop reading the answer."""
        if self._transport is not None and not self._transport.is_closing():
            self._is_paused = True
            self._transport.pause_reading()

    def resume(self) -> None:
        """Read on."""
        self._is_paused = False
        if self._transport is not None and not self._transport.is_closing():
            self._transport.resume_reading()

    def data_received(self, data: bytes) -> None:
        """Bytes came: the start line, or a piece of an answer."""
        if self.reason:
            return  # it is being ended, whatever it says
        if self.state is InstanceState.BUSY:
            try:
                if self._answers.read(data):
                    self._end_answer()
            except NoAnswerError as error:
                self.kill(str(error))
        elif self.state is InstanceState.STARTING:
            self._hear_start(data)
        else:
            self.kill("it spoke without being asked")

    def _end_answer(self) -> None:
        """Free it once all that came was read: what lies behind an answer must not answer the next request."""
        self._read_written()
        for reader in self._readers.values():
            reader.end_line()
        if self._is_paused:  # by the answer's own last piece: nobody would hear the next one
            self.resume()
        call, self.call = self.call, None
        self.state = InstanceState.IDLE
        if call is not None:
            call.end()
        if self._answers.spoke_on:
            self.kill("it spoke without being asked")
        if self.owner is not None and not self._answers.asked_for_its_end:
            self.owner.instance_free(self)

    # The end

    def kill(self, reason: str) -> None:
        """End it. ``instance_ended`` follows."""
        self.reason = self.reason or reason
        self.zygote.kill(self.number)

    def connection_lost(self, _error: Exception | None) -> None:
        """The socket is closed: the process ended, or lets nobody talk to it any more."""
        self._eof = True
        if self._reaped:
            self._end()
        else:
            self.zygote.kill(self.number)

    def exited(self, status: int | None) -> None:
        """The zygote has reaped the process, or has ended itself (``None``)."""
        self._reaped = True
        self._status = status
        self.ended_by_others = not self.reason and _was_killed(status)
        if self._eof:
            self._end()
        else:  # its last words may still lie in the socket
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
    """Say whether it was ended from outside: a program's own faults are other signals, or exit codes."""
    return status is None or (os.WIFSIGNALED(status) and os.WTERMSIG(status) == signal.SIGKILL)


def _describe_status(status: int | None) -> str:
    """Return a wait status in words.

    >>> _describe_status(0x300)
    'exit 3'
    """
    if status is None:
        return "its zygote ended"
    if os.WIFSIGNALED(status):
        return f"killed by signal {os.WTERMSIG(status)}"
    return f"exit {os.waitstatus_to_exitcode(status)}"
