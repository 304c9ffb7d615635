"""Messages of the Debug Adapter Protocol: a header with the length of the content, and JSON.

https://microsoft.github.io/debug-adapter-protocol/overview#base-protocol
"""

from __future__ import annotations

import asyncio
import json
import re
from collections.abc import Mapping
from typing import Final

_HEADER_END: Final = b"\r\n\r\n"
_LENGTH: Final = re.compile(rb"content-length: *(\d{1,9})\s*$", re.IGNORECASE | re.MULTILINE)

AdapterMessage = dict[str, object]


async def read_content(reader: asyncio.StreamReader) -> bytes | None:
    """Return the content of the next message; ``None`` if the connection is closed, or has something else."""
    try:
        header = await reader.readuntil(_HEADER_END)
        length = _LENGTH.search(header)
        return await reader.readexactly(int(length[1])) if length else None
    except (asyncio.IncompleteReadError, asyncio.LimitOverrunError, OSError):
        return None


def frame(content: bytes) -> bytes:
    """Return a message with this content."""
    return b"Content-Length: %d%s%s" % (len(content), _HEADER_END, content)


def decode(content: bytes) -> AdapterMessage:
    """Return a message; empty if it is no JSON object."""
    try:
        message = json.loads(content)
    except (ValueError, RecursionError):
        return {}
    return message if isinstance(message, dict) else {}


def encode(message: Mapping[str, object]) -> bytes:
    """Return the content of a message."""
    return json.dumps(message).encode()


def with_source_root(
    request: AdapterMessage, *, local: str, remote: str, usual_remote: str, included: Mapping[str, str]
) -> AdapterMessage:
    """Return an attach request with paths of the project mapped to those of the code that runs.

    Args:
        request: The request.
        local: The directory of the code in the project.
        remote: The same as the instance sees it.
        usual_remote: What a configuration names for it: some instances have no root of their own, and see another
            path after each reload.
        included: Directories outside of ``local`` whose code is in ``remote``, by name. The debugger takes the
            first mapping that fits a path, so theirs come first.

    >>> request = {"arguments": {"pathMappings": [{"localRoot": "/project", "remoteRoot": "/home/app/function"}]}}
    >>> paths = {"local": "/project", "remote": "/data/7", "usual_remote": "/home/app/function", "included": {}}
    >>> with_source_root(request, **paths)["arguments"]
    {'pathMappings': [{'localRoot': '/project', 'remoteRoot': '/data/7'}]}
    """
    arguments = request.get("arguments")
    arguments = arguments if isinstance(arguments, dict) else {}
    given = arguments.get("pathMappings")
    mappings = [one for one in given if isinstance(one, dict)] if isinstance(given, list) else []
    if not mappings:
        mappings = [{"localRoot": local, "remoteRoot": usual_remote}]
    mapped = [
        {**one, "remoteRoot": remote} if str(one.get("remoteRoot", "")).rstrip("/") == usual_remote else one
        for one in mappings
    ]
    outside = [{"localRoot": path, "remoteRoot": f"{remote}/{name}"} for name, path in included.items()]
    return {**request, "arguments": {**arguments, "pathMappings": [*outside, *mapped]}}
