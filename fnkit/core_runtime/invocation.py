"""Invocations: a request from the moment it is complete until its response is written.

A response whose body is a JSON object, a string or ``null`` is mapped, and so is every error of a handler. All
others are sent while they arrive, as are those of more than 32 MiB.
"""

from __future__ import annotations

import json
from collections.abc import Sequence
from typing import Final, Protocol

from fnkit.contract.invocation.http_head import (
    RESPONSE_BODY_MAX_BYTES,
    encode_head,
    json_message,
    overload_response,
)
from fnkit.contract.invocation.response import (
    PANIC_HEADER,
    Headers,
    MappedResponse,
    add_content_type,
    map_handler_error,
    map_response,
    needs_complete_body,
)
from fnkit.core_runtime.http_response import BODILESS_STATUSES, complete_head, encode_response
from fnkit.core_runtime.log import STDOUT, escape_control, write_line
from fnkit.core_runtime.memory import BodyBytes, MemoryExhausted
from fnkit.core_runtime.worker_process import QueuedRequest, WorkerProcess
from fnkit.core_runtime.worker_response import WorkerResponseReader

_HANDLER_ERROR_STATUS: Final = 500
_WORKER_ENDED_STATUS: Final = 502
_REASON_MAX: Final = 200
_IMPORT_ERROR_HEADER: Final = "fnkit-import-error"
_NOT_FORWARDED: Final = ("connection", "transfer-encoding")
_OWN_PREFIX: Final = "fnkit-"
_PANIC: Final = PANIC_HEADER.decode()
_JSON_SPACE: Final = b" \t\r\n"


class ClientConnection(Protocol):
    """The connection that a response is written to."""

    @property
    def keep_alive(self) -> bool:
        """Whether another request may follow."""

    def write(self, data: bytes) -> bool:
        """Write, and return whether the client keeps up."""

    def end_response(self, *, is_complete: bool) -> None:
        """End the response. An incomplete one is shown to the client by closing the connection."""


class CoreInvocation:
    """Base class: an invocation whose response is written as it arrives.

    Args:
        worker: Runs the handler.
        connection: The client.
        is_head: Whether the response has no body, as that to HEAD.
        nonce: What the response repeats for a platform's gateway; ``None`` for other clients.
        request_id: The id of the request in the platform's log; empty if unknown.
    """

    def __init__(
        self,
        worker: WorkerProcess,
        connection: ClientConnection,
        *,
        is_head: bool,
        nonce: bytes | None = None,
        request_id: bytes = b"",
    ) -> None:
        self.request_id = request_id
        self._worker = worker
        self._connection = connection
        self._is_head = is_head
        self._nonce = nonce
        self._queued: QueuedRequest | None = None
        self._is_cancelled = False
        self._is_held_up = False  # the worker waits for the client to read
        self._is_begun = False  # the head is encoded, and the body follows unchanged
        self._head = b""  # until it is written with the first piece of the body

    def start(self) -> None:
        """Wait for the worker's turn."""
        queued = self._worker.submit(self)
        if queued.target is not None:
            self._queued = queued

    def cancel(self) -> None:
        """Cancel: the client is gone. A handler that runs may finish."""
        self._is_cancelled = True
        if self._queued is not None:
            self._worker.cancel(self._queued)
            self._queued = None

    def resume(self) -> None:
        """Continue to read the response: the client has caught up."""
        if self._is_held_up:
            self._is_held_up = False
            self._worker.resume()

    def abandon_client(self) -> bool:
        """Close the connection if the response waits for the client to read it."""
        if not self._is_held_up:
            return False
        self.cancel()
        self._connection.end_response(is_complete=False)
        return True

    def encode_document(self) -> Sequence[bytes] | None:
        """Return the JSON for the worker; ``None`` if the response does not need it."""
        raise NotImplementedError

    def on_response_start(self, response: WorkerResponseReader) -> None:
        """Use the head of the response."""
        raise NotImplementedError

    def on_response_data(self, data: bytes) -> None:
        """Write a piece of the body."""
        if self._is_cancelled:
            return
        output, self._head = self._head if self._is_head else self._head + data, b""
        if output and not self._connection.write(output):
            self._is_held_up = True
            self._worker.pause()

    def on_response_end(self) -> None:
        """End the response."""
        if self._head:
            CoreInvocation.on_response_data(self, b"")
        self._queued = None
        self._is_held_up = False
        if not self._is_cancelled:
            self._connection.end_response(is_complete=True)

    def on_failure(self, status: int, message: str, end_reason: str) -> None:
        """Close the connection: an incomplete response has no other end."""
        del status, message, end_reason
        self._queued = None
        if not self._is_cancelled:
            self._connection.end_response(is_complete=False)

    def _begin(self, status: int, headers: Headers, length: int, *, keep_alive: bool) -> None:
        self._is_begun = True
        head = encode_head(status, headers)
        self._head = complete_head(head, status, length, keep_alive=keep_alive, nonce=self._nonce)


