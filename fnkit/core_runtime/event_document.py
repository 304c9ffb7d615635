"""The JSON that the worker gets for a request: event and context."""

from __future__ import annotations

import json
from collections.abc import Iterator, Sequence
from typing import Final

from fnkit.contract.invocation.event import build_context, build_event, encode_text, is_base64

_PIECE_BYTES: Final = 1024 * 1024
_SMALL_BODY_BYTES: Final = 64 * 1024


def encode_document(
    *,
    method: str,
    path: str,
    query: str,
    headers: Sequence[tuple[str, str]],
    body: bytearray,
    memory: int,
    function_name: str,
) -> list[bytes]:
    """Return event and context as JSON, in pieces.

    Args:
        method: Method of the request.
        path: Decoded path.
        query: Raw query string.
        headers: The headers for the handler.
        body: Raw body. A large one is never held in memory as text.
        memory: Memory of the function in MiB.
        function_name: Name of the function.
    """
    is_small = len(body) <= _SMALL_BODY_BYTES
    content = bytes(body) if is_small else b""
    event = build_event(method=method, path=path, query=query, headers=headers, body=content)
    context = build_context(memory_limit=memory, function_name=function_name)
    if is_small:
        return [_encode({"event": event, "context": context})]
    for member in ("body", "isBase64Encoded"):
        del event[member]
    flag = b',"isBase64Encoded":true' if is_base64(bytes(body)) else b""
    before, after = _encode({"event": event}), _encode({"context": context})
    return [before[:-2] + b',"body":', *encode_text(_pieces(body)), flag + b"}," + after[1:]]


def _pieces(body: bytearray) -> Iterator[bytes]:
    return (bytes(body[start : start + _PIECE_BYTES]) for start in range(0, len(body), _PIECE_BYTES))


def _encode(document: dict[str, object]) -> bytes:
    return json.dumps(document, ensure_ascii=False, separators=(",", ":")).encode("utf-8", "replace")
