"""The worker: sends it one request at a time, in the order in which they came, and sees it end."""

from __future__ import annotations

import asyncio
import contextlib
import json
import os
import signal
from collections import deque
from collections.abc import Sequence
from typing import Final, Protocol, cast

from fnkit.core_runtime.worker_output import WorkerOutput
from fnkit.core_runtime.worker_response import InvalidResponse, WorkerResponseReader
from fnkit.core_runtime.worker_start import WorkerHandle

_READY_START: Final = b'{"ready": true'  # followed by the error of an import that failed, which is in the log
_READY_MAX_BYTES: Final = 65536
_ERROR_START: Final = b'{"error":'
_ERROR_MAX_BYTES: Final = 4096
_IMPORT_ERROR_MAX_CHARACTERS: Final = 2000  # as many as workers send
_QUEUE_MAX: Final = 100
_SOCKET_GRACE_SECONDS: Final = 0.2  # from the end of a process to that of its socket, which a child may hold open
_EXIT_TIMEOUT: Final = 1
_EXIT_SIGNAL: Final = 128


class ResponseTarget(Protocol):
    """A request that waits for the worker, and receives its response.

    Attributes:
        request_id: Its id in the platform's log; empty if unknown.
    """

    request_id: bytes

    def encode_document(self) -> Sequence[bytes] | None:
        """Return the JSON for the worker: it is the request's turn. ``None``: its response does not need it."""

    def on_response_start(self, response: WorkerResponseReader) -> None:
        """The head of the response is complete."""

    def on_response_data(self, data: bytes) -> None:
        """A piece of the body has arrived."""

    def on_response_end(self) -> None:
        """The response is complete."""

    def on_failure(self, status: int, message: str, end_reason: str) -> None:
        """There is no response, or its rest is missing.

        Args:
            status: The status for the client.
            message: The message for the client.
            end_reason: Why the worker ended; empty if it did not have the request.
        """

    def abandon_client(self) -> bool:
        """Give up the client if the response waits for it to read; return whether it does."""


class QueuedRequest:
    """A request in the queue or at the worker. ``target`` is ``None`` once no client waits for the response."""

    def __init__(self, target: ResponseTarget) -> None:
        self.target: ResponseTarget | None = target
        self.timer: asyncio.TimerHandle | None = None

    def detach(self) -> ResponseTarget | None:
        """Remove the target, which is not called any more, and return it."""
        if self.timer is not None:
            self.timer.cancel()
        target, self.target = self.target, None
        return target


