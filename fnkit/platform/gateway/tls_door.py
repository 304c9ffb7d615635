"""The TLS port: detects TLS by the first byte of a connection and answers plaintext clients with a 400.

Connections are not accepted by the event loop's own server, which would close plaintext clients without a response
and would need a certificate before the first client connects.
"""

from __future__ import annotations

import asyncio
import contextlib
import socket
from typing import Final, cast

from fnkit.platform.gateway.certificates import Certificates
from fnkit.platform.gateway.connection import ClientConnection
from fnkit.platform.gateway.gateway import Gateway
from fnkit.platform.gateway.responses import encode_response, message_response

__all__ = ["TlsDoor"]

_BACKLOG: Final = 2048
_AT_ONCE: Final = 64
_HANDSHAKE: Final = 0x16  # content type of a TLS handshake record (RFC 8446 section 5.1)
_QUIET_SECONDS: Final = 10.0
_SHUTDOWN_SECONDS: Final = 5.0
_NO_DESCRIPTORS_SECONDS: Final = 1.0
_LINGER_SECONDS: Final = 2.0


class TlsDoor:
    """Listens on a port and serves HTTPS. Lives on one event loop.

    Args:
        gateway: Serves the connections.
        certificates: Supplies the TLS contexts.
        host: Address to listen on.
        port: The TCP port.
        handshake_timeout: Seconds for the first byte of a client, and again for its handshake.

    Raises:
        OSError: The port is in use.
    """

    def __init__(
        self, gateway: Gateway, certificates: Certificates, host: str, port: int, *, quiet: float = _QUIET_SECONDS
    ) -> None:
        self._gateway = gateway
        self._certificates = certificates
        self._quiet = quiet
        self._loop = asyncio.get_running_loop()
        self._silent: dict[socket.socket, asyncio.TimerHandle] = {}
        self._greeted: set[asyncio.Task[None]] = set()
        self._listener = _listen(host, port)
        self._loop.add_reader(self._listener, self._accept)
        self._is_open = True

    def close(self) -> None:
        """Stop accepting connections, and close those whose handshake has not finished."""
        if not self._is_open:
            return
        self._is_open = False
        self._loop.remove_reader(self._listener)
        self._listener.close()
        for peer in list(self._silent):
            self._forget(peer).close()
        for task in self._greeted:
            task.cancel()

    def _accept(self) -> None:
        for _ in range(_AT_ONCE):
            try:
                peer, _address = self._listener.accept()
            except (BlockingIOError, InterruptedError, ConnectionError):
                return
            except OSError:
                # Out of file descriptors (EMFILE, ENFILE). The socket stays readable, so without a pause the event
                # loop would spin. Waiting clients stay in the backlog.
                self._loop.remove_reader(self._listener)
                self._loop.call_later(_NO_DESCRIPTORS_SECONDS, self._accept_again)
                return
            peer.setblocking(False)  # noqa: FBT003  (its only argument)
            self._silent[peer] = self._loop.call_later(self._quiet, self._give_up, peer)
            self._loop.add_reader(peer, self._hear, peer)

    def _accept_again(self) -> None:
        if self._is_open:
            self._loop.add_reader(self._listener, self._accept)

    def _give_up(self, peer: socket.socket) -> None:
        self._forget(peer).close()

    def _forget(self, peer: socket.socket) -> socket.socket:
        self._loop.remove_reader(peer)
        self._silent.pop(peer).cancel()
        return peer

    def _hear(self, peer: socket.socket) -> None:
        """Peek at the first byte, which stays in the socket's buffer for the protocol that follows."""
        try:
            first = peer.recv(1, socket.MSG_PEEK)
        except (BlockingIOError, InterruptedError):
            return
        except OSError:
            first = b""
        self._forget(peer)
        if not first:
            peer.close()
            return
        task = self._loop.create_task(self._greet(peer, is_tls=first[0] == _HANDSHAKE))
        self._greeted.add(task)
        task.add_done_callback(self._greeted.discard)

    async def _greet(self, peer: socket.socket, *, is_tls: bool) -> None:
        """Pass the connection to its protocol. Errors of a handshake are the client's and are not logged."""
        try:
            if is_tls:
                await self._shake_hands(peer)
            else:
                await self._loop.connect_accepted_socket(_PlainClient, peer)
        except (OSError, ValueError):
            peer.close()
        except asyncio.CancelledError:
            peer.close()
            raise

    async def _shake_hands(self, peer: socket.socket) -> None:
        context = await self._certificates.for_address(str(peer.getsockname()[0]).partition("%")[0])
        await self._loop.connect_accepted_socket(
            lambda: ClientConnection(self._gateway, private=False, scheme="https"),
            peer,
            ssl=context,
            ssl_handshake_timeout=self._quiet,
            ssl_shutdown_timeout=_SHUTDOWN_SECONDS,
        )


class _PlainClient(asyncio.Protocol):
    """Sends a 400 to plaintext clients on the TLS port and closes the connection."""

    def __init__(self) -> None:
        self._loop = asyncio.get_running_loop()
        self._transport: asyncio.Transport | None = None

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        """Limit the lifetime of the connection."""
        self._transport = cast("asyncio.Transport", transport)  # uvloop's transports do not subclass it
        self._loop.call_later(_LINGER_SECONDS, self._transport.abort)

    def data_received(self, _data: bytes) -> None:
        """Send the response, and close only the write side: unread input would turn a close into a reset."""
        transport, self._transport = self._transport, None
        if transport is not None:
            response = message_response(400, "this port requires TLS: use https://")
            transport.write(encode_response(response, keep_alive=False))
            with contextlib.suppress(OSError):
                transport.write_eof()


def _listen(host: str, port: int) -> socket.socket:
    family, kind, protocol, _, address = socket.getaddrinfo(
        host, port, type=socket.SOCK_STREAM, proto=socket.IPPROTO_TCP, flags=socket.AI_PASSIVE
    )[0]
    listener = socket.socket(family, kind, protocol)
    try:
        listener.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        if family == socket.AF_INET6:
            listener.setsockopt(socket.IPPROTO_IPV6, socket.IPV6_V6ONLY, 1)
        listener.bind(address)
        listener.listen(_BACKLOG)
        listener.setblocking(False)  # noqa: FBT003  (its only argument)
    except OSError:
        listener.close()
        raise
    return listener
