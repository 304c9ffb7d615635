"""One instance: a process that answers one request at a time over a socket of its own.

Its life: *blank* (forked and half confined, nobody's), *starting* (its settings are sent, the handler is being
imported), *idle*, *busy*, *ended*. It has ended when its socket is closed and its zygote has reaped it.
"""

from __future__ import annotations

import asyncio
import os
import select
import socket
import struct
import sys
from collections.abc import Iterable
from enum import Enum
from time import monotonic
from typing import Final, Protocol, cast

import httptools
import msgspec

from fnkit.platform.engine.answers import AnswerHeaders, KnownHead, known_answer, remember_answer
from fnkit.platform.engine.calls import LocalCall
from fnkit.platform.engine.capture import LineReader, open_line
from fnkit.platform.engine.cgroups import InstanceGroups
from fnkit.platform.engine.forking import Forker
from fnkit.platform.engine.logs import LogWriter
from fnkit.platform.log_lines import Stream

__all__ = ["Instance", "InstanceOwner", "InstanceState", "fork_instance", "who_says_hello"]

_EOF_GRACE_SECONDS: Final = 0.2  # between a process's end and its socket's, when something else holds the socket
_LINE_MAX: Final = 65536
_CREDENTIALS: Final = struct.Struct("3i")  # ucred: process, user, group
_HEAD_MAX: Final = 1024 * 1024  # of an answer: Go's limit, which the core runtime's client has
_FIRST_FINAL_STATUS: Final = 200


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
        self.lost_its_zygote = False  # which is no fault of its own
        self.answering = False  # the head of the current answer has come
        self._answered = False  # and its end
        self._spoke_on = False  # and something behind it
        self._head_bytes = 0
        self._request_id = ""
        self._logs = logs
        self._reaped = False
        self._leaving = False
        self._loop = asyncio.get_running_loop()
        self._transport: asyncio.Transport | None = None
        self._start_line = b""
        self._status: int | None = None
        self._eof = False
        self._ended = False
        self._headers: list[tuple[bytes, bytes]] = []
        self._head: tuple[int, AnswerHeaders] | None = None  # of the current answer
        self._parser = httptools.HttpResponseParser(self)
        self._readers: dict[int, LineReader] = {}
        self._written = select.poll()

    @property
    def is_leaving(self) -> bool:
        """It is being ended, or has ended and is about to be reported: nothing is to be given to it."""
        return bool(self.reason) or self._eof or self._reaped

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
        """Take a request; its bytes follow through ``write``."""
        self.state = InstanceState.BUSY
        self.busy_since = monotonic()
        self.has_served = True
        self._request_id = call.request_id
        self.call = call
        self.answering = False
        self._head = None
        self._head_bytes = 0

    def write(self, data: bytes) -> None:
        """Send a piece of the request."""
        if self._transport is not None and not self._transport.is_closing():
            self._transport.write(data)

    def pause(self) -> None:
        """Stop reading the answer."""
        if self._transport is not None and not self._transport.is_closing():
            self._transport.pause_reading()

    def resume(self) -> None:
        """Read on."""
        if self._transport is not None and not self._transport.is_closing():
            self._transport.resume_reading()

    def data_received(self, data: bytes) -> None:
        """Bytes came: the start line, or a piece of an answer."""
        if self.reason:
            return  # it is being ended, whatever it says
        if self.state is InstanceState.BUSY:
            self._hear_answer(data)
        elif self.state is InstanceState.STARTING:
            self._hear_start(data)
        else:
            self.kill("it spoke without being asked")

    def _hear_answer(self, data: bytes) -> None:
        is_first = self._head_bytes == 0
        if is_first and (known := known_answer(data)) is not None:
            self._pass_known(*known)
            return
        if not self.answering:
            self._head_bytes += len(data)
        try:
            self._parser.feed_data(data)
        except (httptools.HttpParserError, httptools.HttpParserUpgrade):
            self._spoke_on = True
            if not self._answered:
                self.kill("its answer was not HTTP")
        if self._answered:
            if is_first and self._head is not None and not self._spoke_on and not self._leaving:
                remember_answer(data, *self._head)
            self._end_answer()
        elif not self.answering and self._head_bytes > _HEAD_MAX:
            self.kill(f"the head of its answer exceeds {_HEAD_MAX} bytes")

    def _pass_known(self, head: KnownHead, body: bytes) -> None:
        self.answering = True
        listener = self.call.listener if self.call is not None else None
        if listener is not None:
            listener.answer_started(head.status, head.headers)
            if body:
                listener.answer_data(body)
        self._end_answer()

    def on_message_begin(self) -> None:
        """The parser found the beginning of an answer, of which there is to be one."""
        self._spoke_on = self._answered

    def on_header(self, name: bytes, value: bytes) -> None:
        """The parser found a header."""
        self._headers.append((name, value))

    def on_headers_complete(self) -> None:
        """The parser found the end of the head."""
        headers, self._headers = tuple(self._headers), []
        status = self._parser.get_status_code()
        if status < _FIRST_FINAL_STATUS:
            raise httptools.HttpParserError("an interim answer")
        self.answering = True
        self._head = (status, headers)
        if not self._answered and self.call is not None and self.call.listener is not None:
            self.call.listener.answer_started(status, headers)

    def on_body(self, data: bytes) -> None:
        """The parser found a piece of the body."""
        if not self._answered and self.call is not None and self.call.listener is not None:
            self.call.listener.answer_data(data)

    def on_message_complete(self) -> None:
        """The parser found the end of the answer."""
        if not self._answered and not self._parser.should_keep_alive():
            # "connection: close": the handler asked for the process's end; nobody is to get it again
            self._leaving = True
        self._answered = True

    def _end_answer(self) -> None:
        """Free it once all that came was read: what lies behind an answer must not answer the next request."""
        self._answered = False
        self._read_written()
        call, self.call = self.call, None
        self.state = InstanceState.IDLE
        if call is not None:
            call.end()
        if self._spoke_on:
            self.kill("it spoke without being asked")
        if self.owner is not None and not self._leaving:
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
        self.lost_its_zygote = status is None and not self.reason
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
        if self.owner is not None:
            self.owner.instance_ended(self, self.reason or _describe_status(self._status))


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


