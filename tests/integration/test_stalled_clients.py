"""Clients that stall during a request, or keep an idle connection."""

from __future__ import annotations

import asyncio
from pathlib import Path

import pytest

from fnkit.platform.data_plane.gateway.http_connection import HttpConnection
from tests.support.open_gateway import open_gateway


def has_received(connection: HttpConnection, sent: bytes) -> bool:
    head, _, body = sent.partition(b"\r\n\r\n")
    if not body:
        return connection._head_bytes == len(head)
    return connection._request.body is not None and connection._request.body.size == len(body)


async def response_after_silence(folder: Path, sent: bytes, silence: float, elapsed: float = 0) -> bytes:
    """Send data, then check timeouts as if ``silence`` seconds had passed, and return the response.

    The result is ``open`` if the connection was not closed. ``elapsed``: seconds that the request took so far.
    """
    async with open_gateway(folder) as (gateway, port):
        reader, writer = await asyncio.open_connection("127.0.0.1", port)
        writer.write(sent)
        loop = asyncio.get_running_loop()
        before = loop.time()
        while not (clients := [one for one in gateway.connections if isinstance(one, HttpConnection)]) or (
            not has_received(clients[0], sent)
        ):
            assert loop.time() < before + 10
            await asyncio.sleep(0)
        [connection] = clients
        connection._request_began_at -= elapsed
        closed = connection.check_timeouts(loop.time() + silence, request_timeout=60, idle_timeout=300)
        answer = await asyncio.wait_for(reader.read(), 10) if closed else b"open"
        writer.close()
    return answer


@pytest.mark.parametrize(
    ("sent", "silence", "expected"),
    [
        (b"GET / HT", 61, b"HTTP/1.1 408 "),
        (b"GET / HTTP/1.1\r\nHost: a", 61, b"HTTP/1.1 408 "),
        (b"GET / HT", 59, b"open"),
        (b"", 299, b"open"),
        (b"", 301, b""),
    ],
)
def test_stalled_request_returns_408_and_idle_connection_is_closed(
    tmp_path: Path, sent: bytes, silence: float, expected: bytes
) -> None:
    answer = asyncio.run(response_after_silence(tmp_path, sent, silence))
    assert answer.startswith(expected)
    assert (answer == b"") == (expected == b"")


@pytest.mark.parametrize(
    ("received", "elapsed", "silence", "expected"),
    [
        (1, 59, 0, b"open"),
        (1, 61, 0, b"HTTP/1.1 408 "),
        (32_768, 61, 0, b"open"),
        (32_768, 63, 0, b"HTTP/1.1 408 "),
        (32_768, 0, 61, b"HTTP/1.1 408 "),
    ],
    ids=["in time", "dripped", "large, in time", "large, dripped", "stalled"],
)
def test_body_that_arrives_too_slowly_returns_408(
    tmp_path: Path, received: int, elapsed: float, silence: float, expected: bytes
) -> None:
    sent = b"POST / HTTP/1.1\r\nHost: f.test\r\nContent-Length: 1000000\r\n\r\n" + b"x" * received
    answer = asyncio.run(response_after_silence(tmp_path, sent, silence, elapsed))
    assert answer.startswith(expected)
