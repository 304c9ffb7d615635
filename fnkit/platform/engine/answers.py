"""Cache of response heads: what the parser found in a head holds for the same bytes again."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Final, TypeAlias

__all__ = ["AnswerHeaders", "KnownHead", "known_answer", "remember_answer"]

AnswerHeaders: TypeAlias = tuple[tuple[bytes, bytes], ...]

_HEADS_MAX: Final = 1024  # handlers choose their headers, so the cache must be bounded
_HEAD_MAX_BYTES: Final = 1024
_END: Final = b"\r\n\r\n"
_BODILESS: Final = (204, 304)


@dataclass(frozen=True, slots=True)
class KnownHead:
    """A parsed head.

    Attributes:
        status: The status code.
        headers: The headers without the nonce.
        content_length: The size of the body in bytes.
    """

    status: int
    headers: AnswerHeaders
    length: int


_known: Final[dict[bytes, KnownHead]] = {}


def known_answer(data: bytes, nonce_line: bytes) -> tuple[KnownHead, bytes] | None:
    """Return head and body if ``data`` is exactly one complete response with a cached head.

    Args:
        data: The received bytes.
        nonce_line: The line that must end the head, with the line break before it.
    """
    head, _, body = data.partition(_END)
    if not head.endswith(nonce_line):
        return None
    cached = _known.get(head[: -len(nonce_line)])
    return (cached, body) if cached is not None and len(body) == cached.length else None


def remember_answer(data: bytes, nonce_line: bytes, status: int, headers: AnswerHeaders) -> None:
    """Cache the head of a response that the parser accepted as complete and that keeps the connection open.

    Args:
        data: The bytes of the response, received in one read.
        nonce_line: The last line of its head, with the line break before it.
        status: The status code.
        headers: The headers without the nonce.
    """
    head, _, body = data.partition(_END)
    names = [name.lower() for name, _ in headers]
    lengths = [value for name, value in headers if name.lower() == b"content-length"]
    if (
        # Only heads that declare the length of the body themselves: the end of others depends on more than the
        # head.
        len(_known) < _HEADS_MAX
        and len(head) <= _HEAD_MAX_BYTES
        and head.endswith(nonce_line)
        and lengths == [b"%d" % len(body)]
        and status not in _BODILESS
        and b"transfer-encoding" not in names
    ):
        _known[head[: -len(nonce_line)]] = KnownHead(status, headers, len(body))
