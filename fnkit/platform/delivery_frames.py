"""The binary protocol for deliveries between control and the gateway; many are multiplexed on one connection.

Control sends ``REQUEST`` frames and, when it stops waiting, ``CANCEL``. The gateway sends one ``RESPONSE`` for each
request that was not cancelled, in any order. A frame is little-endian: the length of what follows (4 bytes), the
kind (1), a delivery id that matches a response to its request (8), the payload.
``docs/decisions/delivery-protocol.md`` gives the reasons for not using HTTP here.
"""

from __future__ import annotations

import struct
from functools import lru_cache
from typing import Final, NamedTuple

__all__ = [
    "ANSWER",
    "BODY_MAX",
    "GIVE_UP",
    "POST",
    "USER_AGENT",
    "Answer",
    "Frame",
    "FrameReader",
    "Post",
    "answer_frame",
    "give_up_frame",
    "post_frame",
    "read_answer",
    "read_post",
]

USER_AGENT: Final = "ScalewayServerlessOrchestrator/1.0"
"""The User-Agent of trigger and cron requests, as recorded from Scaleway."""

BODY_MAX: Final = 63 * 1024 * 1024
"""The largest body of a frame in bytes. The gateway's own limit is lower, so that it can answer with 413."""

POST: Final = 1
GIVE_UP: Final = 2
ANSWER: Final = 3

_LENGTH: Final = struct.Struct("<I")
_HEAD: Final = struct.Struct("<IBQ")
_HEAD_BYTES: Final = _HEAD.size
_BEHIND_LENGTH: Final = _HEAD.size - _LENGTH.size
_ADDRESS: Final = struct.Struct("<HH")
_ANSWERED: Final = struct.Struct("<H?")
_LONGEST: Final = BODY_MAX + 1024 * 1024  # a body, and room for its host and content type


class Frame(NamedTuple):
    """One frame. ``kind`` is ``REQUEST``, ``CANCEL`` or ``RESPONSE``."""

    kind: int
    number: int
    content: bytes


class Post(NamedTuple):
    """A message to deliver to the function with this host name."""

    host: bytes
    content_type: bytes
    body: bytes


class Answer(NamedTuple):
    """The outcome of a delivery.

    Attributes:
        status: The HTTP status that a client would have got.
        from_function: Whether an instance answered; false for the gateway's own errors.
        error_excerpt: The beginning of the body of a failed delivery, else empty.
    """

    status: int
    of_function: bool
    words: bytes


class FrameReader:
    """Decodes frames from a stream of arbitrary chunks."""

    def __init__(self) -> None:
        self._parts: list[bytes] = []  # chunks of the incomplete frame
        self._missing = 0  # lower bound of the bytes that complete it

    def feed(self, data: bytes) -> list[Frame]:
        """Return the frames that ``data`` completes.

        Raises:
            ValueError: The stream is not this protocol. The reader must not be used afterwards.
        """
        # Joining only when a frame can be complete keeps a large body that arrives in many chunks linear.
        if self._missing > len(data):
            self._parts.append(data)
            self._missing -= len(data)
            return []
        if self._parts:
            data = b"".join((*self._parts, data))
        frames: list[Frame] = []
        position, size, missing = 0, len(data), _HEAD_BYTES
        while size - position >= _HEAD_BYTES:
            length, kind, number = _HEAD.unpack_from(data, position)
            if not _BEHIND_LENGTH <= length <= _LONGEST:
                raise ValueError(f"invalid frame length {length}")
            end = position + _LENGTH.size + length
            if end > size:
                missing = end - position
                break
            frames.append(Frame(kind, number, data[position + _HEAD_BYTES : end]))
            position = end
        rest = data[position:]
        self._parts = [rest] if rest else []
        self._missing = missing - len(rest) if rest else 0
        return frames


def post_frame(number: int, host: str, content_type: str, body: bytes) -> bytes:
    """Encode a ``REQUEST`` frame."""
    address = _address(host, content_type)
    return _HEAD.pack(_BEHIND_LENGTH + len(address) + len(body), POST, number) + address + body


def read_post(content: bytes) -> Post:
    """Decode the payload of a ``REQUEST`` frame.

    Raises:
        ValueError: The payload is too short.
    """
    try:
        host, content_type = _ADDRESS.unpack_from(content)
    except struct.error:
        raise ValueError("a request frame without an address") from None
    middle = _ADDRESS.size + host
    end = middle + content_type
    return Post(content[_ADDRESS.size : middle], content[middle:end], content[end:])


def give_up_frame(number: int) -> bytes:
    """Encode a ``CANCEL`` frame."""
    return _HEAD.pack(_BEHIND_LENGTH, GIVE_UP, number)


def answer_frame(number: int, answer: Answer) -> bytes:
    """Encode a ``RESPONSE`` frame."""
    length = _BEHIND_LENGTH + _ANSWERED.size + len(answer.words)
    return _HEAD.pack(length, ANSWER, number) + _ANSWERED.pack(answer.status, answer.of_function) + answer.words


def read_answer(content: bytes) -> Answer:
    """Decode the payload of a ``RESPONSE`` frame.

    Raises:
        ValueError: The payload is too short.
    """
    try:
        status, of_function = _ANSWERED.unpack_from(content)
    except struct.error:
        raise ValueError("a response frame without a status") from None
    return Answer(status, of_function, content[_ANSWERED.size :])


@lru_cache(maxsize=1024)
def _address(host: str, content_type: str) -> bytes:
    first, second = host.encode("latin-1"), content_type.encode("latin-1")
    return _ADDRESS.pack(len(first), len(second)) + first + second
