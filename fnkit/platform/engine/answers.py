"""Answers whose head came before, word for word: what the parser found then holds now.

An instance says the same few heads again and again, and most answers come in one piece, so a look-up by their bytes
takes the place of six calls back from the parser. What differs in every head is the number of its request, in its
last line, so the look-up is by what stands before it.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Final, TypeAlias

__all__ = ["AnswerHeaders", "KnownHead", "known_answer", "remember_answer"]

AnswerHeaders: TypeAlias = tuple[tuple[bytes, bytes], ...]

_HEADS_MAX: Final = 1024  # handlers choose heads: what is remembered must not grow with them
_HEAD_MAX_BYTES: Final = 1024
_END: Final = b"\r\n\r\n"
_BODILESS: Final = (204, 304)


@dataclass(frozen=True, slots=True)
class KnownHead:
    """What a head says. ``length``: bytes of the body that follows."""

    status: int
    headers: AnswerHeaders
    length: int


_known: Final[dict[bytes, KnownHead]] = {}


def known_answer(data: bytes, last: bytes) -> tuple[KnownHead, bytes] | None:
    """Return head and body where ``data`` is one whole answer with a known head, and nothing else.

    last: the line that must end the head, with the line break before it.
    """
    head, _, body = data.partition(_END)
    if not head.endswith(last):
        return None
    known = _known.get(head[: -len(last)])
    return (known, body) if known is not None and len(body) == known.length else None


def remember_answer(data: bytes, last: bytes, status: int, headers: AnswerHeaders) -> None:
    """Remember the head of ``data``, which the parser found to be one whole answer that keeps the connection.

    headers: without that of the line ``last``.
    """
    head, _, body = data.partition(_END)
    names = [name.lower() for name, _ in headers]
    lengths = [value for name, value in headers if name.lower() == b"content-length"]
    if (
        len(_known) < _HEADS_MAX
        and len(head) <= _HEAD_MAX_BYTES
        and head.endswith(last)
        and lengths == [b"%d" % len(body)]
        and status not in _BODILESS
        and b"transfer-encoding" not in names
    ):
        _known[head[: -len(last)]] = KnownHead(status, headers, len(body))
