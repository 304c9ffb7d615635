"""Header names and values in the form of Go's net/http, on which the core runtime is built."""

from __future__ import annotations

import re
from typing import Final

__all__ = ["HOP_BY_HOP", "canonical_header", "is_header_name", "sanitize_header_value"]

_HEADER_NAME: Final = re.compile(r"[!#$%&'*+\-.^_`|~0-9A-Za-z]+")
_LINE_BREAK_TRANSLATION: Final = str.maketrans("\r\n\0", "   ")
_CANONICAL_NAMES_MAX: Final = 4096
_canonical_names: Final[dict[str, str]] = {}

HOP_BY_HOP: Final = frozenset(
    {
        "Connection",
        "Content-Length",
        "Keep-Alive",
        "Proxy-Authenticate",
        "Proxy-Authorization",
        "Proxy-Connection",
        "Te",
        "Trailer",
        "Transfer-Encoding",
        "Upgrade",
    }
)
"""Headers that apply to a single connection and are not forwarded (RFC 9110, section 7.6.1)."""


def is_header_name(name: str) -> bool:
    """Return whether this is an HTTP token. Go omits headers with other names from a response."""
    return _HEADER_NAME.fullmatch(name) is not None


def sanitize_header_value(value: str) -> str:
    """Replace line breaks in a header value with spaces, as Go does, so that a value cannot add headers.

    NUL is replaced as well: Go writes it, but RFC 9110, section 5.5, forbids it and clients reject it.
    """
    return value.translate(_LINE_BREAK_TRANSLATION).strip(" \t")


def canonical_header(name: str) -> str:
    """Return a header name in Go's canonical form; a name that is not a token is returned unchanged.

    >>> canonical_header("x-request-id")
    'X-Request-Id'
    """
    known = _canonical_names.get(name)
    if known is not None:
        return known
    spelled = "-".join(part.capitalize() for part in name.split("-")) if is_header_name(name) else name
    if len(_canonical_names) < _CANONICAL_NAMES_MAX:  # bounded, because clients choose the names
        _canonical_names[name] = spelled
    return spelled
