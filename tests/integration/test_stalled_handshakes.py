"""Clients that connect to the TLS port, or open a tunnel, and stall before or during the handshake."""

from __future__ import annotations

import asyncio
import ssl
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path

import pytest

from fnkit.platform.data_plane.gateway.listeners import TlsListener, open_listeners
from fnkit.platform.data_plane.gateway.proxy import ConnectProxy
from fnkit.platform.data_plane.gateway.tls import CertificateStore
from fnkit.platform.listening_sockets import listen
from fnkit.platform.model.settings import DataLayout
from fnkit.platform.supervisor.certificate_authority import ensure_certificate_authority
from tests.support.open_gateway import create_gateway
from tests.support.ports import free_port

HANDSHAKE_TIMEOUT = 0.2
WAIT_SECONDS = 60.0


@asynccontextmanager
async def running_listeners(
    folder: Path, handshake_timeout: float = HANDSHAKE_TIMEOUT
) -> AsyncIterator[tuple[int, int, TlsListener]]:
    """A gateway with a plain and a TLS port; yields both ports and the TLS listener."""
    ensure_certificate_authority(DataLayout(folder))
    engine, gateway = create_gateway(folder)
    certificates = CertificateStore(
        DataLayout(folder).ca_file, folder, gateway_names=("localhost",), is_routed=gateway.router.find_by_host
    )
    plain, tls = free_port(), free_port()
    gateway.connect_proxy = ConnectProxy(gateway.router, plain, certificates, handshake_timeout=handshake_timeout)
    public = listen("127.0.0.1", plain)
    opened = await open_listeners(gateway, public, folder / "private.sock", folder / "delivery.sock")
    [tls_socket, *unused] = listen("127.0.0.1", tls)
    for extra in unused:
        extra.close()
    listener = TlsListener(gateway, certificates, tls_socket, handshake_timeout=handshake_timeout)
    try:
        yield plain, tls, listener
    finally:
        for one in (*opened, listener):
            one.close()
        gateway.close()
        engine.close()


def client_hello() -> bytes:
    """Return the first message of a TLS client."""
    outgoing = ssl.MemoryBIO()
    client = ssl.create_default_context().wrap_bio(ssl.MemoryBIO(), outgoing, server_hostname="f.test")
    with pytest.raises(ssl.SSLWantReadError):
        client.do_handshake()
    return outgoing.read()


async def wait_until_closed(port: int, sent: bytes) -> None:
    """Send data, stall, and wait for the other end to close."""
    reader, writer = await asyncio.open_connection("127.0.0.1", port)
    writer.write(sent)
    try:
        await asyncio.wait_for(reader.read(), WAIT_SECONDS)
    except ConnectionResetError:
        pass
    finally:
        writer.close()


CONNECT = b"CONNECT f.test:443 HTTP/1.1\r\nHost: f.test:443\r\n\r\n"


@pytest.mark.parametrize("share", [0.0, 0.001, 0.5, 1.0])
def test_stalled_tls_handshake_is_closed(tmp_path: Path, share: float) -> None:
    async def run() -> None:
        async with running_listeners(tmp_path) as (_, tls, _):
            data = client_hello()
            await wait_until_closed(tls, data[: round(len(data) * share)])

    asyncio.run(run())


def test_stalled_tunnel_is_closed(tmp_path: Path) -> None:
    async def run() -> None:
        async with running_listeners(tmp_path) as (plain, _, _):
            await wait_until_closed(plain, CONNECT)

    asyncio.run(run())


def test_closing_listener_closes_pending_handshakes(tmp_path: Path) -> None:
    async def run() -> None:
        async with running_listeners(tmp_path, handshake_timeout=2 * WAIT_SECONDS) as (_, tls, listener):
            reader, writer = await asyncio.open_connection("127.0.0.1", tls)
            # A later client was served, so the first was accepted.
            await wait_until_closed(tls, b"GET / HTTP/1.1\r\n\r\n")
            listener.close()
            assert await asyncio.wait_for(reader.read(), WAIT_SECONDS) == b""
            writer.close()

    asyncio.run(run())


def test_stalled_handshakes_do_not_block_other_clients(tmp_path: Path) -> None:
    async def run() -> None:
        async with running_listeners(tmp_path, handshake_timeout=2 * WAIT_SECONDS) as (_, tls, _):
            stalled = [await asyncio.open_connection("127.0.0.1", tls) for _ in range(200)]
            trusting = ssl.create_default_context(cafile=DataLayout(tmp_path).ca_certificate_file)
            reader, writer = await asyncio.open_connection("127.0.0.1", tls, ssl=trusting, server_hostname="f.test")
            writer.write(b"GET /favicon.ico HTTP/1.1\r\nHost: f.test\r\nConnection: close\r\n\r\n")
            assert (await asyncio.wait_for(reader.read(), WAIT_SECONDS)).startswith(b"HTTP/1.1 404 ")
            for _, one in (*stalled, (reader, writer)):
                one.close()

    asyncio.run(run())