class WorkerProcess(asyncio.Protocol):
    """The core runtime's end of the worker. Lives on one event loop.

    Args:
        handle: The started process.
        function_name: The name of the function, for messages.
        timeout: Seconds that a request may take, waiting included.

    Attributes:
        ready: Done when the handler is imported, or its import failed.
        import_error: The end of the traceback if the import failed, else empty.
        ended: Done when the process has ended and its request is answered; how the core runtime should exit.
        reason: Why it ends; empty until then.
    """

    def __init__(self, handle: WorkerHandle, function_name: str, timeout: float) -> None:
        self._loop = asyncio.get_running_loop()
        self.ready: asyncio.Future[None] = self._loop.create_future()
        self.ended: asyncio.Future[int] = self._loop.create_future()
        self.import_error = ""
        self.reason = ""
        self._handle = handle
        self._output = WorkerOutput(*handle.outputs) if handle.outputs is not None else None
        self._function_name = function_name
        self._timeout = timeout
        self._transport: asyncio.Transport | None = None
        self._queue: deque[QueuedRequest] = deque()
        self._current: QueuedRequest | None = None
        self._response = WorkerResponseReader()
        self._start_line = b""
        self._wait_status: int | None = None
        self._is_disconnected = False
        self._has_timed_out = False
        self._is_leaving = False  # its last response announced its end

    async def connect(self) -> None:
        """Read what the process sends."""
        await self._loop.create_unix_connection(lambda: self, sock=self._handle.connection)

    # Requests

    def submit(self, target: ResponseTarget) -> QueuedRequest:
        """Send a request as soon as the worker is free. The target may be called at once."""
        request = QueuedRequest(target)
        if self.ended.done() or self.reason:
            self._fail(request, 503, f"{self._function_name} is no longer served")
        elif len(self._queue) >= _QUEUE_MAX:
            self._fail(request, 503, f"{self._function_name} is at its maximum scale and its queue is full")
        else:
            request.timer = self._loop.call_later(self._timeout, self._on_timeout, request)
            self._queue.append(request)
            self._send_next()
        return request

    def cancel(self, request: QueuedRequest) -> None:
        """Forget a request whose client is gone. If the worker has it, its response is discarded."""
        if request is self._current:
            request.target = None  # its timer stays: a handler that never ends blocks all others
            self.resume()
        elif request in self._queue:
            request.detach()
            self._queue.remove(request)

    def _send_next(self) -> None:
        while self._queue and self._current is None and not self._is_leaving and self._transport is not None:
            request = self._queue.popleft()
            pieces = request.target.encode_document() if request.target is not None else ()
            if pieces is not None:
                self._send(self._transport, request, pieces)
            elif (target := request.detach()) is not None:
                target.on_response_end()

    def _send(self, transport: asyncio.Transport, request: QueuedRequest, pieces: Sequence[bytes]) -> None:
        self._current = request
        self._response = WorkerResponseReader()
        if self._output is not None and request.target is not None:
            self._output.begin_request(request.target.request_id)
        transport.write(self._response.encode_request_head(sum(map(len, pieces))))
        transport.writelines(pieces)

    def _on_timeout(self, request: QueuedRequest) -> None:
        message = f"{self._function_name} did not answer within {self._timeout:g} s"
        if request is not self._current:
            self._queue.remove(request)
            self._fail(request, 504, message)
        elif request.target is None or not request.target.abandon_client():
            # Nothing else stops a handler, and a worker that still runs one cannot take another request.
            self._has_timed_out = True
            self.kill(message)

    @staticmethod
    def _fail(request: QueuedRequest, status: int, message: str, *, end_reason: str = "") -> None:
        target = request.detach()
        if target is not None:
            target.on_failure(status, message, end_reason)

    def pause(self) -> None:
        """Stop reading the response, because the client is slower."""
        if self._transport is not None and not self._transport.is_closing():
            self._transport.pause_reading()

    def resume(self) -> None:
        """Read again."""
        if self._transport is not None and not self._transport.is_closing():
            self._transport.resume_reading()

    @property
    def is_ending(self) -> bool:
        """Whether it gets no further request."""
        return bool(self.reason) or self._is_leaving

    # What the process sends

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        """Keep the transport."""
        self._transport = cast("asyncio.Transport", transport)

    def data_received(self, data: bytes) -> None:
        """Read the line that reports readiness, then responses."""
        if self.reason:
            return
        if not self.ready.done():
            self._read_start_line(data)
        elif self._current is None:
            self.kill("it sent data without a request")
        else:
            try:
                self._read_response(data, self._current)
            except InvalidResponse as error:
                self.kill(str(error))

    def _read_start_line(self, data: bytes) -> None:
        self._start_line += data
        line, start = self._start_line, self._start_line[: len(_READY_START)]
        if start == _READY_START and line.find(b"\n") == len(line) - 1:
            self.import_error = _read_import_error(line)
            self.ready.set_result(None)
        elif _READY_START.startswith(start) and b"\n" not in line and len(line) < _READY_MAX_BYTES:
            return
        elif not self._start_line.startswith(_ERROR_START[: len(self._start_line)]):
            self.kill("it sent data before it was ready")
        elif self._start_line.endswith(b"\n") or len(self._start_line) > _ERROR_MAX_BYTES:
            self.kill(_read_error(self._start_line))

    def _read_response(self, data: bytes, request: QueuedRequest) -> None:
        response = self._response
        is_started = response.status > 0
        body = response.feed(data)
        self._is_leaving = response.is_last
        if response.is_complete and self._output is not None:
            self._output.end_request()  # before the response: its client may look into the log at once
        if response.status and not is_started and request.target is not None:
            request.target.on_response_start(response)
        if body and request.target is not None:
            request.target.on_response_data(body)
        if not response.is_complete:
            return
        self._current = None
        if response.has_trailing_data:
            self.kill("it sent data without a request")
        target = request.detach()
        if target is not None:
            target.on_response_end()
        self.resume()
        if not self.reason:
            self._send_next()

    # The end

    def kill(self, reason: str) -> None:
        """Kill the process and those that it started, as far as they are in its group. ``ended`` follows."""
        self.reason = self.reason or reason
        if self._wait_status is None:
            with contextlib.suppress(OSError):
                os.killpg(self._handle.pid, signal.SIGKILL)
            with contextlib.suppress(OSError):  # before it has become a leader, or after it has changed its group
                os.kill(self._handle.pid, signal.SIGKILL)

    def connection_lost(self, _error: Exception | None) -> None:
        """Handle the end of the socket: the process has ended, or can no longer be reached and is killed."""
        self._is_disconnected = True
        if self._wait_status is not None:
            self._finish()
        else:
            with contextlib.suppress(OSError):
                os.kill(self._handle.pid, signal.SIGKILL)

    def on_exited(self, pid: int, wait_status: int) -> None:
        """Handle the end of a child process, which may be another one."""
        if pid != self._handle.pid or self._wait_status is not None:
            return
        self._wait_status = wait_status
        if self._is_disconnected:
            self._finish()
        else:  # the socket may still hold data that it sent before its end
            self._loop.call_later(_SOCKET_GRACE_SECONDS, self._finish)

    def _finish(self) -> None:
        if self.ended.done():
            return
        status = self._wait_status or 0
        if self._transport is not None:
            self._transport.abort()
        if self._output is not None:
            self._output.close()
        self.reason = self.reason or _describe_status(status)
        current, self._current = self._current, None
        if current is not None and self._has_timed_out:
            self._fail(current, 504, self.reason, end_reason=self.reason)
        elif current is not None:
            message = f"the instance of {self._function_name} ended while it answered: {self.reason}"
            self._fail(current, 502, message, end_reason=self.reason)
        waiting, self._queue = self._queue, deque()
        for request in waiting:
            self._fail(request, 503, f"{self._function_name} is no longer served")
        self.ended.set_result(_EXIT_TIMEOUT if self._has_timed_out else _exit_code(status))


def _read_import_error(line: bytes) -> str:
    r"""Return why a worker that is ready could not import the handler.

    >>> _read_import_error(b'{"ready": true, "import_error": "KeyError"}\n')
    'KeyError'
    """
    try:
        error = json.loads(line).get("import_error", "")
    except (ValueError, RecursionError):
        return ""
    return error[-_IMPORT_ERROR_MAX_CHARACTERS:] if isinstance(error, str) else ""


def _read_error(line: bytes) -> str:
    r"""Return the error that a worker reports instead of being ready.

    >>> _read_error(b'{"error": "OSError: no"}\n')
    'OSError: no'
    """
    try:
        error = json.loads(line)["error"]
    except (ValueError, KeyError, RecursionError):
        return "it sent data before it was ready"
    return str(error)


def _describe_status(status: int) -> str:
    """Return a description of a wait status.

    >>> _describe_status(0x300)
    'exit 3'
    """
    if os.WIFSIGNALED(status):
        return f"killed by signal {os.WTERMSIG(status)}"
    return f"exit {os.waitstatus_to_exitcode(status)}"


def _exit_code(status: int) -> int:
    return _EXIT_SIGNAL + os.WTERMSIG(status) if os.WIFSIGNALED(status) else os.WEXITSTATUS(status)
