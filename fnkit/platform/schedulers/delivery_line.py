"""Control's end of the connection for deliveries, on which many requests are multiplexed (``delivery_frames``)."""

from __future__ import annotations

import asyncio
import socket
from dataclasses import dataclass
from typing import Final

from fnkit.platform.delivery_frames import (
    ANSWER,
    BODY_MAX,
    Answer,
    FrameReader,
    give_up_frame,
    post_frame,
    read_answer,
)

__all__ = ["DeliveryLine", "Unreachable"]

_READ_BYTES: Final = 64 * 1024
_LOOK_SECONDS: Final = 0.5
_TOO_LARGE: Final = 413
_BROKEN: Final = "the connection closed before the response was complete"
_NOT_SENT: Final = "the connection closed before the message was sent"


class Unreachable(Exception):
    """The gateway cannot be reached; nothing was delivered."""


@dataclass(slots=True)
class _Asked:
    """A request without a response.

    Attributes:
        response: Receives the response or the error.
        deadline: Time of the event loop after which the request times out.
        end_offset: Position of the request's last byte in the stream of all bytes of the connection.
    """

    answered: asyncio.Future[Answer]
    deadline: float
    ends_at: int


class DeliveryLine:
    """One connection. ``is_open`` is true until either end closes it."""

    def __init__(self, connection: socket.socket) -> None:
        self.is_open = True
        self._socket = connection
        self._loop = asyncio.get_running_loop()
        self._reader = FrameReader()
        self._asked: dict[int, _Asked] = {}
        self._number = 0
        self._taken = 0  # bytes passed to ``_send`` since the connection was opened
        self._sent = 0  # bytes accepted by the socket since then
        self._fresh: list[bytes] = []  # frames of this iteration of the event loop
        self._unsent = memoryview(b"")  # what the socket did not accept yet
        self._watch: asyncio.TimerHandle | None = None
        self._loop.add_reader(connection, self._readable)

    @classmethod
    async def connected(cls, path: str) -> DeliveryLine:
        """Connect to the socket at ``path``.

        Raises:
            Unreachable: Nothing listens there.
        """
        connection = socket.socket(socket.AF_UNIX, socket.SOCK_STREAM)
        connection.settimeout(0)
        try:
            await asyncio.get_running_loop().sock_connect(connection, path)
        except BaseException as error:
            connection.close()
            if isinstance(error, OSError):
                raise Unreachable(str(error)) from None
            raise
        return cls(connection)

    async def ask(self, host: str, content_type: str, body: bytes, timeout_seconds: float) -> Answer:
        """Send a request and wait for its response.

        Args:
            host: The function's hostname at the gateway.
            content_type: Value of the ``Content-Type`` header.
            body: The body.
            timeout_seconds: Real seconds to wait.

        Raises:
            Unreachable: The connection closed before the request was sent completely.
            ConnectionError: The connection closed later; a handler may have run.
            TimeoutError: The time is over; a handler may have run.
        """
        if not self.is_open:
            raise Unreachable(_NOT_SENT)
        if len(body) > BODY_MAX:  # a longer frame would break the protocol; the gateway's own limit is lower
            return Answer(_TOO_LARGE, of_function=False, words=b"the body is too large")
        self._number += 1
        delivery_id = self._number
        response: asyncio.Future[Answer] = self._loop.create_future()
        frame = post_frame(delivery_id, host, content_type, body)
        self._send(frame)
        self._asked[delivery_id] = _Asked(response, self._loop.time() + timeout_seconds, self._taken)
        if self._watch is None:
            self._watch = self._loop.call_later(_LOOK_SECONDS, self._look)
        try:
            return await response
        finally:
            if self._asked.pop(delivery_id, None) is not None and self.is_open:
                self._send(give_up_frame(delivery_id))

    def close(self) -> None:
        """Close the connection. Pending requests fail."""
        if not self.is_open:
            return
        self.is_open = False
        self._loop.remove_reader(self._socket)
        self._loop.remove_writer(self._socket)
        self._socket.close()
        if self._watch is not None:
            self._watch.cancel()
        pending, self._asked = self._asked, {}
        for request in pending.values():
            if not request.answered.done():
                # Written completely means that the gateway may have read it and started the handler.
                was_sent = request.ends_at <= self._sent
                request.answered.set_exception(ConnectionError(_BROKEN) if was_sent else Unreachable(_NOT_SENT))

    # Writing. The frames of one iteration of the event loop are sent with one system call.

    def _send(self, frame: bytes) -> None:
        self._taken += len(frame)
        self._fresh.append(frame)
        if len(self._fresh) == 1 and not self._unsent:
            self._loop.call_soon(self._flush)

    def _flush(self) -> None:
        if not self.is_open:
            return
        buffer, self._fresh = self._fresh, []
        backlog = memoryview(b"".join((self._unsent, *buffer))) if buffer else self._unsent
        while backlog:
            try:
                sent = self._socket.send(backlog)
            except (BlockingIOError, InterruptedError):
                break
            except OSError:
                self.close()
                return
            self._sent += sent
            backlog = backlog[sent:]
        if backlog and not self._unsent:
            self._loop.add_writer(self._socket, self._flush)
        elif self._unsent and not backlog:
            self._loop.remove_writer(self._socket)
        self._unsent = backlog

    # Reading

    def _readable(self) -> None:
        try:
            data = self._socket.recv(_READ_BYTES)
        except (BlockingIOError, InterruptedError):
            return
        except OSError:
            data = b""
        if not data:
            self.close()
            return
        try:
            for frame in self._reader.feed(data):
                if frame.kind != ANSWER:
                    continue
                response = read_answer(frame.content)
                # The request may have timed out in this iteration, in which case its future is done.
                if (request := self._asked.pop(frame.number, None)) is not None and not request.answered.done():
                    request.answered.set_result(response)
        except ValueError:
            self.close()

    def _look(self) -> None:
        """Fail the requests whose deadline has passed.

        One periodic check of all requests costs less than a timer for each. A timeout may be late by half a second.
        """
        now = self._loop.time()
        for request in self._asked.values():
            if now > request.deadline and not request.answered.done():
                request.answered.set_exception(TimeoutError("timed out waiting for the response"))
        self._watch = self._loop.call_later(_LOOK_SECONDS, self._look) if self._asked else None
