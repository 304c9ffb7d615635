"""What control and the gateway say to each other of deliveries: frames, many of them under way on one connection.

Control says ``POST`` and, where it waits no longer, ``GIVE_UP``; the gateway answers each ``POST`` once, in
whatever order answers come. A frame is its length (4 bytes, without these), its kind (1), a number that ties an
answer to its ``POST`` (8), and its content; all little-endian. HTTP would say the same with ten calls of a parser.
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

USER_AGENT: Final = "ScalewayServerlessOrchestrator/1.0"  # recorded
"""What the requests that functions get call themselves."""

BODY_MAX: Final = 63 * 1024 * 1024
"""Bytes of the longest body that a frame carries, well beyond what the gateway accepts."""

POST: Final = 1
GIVE_UP: Final = 2
ANSWER: Final = 3

_LENGTH: Final = struct.Struct("<I")
_HEAD: Final = struct.Struct("<IBQ")
_HEAD_BYTES: Final = _HEAD.size
_BEHIND_LENGTH: Final = _HEAD.size - _LENGTH.size
_ADDRESS: Final = struct.Struct("<HH")
_ANSWERED: Final = struct.Struct("<H?")
_LONGEST: Final = BODY_MAX + 1024 * 1024  # a body and its address


class Frame(NamedTuple):
    """One frame: ``POST``, ``GIVE_UP`` or ``ANSWER``, its number and what it holds."""

    kind: int
    number: int
    content: bytes


class Post(NamedTuple):
    """A message for the function that answers under ``host``."""

    host: bytes
    content_type: bytes
    body: bytes


class Answer(NamedTuple):
    """What came of it. of_function: a handler's, not the gateway's own. words: the beginning of a refusal."""

    status: int
    of_function: bool
    words: bytes


class FrameReader:
    """Puts frames together again, however they come in pieces."""

    def __init__(self) -> None:
        self._parts: list[bytes] = []  # of a frame that is not complete
        self._missing = 0  # bytes, at least

    def feed(self, data: bytes) -> list[Frame]:
        """Return the frames that are complete now. ``ValueError`` for what can be none."""
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
                raise ValueError(f"a frame of {length} bytes")
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
    """Return a ``POST``."""
    address = _address(host, content_type)
    return _HEAD.pack(_BEHIND_LENGTH + len(address) + len(body), POST, number) + address + body


def read_post(content: bytes) -> Post:
    """Return what a ``POST`` holds. ``ValueError`` where it is none."""
    try:
        host, content_type = _ADDRESS.unpack_from(content)
    except struct.error:
        raise ValueError("a POST without an address") from None
    middle = _ADDRESS.size + host
    end = middle + content_type
    return Post(content[_ADDRESS.size : middle], content[middle:end], content[end:])


def give_up_frame(number: int) -> bytes:
    """Return a ``GIVE_UP``."""
    return _HEAD.pack(_BEHIND_LENGTH, GIVE_UP, number)


def answer_frame(number: int, answer: Answer) -> bytes:
    """Return an ``ANSWER``."""
    length = _BEHIND_LENGTH + _ANSWERED.size + len(answer.words)
    return _HEAD.pack(length, ANSWER, number) + _ANSWERED.pack(answer.status, answer.of_function) + answer.words


def read_answer(content: bytes) -> Answer:
    """Return what an ``ANSWER`` holds. ``ValueError`` where it is none."""
    try:
        status, of_function = _ANSWERED.unpack_from(content)
    except struct.error:
        raise ValueError("an answer without a status") from None
    return Answer(status, of_function, content[_ANSWERED.size :])


@lru_cache(maxsize=1024)
def _address(host: str, content_type: str) -> bytes:
    first, second = host.encode("latin-1"), content_type.encode("latin-1")
    return _ADDRESS.pack(len(first), len(second)) + first + second