async def fork_instance(instance: Instance, owner: int = 0) -> None:
    """Have a blank instance forked: it joins its groups and mounts its disk while it waits for settings.

    owner: the user that the pipes are given to, where the instance itself has no right to (it may reopen them).
    """
    zygote, groups = instance.zygote, instance.groups
    ours, theirs, pipes = open_line()
    try:
        if owner:
            for _, writing in pipes:
                os.fchown(writing, owner, owner)
        zygote.fork(instance.number, [theirs.fileno(), pipes[0][1], pipes[1][1]])
    finally:
        theirs.close()
        for _, writing in pipes:
            os.close(writing)
    instance.capture(pipes[0][0], "stdout")
    instance.capture(pipes[1][0], "stderr")
    ours.settimeout(0)
    loop = asyncio.get_running_loop()
    instance.pid = await who_says_hello(loop, ours)
    if groups is not None and not zygote.joins_itself and instance.pid:
        await loop.run_in_executor(None, groups.take, instance.pid)
    await loop.create_unix_connection(lambda: instance, sock=ours)
    joins = groups.joins if groups is not None and zygote.joins_itself else []
    instance.write_document(msgspec.json.encode({"cgroups": joins}))


async def who_says_hello(loop: asyncio.AbstractEventLoop, connection: socket.socket) -> int:
    """Wait for the first byte and return its sender's process id, which the kernel vouches for; 0 unknown."""
    came = asyncio.Event()
    loop.add_reader(connection.fileno(), came.set)
    try:
        await came.wait()
        _, ancillary, _, _ = connection.recvmsg(1, socket.CMSG_SPACE(_CREDENTIALS.size))
    except OSError:
        return 0  # it ended at once; whoever reads next hears of it
    finally:
        loop.remove_reader(connection.fileno())
    if sys.platform == "linux":
        connection.setsockopt(socket.SOL_SOCKET, socket.SO_PASSCRED, 0)
        for level, kind, data in ancillary:
            if (level, kind) == (socket.SOL_SOCKET, socket.SCM_CREDENTIALS):
                return int(_CREDENTIALS.unpack(data)[0])
    return 0
