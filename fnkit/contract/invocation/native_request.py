"""The requests of handlers that answer HTTP themselves: those in Go and Rust.

Scaleway's core runtime sends their worker an event too, which the worker turns back into a request. So they see
what an event contains: a decoded path, the last value of each query parameter, joined headers, and a body of text.
Here the worker gets that request itself, as an HTTP/1.1 message without framing: the body is what follows the head.
"""

from __future__ import annotations

from collections.abc import Iterable
from typing import Final
from urllib.parse import quote, urlencode

from fnkit.contract.invocation.event import decode_text, join_headers, parse_query

NATIVE_LANGUAGES: Final = frozenset({"Go", "Rust"})
_PATH_SAFE: Final = "$&+,/:;=@"  # what Go's net/url does not escape in a path, besides unreserved characters


def encode_native_head(*, method: str, path: str, query: str, headers: Iterable[tuple[str, str]]) -> bytes:
    r"""Return the head of the request, with the empty line that ends it.

    Args:
        method: Method of the request, unchanged.
        path: Decoded path, without the query.
        query: Raw query string, without ``?``.
        headers: Names and values. Names may have any capitalization and may repeat.

    >>> encode_native_head(method="GET", path="/a b", query="q=1&q=2&p=%20", headers=[("x-a", "1"), ("X-A", "2")])
    b'GET /a%20b?p=+&q=2 HTTP/1.1\r\nX-A: 1,2\r\n\r\n'
    """
    target = quote(path if path.startswith("/") else f"/{path}", safe=_PATH_SAFE)
    if parameters := parse_query(query):
        target += f"?{urlencode(sorted(parameters.items()))}"
    lines = [f"{method} {target} HTTP/1.1", *(f"{name}: {value}" for name, value in join_headers(headers).items())]
    return "\r\n".join([*lines, "", ""]).encode("utf-8", "replace")


def native_text(body: bytes) -> bytes:
    """Return a body as it is after its way through an event: bytes that are not UTF-8 are replaced."""
    return decode_text(body).encode()
