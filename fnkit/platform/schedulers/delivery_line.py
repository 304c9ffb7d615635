"""Control's end of the connection for deliveries: many are under way on it at a time (``delivery_frames``).

It writes to its socket itself, so that it knows what the gateway can have seen when the connection breaks: of a
message whose last byte was never sent, no handler knows anything.
"""

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
_BROKEN: Final = "the connection ended before the answer's end"
_NOT_SENT: Final = "the connection ended before the message was sent"


class Unreachable(Exception):
    """The gateway's door is closed: nothing was delivered."""


@dataclass(slots=True)
class _Asked:
    """One message under way. ends_at: how many bytes the connection has carried once its last one is sent."""

    answered: asyncio.Future[Answer]
    deadline: float
    ends_at: int


class DeliveryLine:
    """One connection. ``is_open`` until either end closes it."""

    def __init__(self, connection: socket.socket) -> None:
        self.is_open = True
        self._socket = connection
        self._loop = asyncio.get_running_loop()
        self._reader = FrameReader()
        self._asked: dict[int, _Asked] = {}
        self._number = 0
        self._taken = 0  # bytes that were given to be sent
        self._sent = 0
        self._fresh: list[bytes] = []  # of this turn of the event loop
        self._unsent = memoryview(b"")  # what the socket did not take
        self._watch: asyncio.TimerHandle | None = None
        self._loop.add_reader(connection, self._readable)

    @classmethod
    async def connected(cls, path: str) -> DeliveryLine:
        """Return a connection. ``Unreachable`` where nobody listens."""
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

    async def ask(self, host: str, content_type: str, body: bytes, seconds: float) -> Answer:
        """Have a message delivered; returns what came of it.

        Raises:
            Unreachable: the gateway went away before it had the message.
            ConnectionError: it went away after that; a handler may have run.
            TimeoutError: so many real seconds went by.
        """
        if not self.is_open:
            raise Unreachable(_NOT_SENT)
        if len(body) > BODY_MAX:  # the gateway would say so too, of less
            return Answer(_TOO_LARGE, of_function=False, words=b"the body is too large")
        self._number += 1
        number = self._number
        answered: asyncio.Future[Answer] = self._loop.create_future()
        frame = post_frame(number, host, content_type, body)
        self._send(frame)
        self._asked[number] = _Asked(answered, self._loop.time() + seconds, self._taken)
        if self._watch is None:
            self._watch = self._loop.call_later(_LOOK_SECONDS, self._look)
        try:
            return await answered
        finally:
            if self._asked.pop(number, None) is not None and self.is_open:
                self._send(give_up_frame(number))

    def close(self) -> None:
        """Let go of it. Whoever still waits hears that it broke."""
        if not self.is_open:
            return
        self.is_open = False
        self._loop.remove_reader(self._socket)
        self._loop.remove_writer(self._socket)
        self._socket.close()
        if self._watch is not None:
            self._watch.cancel()
        asked, self._asked = self._asked, {}
        for one in asked.values():
            if not one.answered.done():
                seen = one.ends_at <= self._sent
                one.answered.set_exception(ConnectionError(_BROKEN) if seen else Unreachable(_NOT_SENT))

    # Writing: what one turn of the event loop has to say goes out in one piece

    def _send(self, frame: bytes) -> None:
        self._taken += len(frame)
        self._fresh.append(frame)
        if len(self._fresh) == 1 and not self._unsent:
            self._loop.call_soon(self._flush)

    def _flush(self) -> None:
        if not self.is_open:
            return
        fresh, self._fresh = self._fresh, []
        waiting = memoryview(b"".join((self._unsent, *fresh))) if fresh else self._unsent
        while waiting:
            try:
                number = self._socket.send(waiting)
            except (BlockingIOError, InterruptedError):
                break
            except OSError:
                self.close()
                return
            self._sent += number
            waiting = waiting[number:]
        if waiting and not self._unsent:
            self._loop.add_writer(self._socket, self._flush)
        elif self._unsent and not waiting:
            self._loop.remove_writer(self._socket)
        self._unsent = waiting

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
                answer = read_answer(frame.content)
                # Its deadline may have passed a moment ago.
                if (asked := self._asked.pop(frame.number, None)) is not None and not asked.answered.done():
                    asked.answered.set_result(answer)
        except ValueError:
            self.close()

    def _look(self) -> None:
        """One look at all of them now and then costs less than a timer for each."""
        now = self._loop.time()
        for asked in self._asked.values():
            if now > asked.deadline and not asked.answered.done():
                asked.answered.set_exception(TimeoutError("no answer came in time"))
        self._watch = self._loop.call_later(_LOOK_SECONDS, self._look) if self._asked else None
