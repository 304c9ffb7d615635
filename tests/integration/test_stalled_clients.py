"""Clients that stop in the middle of a request, or keep a connection for nothing."""

from __future__ import annotations

import asyncio
from pathlib import Path

import pytest

from fnkit.platform.data_plane.engine.engine import EngineSettings, LocalEngine
from fnkit.platform.data_plane.gateway.auth import Authorizer
from fnkit.platform.data_plane.gateway.gateway import Gateway
from fnkit.platform.data_plane.gateway.http_connection import HttpConnection
from fnkit.platform.data_plane.gateway.listeners import open_listeners
from fnkit.platform.data_plane.gateway.router import Router
from fnkit.platform.data_plane.workers.isolation import Level
from fnkit.platform.model.clock import SyncedClock
from tests.support.ports import free_port


async def what_a_client_gets(folder: Path, sent: bytes, quiet: float) -> bytes:
    """Send, let so many seconds pass on the gateway's watch, and return what comes until the end."""
    settings = EngineSettings(
        level=Level.NONE, runtime_directory=folder, logs_directory=folder / "logs", prewarmed=0
    )
    engine = LocalEngine(settings, SyncedClock(), lambda _route, _reason: None)
    gateway = Gateway(engine, Router(), Authorizer("key"))
    gateway.has_snapshot = True
    port = free_port()
    doors = await open_listeners(gateway, "127.0.0.1", port, folder / "private.sock", folder / "delivery.sock")
    reader, writer = await asyncio.open_connection("127.0.0.1", port)
    writer.write(sent)
    loop = asyncio.get_running_loop()
    before = loop.time()
    while not (clients := [one for one in gateway.connections if isinstance(one, HttpConnection)]) or (
        clients[0]._head_bytes != len(sent)
    ):
        assert loop.time() < before + 10
        await asyncio.sleep(0)
    [connection] = clients
    closed = connection.check_timeouts(loop.time() + quiet, request_timeout=60, idle_timeout=300)
    answer = await asyncio.wait_for(reader.read(), 10) if closed else b"open"
    writer.close()
    for door in doors:
        door.close()
    gateway.close()
    engine.close()
    return answer


@pytest.mark.parametrize(
    ("sent", "quiet", "got"),
    [
        (b"GET / HT", 61, b"HTTP/1.1 408 "),
        (b"GET / HTTP/1.1\r\nHost: a", 61, b"HTTP/1.1 408 "),
        (b"GET / HT", 59, b"open"),
        (b"", 299, b"open"),
        (b"", 301, b""),
    ],
)
def test_a_client_that_stalls_is_told_and_an_idle_connection_closed(
    tmp_path: Path, sent: bytes, quiet: float, got: bytes
) -> None:
    answer = asyncio.run(what_a_client_gets(tmp_path, sent, quiet))
    assert answer.startswith(got)
    assert (answer == b"") == (got == b"")
