"""The gateway as an HTTP proxy: CONNECT tunnels to its own functions, so that clients can use their real addresses.

No outgoing connection is ever made; the gateway itself is the end of every tunnel. A tunnel to port 80, or to the
gateway's own HTTP port, carries HTTP; a tunnel to any other port carries TLS. ``docs/tls.md`` describes the use.
"""

from __future__ import annotations

import asyncio
from collections.abc import Callable
from typing import Final

from fnkit.contract.invocation import MappedResponse
from fnkit.platform.gateway.certificates import Certificates
from fnkit.platform.gateway.responses import message_response
from fnkit.platform.gateway.table import RoutingTable

__all__ = ["ESTABLISHED", "Tunnel", "Tunnels"]

ESTABLISHED: Final = b"HTTP/1.1 200 Connection established\r\n\r\n"

_HTTP_PORT: Final = 80
_PORT_MAX: Final = 65535
_HANDSHAKE_SECONDS: Final = 10.0
_SHUTDOWN_SECONDS: Final = 5.0


class Tunnel:
    """An accepted tunnel. ``is_tls``: whether the client starts TLS in it."""

    __slots__ = ("is_tls",)

    def __init__(self, *, is_tls: bool) -> None:
        self.is_tls = is_tls


class Tunnels:
    """Resolves CONNECT requests and serves TLS in tunnels. Lives on one event loop.

    Args:
        router: Finds the functions.
        http_port: The gateway's HTTP port.
        certificates: Supplies the TLS contexts; ``None`` if TLS is off.
        handshake_timeout: Seconds for a handshake.
    """

    def __init__(
        self,
        table: RoutingTable,
        plain_port: int,
        certificates: Certificates | None,
        *,
        quiet: float = _HANDSHAKE_SECONDS,
    ) -> None:
        self._table = table
        self._plain_ports = (_HTTP_PORT, plain_port)
        self._certificates = certificates
        self._quiet = quiet
        self._shaking: set[asyncio.Task[None]] = set()

    def decide(self, authority: bytes) -> Tunnel | MappedResponse:
        """Return the tunnel to ``host:port``, or the response that rejects it."""
        host, _, digits = authority.rpartition(b":")
        if not host or not digits.isdigit() or not 0 < int(digits) <= _PORT_MAX:
            return message_response(400, "CONNECT needs host:port")
        if self._table.by_host(authority) is None:
            name = host.decode("latin-1")
            return message_response(403, f"this proxy connects only to functions: none answers for {name}")
        if int(digits) in self._plain_ports:
            return Tunnel(is_tls=False)
        if self._certificates is None:
            return message_response(403, "TLS is off on this platform, so this port cannot be reached")
        return Tunnel(is_tls=True)

    def serve_tls(self, transport: asyncio.Transport, protocol_factory: Callable[[], asyncio.Protocol]) -> None:
        """Confirm the tunnel and start TLS in it, in a task.

        Args:
            transport: The connection that sent CONNECT. The caller no longer uses it.
            protocol_factory: Creates the protocol of the decrypted connection, after the handshake.
        """
        task = asyncio.get_running_loop().create_task(self._shake_hands(transport, protocol_factory))
        self._shaking.add(task)
        task.add_done_callback(self._shaking.discard)

    def close(self) -> None:
        """Cancel the handshakes in progress."""
        for task in self._shaking:
            task.cancel()

    async def _shake_hands(self, transport: asyncio.Transport, make: Callable[[], asyncio.Protocol]) -> None:
        if self._certificates is None:
            raise AssertionError("TLS tunnels need certificates")
        first = _First()
        try:
            address = str(transport.get_extra_info("sockname")[0]).partition("%")[0]
            context = await self._certificates.for_address(address)
            if transport.is_closing():
                return
            # Not before the context is there: the client answers with its ClientHello, which start_tls must read.
            transport.write(ESTABLISHED)
            inner = await asyncio.get_running_loop().start_tls(
                transport,
                first,
                context,
                server_side=True,
                ssl_handshake_timeout=self._quiet,
                ssl_shutdown_timeout=_SHUTDOWN_SECONDS,
            )
        except (OSError, ValueError):
            transport.abort()
            return
        except asyncio.CancelledError:
            transport.abort()
            raise
        if inner is None or first.is_lost:
            transport.abort()
            return
        connection = make()
        inner.set_protocol(connection)
        connection.connection_made(inner)
        for data in first.heard:
            connection.data_received(data)


class _First(asyncio.Protocol):
    """Buffers data that arrives after the handshake but before ``start_tls`` returns."""

    def __init__(self) -> None:
        self.heard: list[bytes] = []
        self.is_lost = False

    def data_received(self, data: bytes) -> None:
        """Buffer the data for the protocol that follows."""
        self.heard.append(data)

    def connection_lost(self, _error: Exception | None) -> None:
        """Record that the client disconnected."""
        self.is_lost = True
