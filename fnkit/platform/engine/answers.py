"""Cache of response heads: what the parser found in a head holds for the same bytes again."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Final, TypeAlias

__all__ = ["ResponseHeaders", "CachedHead", "lookup_head", "store_head"]

ResponseHeaders: TypeAlias = tuple[tuple[bytes, bytes], ...]

_MAX_CACHED_HEADS: Final = 1024  # handlers choose their headers, so the cache must be bounded
_MAX_CACHED_HEAD_BYTES: Final = 1024
_HEAD_END: Final = b"\r\n\r\n"
_BODILESS_STATUSES: Final = (204, 304)


@dataclass(frozen=True, slots=True)
class CachedHead:
    """A parsed head.

    Attributes:
        status: The status code.
        headers: The headers without the nonce.
        content_length: The size of the body in bytes.
    """

    status: int
    headers: ResponseHeaders
    content_length: int


_cached_heads: Final[dict[bytes, CachedHead]] = {}


def lookup_head(data: bytes, nonce_line: bytes) -> tuple[CachedHead, bytes] | None:
    """Return head and body if ``data`` is exactly one complete response with a cached head.

    Args:
        data: The received bytes.
        nonce_line: The line that must end the head, with the line break before it.
    """
    head, _, body = data.partition(_HEAD_END)
    if not head.endswith(nonce_line):
        return None
    cached = _cached_heads.get(head[: -len(nonce_line)])
    return (cached, body) if cached is not None and len(body) == cached.content_length else None


def store_head(data: bytes, nonce_line: bytes, status: int, headers: ResponseHeaders) -> None:
    """Cache the head of a response that the parser accepted as complete and that keeps the connection open.

    Args:
        data: The bytes of the response, received in one read.
        nonce_line: The last line of its head, with the line break before it.
        status: The status code.
        headers: The headers without the nonce.
    """
    head, _, body = data.partition(_HEAD_END)
    names = [name.lower() for name, _ in headers]
    lengths = [value for name, value in headers if name.lower() == b"content-length"]
    if (
        # Only heads that declare the length of the body themselves: the end of others depends on more than the
        # head.
        len(_cached_heads) < _MAX_CACHED_HEADS
        and len(head) <= _MAX_CACHED_HEAD_BYTES
        and head.endswith(nonce_line)
        and lengths == [b"%d" % len(body)]
        and status not in _BODILESS_STATUSES
        and b"transfer-encoding" not in names
    ):
        _cached_heads[head[: -len(nonce_line)]] = CachedHead(status, headers, len(body))