class DirectInvocation(CoreInvocation):
    """The request of a platform's gateway, which has built the event and maps the response itself.

    Args:
        worker: Runs the handler.
        connection: The gateway.
        body: Event and context as JSON.
        nonce: What the response repeats.
        request_id: The id of the request in the platform's log; empty if unknown.
    """

    def __init__(
        self,
        worker: WorkerProcess,
        connection: ClientConnection,
        body: BodyBytes,
        *,
        nonce: bytes | None,
        request_id: bytes,
    ) -> None:
        super().__init__(worker, connection, is_head=False, nonce=nonce, request_id=request_id)
        self._body = body

    def encode_document(self) -> Sequence[bytes]:
        """Return the body of the request, unchanged."""
        content = bytes(self._body.content)
        self._body.clear()
        return [content]

    def on_response_start(self, response: WorkerResponseReader) -> None:
        """Encode the head, with the worker's headers but those that only the core runtime may send."""
        lines = [
            (name, value)
            for name, value in _text_headers(response)
            if name not in _NOT_FORWARDED and (name == _PANIC or not name.startswith(_OWN_PREFIX))
        ]
        keep_alive = self._connection.keep_alive and not response.is_last
        self._is_head = response.status in BODILESS_STATUSES  # a body would be read as another response
        self._begin(response.status, lines, response.length, keep_alive=keep_alive)

    def on_failure(self, status: int, message: str, end_reason: str) -> None:
        """Tell the gateway why the worker ended; otherwise it decides by the end of the connection."""
        is_sent = self._is_begun and not self._head
        if not end_reason or is_sent or self._is_cancelled:
            super().on_failure(status, message, end_reason)
            return
        self._queued = None
        ended = MappedResponse(_WORKER_ENDED_STATUS, [("fnkit-instance-ended", _header_text(end_reason))], b"")
        self._connection.write(encode_response(ended, keep_alive=False, is_head=False, nonce=self._nonce))
        self._connection.end_response(is_complete=True)


class ProbeInvocation(CoreInvocation):
    """The question of a platform's gateway whether the worker has completed the requests before this one.

    The response also says why the handler could not be imported, as a JSON string.

    Args:
        worker: The worker, which does not see the question.
        connection: The gateway.
        nonce: What the response repeats.
    """

    def __init__(self, worker: WorkerProcess, connection: ClientConnection, *, nonce: bytes | None) -> None:
        super().__init__(worker, connection, is_head=True, nonce=nonce)
        self._import_error = worker.import_error

    def encode_document(self) -> None:
        """Encode the response: it is the turn of this request."""
        error = [(_IMPORT_ERROR_HEADER, json.dumps(self._import_error))] if self._import_error else []
        self._begin(204, error, 0, keep_alive=self._connection.keep_alive)


