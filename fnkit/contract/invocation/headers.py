"""Header names and values as Go's net/http, which the core runtime is made of, writes them."""

from __future__ import annotations

import re
from typing import Final

__all__ = ["HOP_BY_HOP", "canonical_header", "is_header_name", "safe_value"]

_TOKEN: Final = re.compile(r"[!#$%&'*+\-.^_`|~0-9A-Za-z]+")
_LINE_BREAKS: Final = str.maketrans("\r\n\0", "   ")
_CACHE_MAX: Final = 4096
_canonical: Final[dict[str, str]] = {}

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
"""Headers that belong to one connection and are set anew on the next one."""


def is_header_name(name: str) -> bool:
    """Say whether this is an HTTP token; Go leaves other names out of a response."""
    return _TOKEN.fullmatch(name) is not None


def safe_value(value: str) -> str:
    """Return a header value that cannot end its line: line breaks become spaces, as in Go's writer.

    So does NUL, which Go writes and no client takes (RFC 9110, 5.5).
    """
    return value.translate(_LINE_BREAKS).strip(" \t")


def canonical_header(name: str) -> str:
    """Return the name as Go spells it; one that is not a token is left as it is.

    >>> canonical_header("x-request-id")
    'X-Request-Id'
    """
    known = _canonical.get(name)
    if known is not None:
        return known
    spelled = "-".join(part.capitalize() for part in name.split("-")) if is_header_name(name) else name
    if len(_canonical) < _CACHE_MAX:  # clients choose names: the cache must not grow with them
        _canonical[name] = spelled
    return spelled
