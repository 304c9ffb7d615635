"""The gateway as an HTTP proxy: CONNECT tunnels to its own functions, so that clients can use their real addresses.

No outgoing connection is ever made; the gateway itself is the end of every tunnel. A tunnel to port 80, or to the
gateway's own HTTP port, carries HTTP; a tunnel to any other port carries TLS. ``docs/tls.md`` describes the use.
"""

from __future__ import annotations

import asyncio
from collections.abc import Callable
from dataclasses import dataclass
from typing import Final

from fnkit.contract.invocation.http_head import json_message
from fnkit.contract.invocation.response import MappedResponse
from fnkit.platform.data_plane.gateway.router import Router
from fnkit.platform.data_plane.gateway.tls import CertificateStore

ESTABLISHED_RESPONSE: Final = b"HTTP/1.1 200 Connection established\r\n\r\n"

_DEFAULT_HTTP_PORT: Final = 80
_MAX_PORT: Final = 65535
_HANDSHAKE_TIMEOUT: Final = 10.0
_SHUTDOWN_TIMEOUT: Final = 5.0


@dataclass(frozen=True, slots=True)
class Tunnel:
    """An accepted tunnel. ``is_tls``: whether the client starts TLS in it."""

    is_tls: bool


class ConnectProxy:
    """Resolves CONNECT requests and serves TLS in tunnels. Lives on one event loop.

    Args:
        router: Finds the functions.
        http_port: The gateway's HTTP port.
        certificates: Supplies the TLS contexts; ``None`` if TLS is off.
        handshake_timeout: Seconds for a handshake.
    """

    def __init__(
        self,
        router: Router,
        http_port: int,
        certificates: CertificateStore | None,
        *,
        handshake_timeout: float = _HANDSHAKE_TIMEOUT,
    ) -> None:
        self._router = router
        self._http_ports = (_DEFAULT_HTTP_PORT, http_port)
        self._certificates = certificates
        self._handshake_timeout = handshake_timeout
        self._handshakes: set[asyncio.Task[None]] = set()

    def resolve(self, authority: bytes) -> Tunnel | MappedResponse:
        """Return the tunnel to ``host:port``, or the response that rejects it."""
        host, _, digits = authority.rpartition(b":")
        if not host or not digits.isdigit() or not 0 < int(digits) <= _MAX_PORT:
            return json_message(400, "CONNECT needs host:port")
        if self._router.find_by_host(authority) is None:
            name = host.decode("latin-1")
            return json_message(403, f"this proxy connects only to functions: none answers for {name}")
        if int(digits) in self._http_ports:
            return Tunnel(is_tls=False)
        if self._certificates is None:
            return json_message(403, "TLS is off on this platform, so this port cannot be reached")
        return Tunnel(is_tls=True)

    def serve_tls(self, transport: asyncio.Transport, protocol_factory: Callable[[], asyncio.Protocol]) -> None:
        """Confirm the tunnel and start TLS in it, in a task.

        Args:
            transport: The connection that sent CONNECT. The caller no longer uses it.
            protocol_factory: Creates the protocol of the decrypted connection, after the handshake.
        """
        task = asyncio.get_running_loop().create_task(self._handshake(transport, protocol_factory))
        self._handshakes.add(task)
        task.add_done_callback(self._handshakes.discard)

    def close(self) -> None:
        """Cancel the handshakes in progress."""
        for task in self._handshakes:
            task.cancel()

    async def _handshake(
        self, transport: asyncio.Transport, protocol_factory: Callable[[], asyncio.Protocol]
    ) -> None:
        if self._certificates is None:
            raise AssertionError("TLS tunnels need certificates")
        first = _EarlyData()
        try:
            address = str(transport.get_extra_info("sockname")[0]).partition("%")[0]
            context = await self._certificates.context_for(address)
            if transport.is_closing():
                return
            # Not before the context is there: the client answers with its ClientHello, which start_tls must read.
            transport.write(ESTABLISHED_RESPONSE)
            inner = await asyncio.get_running_loop().start_tls(
                transport,
                first,
                context,
                server_side=True,
                ssl_handshake_timeout=self._handshake_timeout,
                ssl_shutdown_timeout=_SHUTDOWN_TIMEOUT,
            )
        except (OSError, ValueError):
            transport.abort()
            return
        except asyncio.CancelledError:
            transport.abort()
            raise
        if inner is None or first.is_closed:
            transport.abort()
            return
        connection = protocol_factory()
        inner.set_protocol(connection)
        connection.connection_made(inner)
        for data in first.chunks:
            connection.data_received(data)


class _EarlyData(asyncio.Protocol):
    """Buffers data that arrives after the handshake but before ``start_tls`` returns."""

    def __init__(self) -> None:
        self.chunks: list[bytes] = []
        self.is_closed = False

    def data_received(self, data: bytes) -> None:
        """Buffer the data for the protocol that follows."""
        self.chunks.append(data)

    def connection_lost(self, _error: Exception | None) -> None:
        """Record that the client disconnected."""
        self.is_closed = True
