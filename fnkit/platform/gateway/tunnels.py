"""CONNECT: the gateway as somebody's proxy, which leads to its own functions and nowhere else (decision 23).

No connection is ever made: what a tunnel leads to is this gateway. Through a tunnel to port 80, or to the
gateway's own plain port, the client speaks HTTP; through any other it speaks TLS, which is served right here.
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
    """What the client will speak through it."""

    __slots__ = ("is_tls",)

    def __init__(self, *, is_tls: bool) -> None:
        self.is_tls = is_tls


class Tunnels:
    """Decides about tunnels and serves TLS in them.

    plain_port: the gateway's own. certificates: ``None`` where TLS is switched off. quiet: seconds that
    a handshake may take.
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
        """Say what a tunnel to ``host:port`` leads to, or how it is refused."""
        host, _, digits = authority.rpartition(b":")
        if not host or not digits.isdigit() or not 0 < int(digits) <= _PORT_MAX:
            return message_response(400, "CONNECT needs host:port")
        if self._table.by_host(authority) is None:
            name = host.decode("latin-1")
            return message_response(403, f"this proxy leads to functions alone, and none answers for {name}")
        if int(digits) in self._plain_ports:
            return Tunnel(is_tls=False)
        if self._certificates is None:
            return message_response(403, "this platform runs without TLS, so no tunnel leads to it")
        return Tunnel(is_tls=True)

    def serve_tls(self, transport: asyncio.Transport, make: Callable[[], asyncio.Protocol]) -> None:
        """Say that the tunnel is there, speak TLS in it, and connect what ``make`` gives after the handshake."""
        task = asyncio.get_running_loop().create_task(self._shake_hands(transport, make))
        self._shaking.add(task)
        task.add_done_callback(self._shaking.discard)

    def close(self) -> None:
        """End the handshakes that are under way."""
        for task in self._shaking:
            task.cancel()

    async def _shake_hands(self, transport: asyncio.Transport, make: Callable[[], asyncio.Protocol]) -> None:
        if self._certificates is None:
            raise AssertionError("no tunnel was promised")
        first = _First()
        try:
            address = str(transport.get_extra_info("sockname")[0]).partition("%")[0]
            context = await self._certificates.for_address(address)
            if transport.is_closing():
                return
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
    """Keeps what comes between the end of the handshake and the moment at which we hear of it."""

    def __init__(self) -> None:
        self.heard: list[bytes] = []
        self.is_lost = False

    def data_received(self, data: bytes) -> None:
        """Bytes came early."""
        self.heard.append(data)

    def connection_lost(self, _error: Exception | None) -> None:
        """The client is gone already."""
        self.is_lost = True
