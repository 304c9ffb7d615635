"""``GET /openapi.json``, without an API key: the document contains nothing specific to this platform."""

from __future__ import annotations

import asyncio
from functools import cache
from typing import Final

from starlette.requests import Request
from starlette.responses import Response

from fnkit.platform.api.answers import JSON, recorded_headers
from fnkit.platform.api.codec import encode
from fnkit.platform.api.document.served import served_document
from fnkit.platform.control.platform import ControlPlane

__all__ = ["PATH", "get"]

PATH: Final = "/openapi.json"


async def get(_plane: ControlPlane, _request: Request) -> Response:
    """Return the document. It is built on the first request, which takes 0.2 s and therefore runs in a thread."""
    body = await asyncio.to_thread(_encoded)
    return Response(body, 200, recorded_headers(), JSON)


@cache
def _encoded() -> bytes:
    return encode(served_document())
