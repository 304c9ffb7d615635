"""``GET /openapi.json``, without an API key: the document contains nothing specific to this platform."""

from __future__ import annotations

import asyncio
from functools import cache
from typing import Final

from starlette.requests import Request
from starlette.responses import Response

from fnkit.platform.api.answers import JSON, response_headers
from fnkit.platform.api.codec import encode
from fnkit.platform.api.document.served import openapi_document
from fnkit.platform.control.platform import ControlPlane

__all__ = ["OPENAPI_PATH", "get_openapi"]

OPENAPI_PATH: Final = "/openapi.json"


async def get_openapi(_plane: ControlPlane, _request: Request) -> Response:
    """Return the document. It is built on the first request, which takes 0.2 s and therefore runs in a thread."""
    body = await asyncio.to_thread(_encoded_document)
    return Response(body, 200, response_headers(), JSON)


@cache
def _encoded_document() -> bytes:
    return encode(openapi_document())