class EventInvocation(CoreInvocation):
    """The request of any client.

    Args:
        worker: Runs the handler.
        connection: The client.
        path: The decoded path, for the log.
        document: The JSON for the worker, encoded when it is needed.
        buffer: An empty body, for a response that is mapped.
        is_head: Whether the response has no body, as that to HEAD.
    """

    def __init__(
        self,
        worker: WorkerProcess,
        connection: ClientConnection,
        *,
        path: str,
        document: DocumentSource,
        buffer: BodyBytes,
        is_head: bool,
    ) -> None:
        super().__init__(worker, connection, is_head=is_head)
        self._path = path
        self._document = document
        self._buffer = buffer
        self._response: WorkerResponseReader | None = None
        self._is_mapped: bool | None = None  # unknown before the first byte of the body

    def encode_document(self) -> Sequence[bytes]:
        """Log the request and return event and context."""
        write_line(STDOUT, f"Function Triggered: {self._path}")
        return self._document.encode()

    def on_response_start(self, response: WorkerResponseReader) -> None:
        """Keep the head until it is known whether the response is mapped."""
        self._response = response
        if response.status == _HANDLER_ERROR_STATUS:
            self._is_mapped = True

    def on_response_data(self, data: bytes) -> None:
        """Buffer a piece of the body, or write it."""
        if self._is_begun:
            super().on_response_data(data)
            return
        if self._is_mapped is None and (start := data.lstrip(_JSON_SPACE)):
            self._is_mapped = needs_complete_body(start[0])
        try:
            self._buffer.append(data)
        except MemoryExhausted:
            self._give_up(overload_response())
            return
        if self._is_mapped is False or len(self._buffer.content) > RESPONSE_BODY_MAX_BYTES:
            self._start_unmapped()

    def _start_unmapped(self) -> None:
        response = self._response
        if response is None:
            return
        content = bytes(self._buffer.content)
        self._buffer.clear()
        mapped = map_response(response.status, _text_headers(response), b"")
        headers = add_content_type(mapped.headers, content)
        self._begin(mapped.status, headers, response.length, keep_alive=self._connection.keep_alive)
        super().on_response_data(content)

    def on_response_end(self) -> None:
        """Write the mapped response, or the end."""
        response = self._response
        if not self._is_begun and response is not None and not self._is_cancelled:
            if self._is_mapped:
                content = bytes(self._buffer.content)
                self._buffer.clear()
                self._write(_map(response, content))
            else:  # an empty body, or one of white space
                self._start_unmapped()
        super().on_response_end()

    def on_failure(self, status: int, message: str, end_reason: str) -> None:
        """Write the gateway's error; close the connection if the response has begun."""
        if self._is_begun or self._is_cancelled:
            super().on_failure(status, message, end_reason)
        else:
            self._give_up(json_message(status, message))

    def _give_up(self, response: MappedResponse) -> None:
        """Write this response instead of the handler's, which is discarded."""
        self._write(response)
        self._buffer.clear()
        self.cancel()
        self._connection.end_response(is_complete=True)

    def _write(self, response: MappedResponse) -> None:
        keep_alive = self._connection.keep_alive
        self._connection.write(encode_response(response, keep_alive=keep_alive, is_head=self._is_head))


class DocumentSource(Protocol):
    """A request that can be encoded."""

    def encode(self) -> Sequence[bytes]:
        """Return event and context as JSON, and forget the body."""


def _text_headers(response: WorkerResponseReader) -> Headers:
    return [(name.decode("latin-1"), value.decode("utf-8", "replace")) for name, value in response.headers]


def _map(response: WorkerResponseReader, body: bytes) -> MappedResponse:
    if response.status == _HANDLER_ERROR_STATUS:
        return map_handler_error(response.headers, body)
    return map_response(response.status, _text_headers(response), body)


def _header_text(text: str) -> str:
    """Return the text as a value of a header: one line of ASCII."""
    return escape_control(text).encode("ascii", "backslashreplace").decode()[:_REASON_MAX]
