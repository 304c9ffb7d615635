"""All large bodies together have a bound, beyond which requests are refused, and their memory is given back."""

from __future__ import annotations

import asyncio
from pathlib import Path

from tests.support.open_gateway import open_gateway
from tests.support.waiting import DEADLINE

_LIMIT = 1024 * 1024


def post(size: int, *, sent: int) -> bytes:
    head = f"POST / HTTP/1.1\r\nHost: f.test\r\nContent-Length: {size}\r\n\r\n"
    return head.encode() + b"x" * sent


async def respond(port: int, request: bytes) -> bytes:
    """Send a request and return its response, which closes the connection."""
    reader, writer = await asyncio.open_connection("127.0.0.1", port)
    writer.write(request)
    response = await reader.read()
    writer.close()
    return response


def test_request_beyond_the_memory_for_bodies_is_a_503(tmp_path: Path) -> None:
    async def exhaust() -> None:
        async with open_gateway(tmp_path) as (gateway, port), asyncio.timeout(DEADLINE):
            memory = gateway.body_memory
            memory.limit = _LIMIT
            _, holder = await asyncio.open_connection("127.0.0.1", port)
            holder.write(post(_LIMIT, sent=_LIMIT - 1))
            while memory.used < _LIMIT - 1:  # noqa: ASYNC110  (any state)
                await asyncio.sleep(0)

            refused = await respond(port, post(_LIMIT, sent=100_000))
            assert refused.startswith(b"HTTP/1.1 503 ")
            assert b"\r\nRetry-After: 1\r\n" in refused
            small = post(65_536, sent=65_536).replace(b"\r\n\r\n", b"\r\nConnection: close\r\n\r\n")
            assert (await respond(port, small)).startswith(b"HTTP/1.1 404 ")  # by the engine: it is not deployed

            holder.close()
            while memory.used:  # noqa: ASYNC110  (any state)
                await asyncio.sleep(0)
            large = post(100_000, sent=100_000).replace(b"\r\n\r\n", b"\r\nConnection: close\r\n\r\n")
            assert (await respond(port, large)).startswith(b"HTTP/1.1 404 ")
            assert memory.used == 0

    asyncio.run(exhaust())
