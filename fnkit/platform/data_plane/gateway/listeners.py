"""The gateway's listeners: a TCP port and a TLS port for clients, Unix sockets for control and for deliveries."""

from __future__ import annotations

import asyncio
import contextlib
import os
import socket
from collections.abc import Callable
from pathlib import Path
from typing import Final, cast

from fnkit.contract.invocation.http_head import json_message
from fnkit.platform.data_plane.gateway.delivery_server import DeliveryConnection
from fnkit.platform.data_plane.gateway.gateway import Gateway
from fnkit.platform.data_plane.gateway.http_connection import HttpConnection
from fnkit.platform.data_plane.gateway.response import encode_response
from fnkit.platform.data_plane.gateway.tls import CertificateStore

_BACKLOG: Final = 2048
_MAX_ACCEPTS_PER_WAKEUP: Final = 64
_TLS_HANDSHAKE_RECORD: Final = 0x16  # content type of a TLS handshake record (RFC 8446 section 5.1)
_HANDSHAKE_TIMEOUT: Final = 10.0
_SHUTDOWN_TIMEOUT: Final = 5.0
_ACCEPT_RETRY_DELAY: Final = 1.0
_PLAINTEXT_LINGER_SECONDS: Final = 2.0


class TlsListener:
    """Serves HTTPS on a listening socket. Lives on one event loop.

    Args:
        gateway: Serves the connections.
        certificates: Supplies the TLS contexts.
        listener: The listening socket, which it closes.
        handshake_timeout: Seconds for the first byte of a client, and again for its handshake.
    """

    def __init__(
        self,
        gateway: Gateway,
        certificates: CertificateStore,
        listener: socket.socket,
        *,
        handshake_timeout: float = _HANDSHAKE_TIMEOUT,
    ) -> None:
        self._gateway = gateway
        self._certificates = certificates
        self._handshake_timeout = handshake_timeout
        self._loop = asyncio.get_running_loop()
        self._awaiting_hello: dict[socket.socket, asyncio.TimerHandle] = {}
        self._handshakes: set[asyncio.Task[None]] = set()
        self._socket = listener
        self._loop.add_reader(self._socket, self._accept)
        self._is_open = True

    def close(self) -> None:
        """Stop accepting connections, and close those whose handshake has not finished."""
        if not self._is_open:
            return
        self._is_open = False
        self._loop.remove_reader(self._socket)
        self._socket.close()
        for peer in list(self._awaiting_hello):
            self._stop_waiting(peer).close()
        for task in self._handshakes:
            task.cancel()

    def _accept(self) -> None:
        for _ in range(_MAX_ACCEPTS_PER_WAKEUP):
            try:
                peer, _address = self._socket.accept()
            except (BlockingIOError, InterruptedError, ConnectionError):
                return
            except OSError:
                # Out of file descriptors (EMFILE, ENFILE). The socket stays readable, so without a pause the event
                # loop would spin. Waiting clients stay in the backlog.
                self._loop.remove_reader(self._socket)
                self._loop.call_later(_ACCEPT_RETRY_DELAY, self._resume_accepting)
                return
            peer.setblocking(False)  # noqa: FBT003  (its only argument)
            self._awaiting_hello[peer] = self._loop.call_later(self._handshake_timeout, self._timeout, peer)
            self._loop.add_reader(peer, self._on_first_byte, peer)

    def _resume_accepting(self) -> None:
        if self._is_open:
            self._loop.add_reader(self._socket, self._accept)

    def _timeout(self, client: socket.socket) -> None:
        self._stop_waiting(client).close()

    def _stop_waiting(self, client: socket.socket) -> socket.socket:
        self._loop.remove_reader(client)
        self._awaiting_hello.pop(client).cancel()
        return client

    def _on_first_byte(self, client: socket.socket) -> None:
        """Peek at the first byte, which stays in the socket's buffer for the protocol that follows."""
        try:
            first = client.recv(1, socket.MSG_PEEK)
        except (BlockingIOError, InterruptedError):
            return
        except OSError:
            first = b""
        self._stop_waiting(client)
        if not first:
            client.close()
            return
        task = self._loop.create_task(self._hand_off(client, is_tls=first[0] == _TLS_HANDSHAKE_RECORD))
        self._handshakes.add(task)
        task.add_done_callback(self._handshakes.discard)

    async def _hand_off(self, client: socket.socket, *, is_tls: bool) -> None:
        """Pass the connection to its protocol. Errors of a handshake are the client's and are not logged."""
        try:
            if is_tls:
                await self._handshake(client)
            else:
                await self._loop.connect_accepted_socket(_PlaintextClient, client)
        except (OSError, ValueError):
            client.close()
        except asyncio.CancelledError:
            client.close()
            raise

    async def _handshake(self, client: socket.socket) -> None:
        context = await self._certificates.context_for(str(client.getsockname()[0]).partition("%")[0])
        await self._loop.connect_accepted_socket(
            lambda: HttpConnection(self._gateway, is_private=False, scheme="https"),
            client,
            ssl=context,
            ssl_handshake_timeout=self._handshake_timeout,
            ssl_shutdown_timeout=_SHUTDOWN_TIMEOUT,
        )


class _PlaintextClient(asyncio.Protocol):
    """Sends a 400 to plaintext clients on the TLS port and closes the connection."""

    def __init__(self) -> None:
        self._loop = asyncio.get_running_loop()
        self._transport: asyncio.Transport | None = None

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        """Limit the lifetime of the connection."""
        self._transport = cast("asyncio.Transport", transport)  # uvloop's transports do not subclass it
        self._loop.call_later(_PLAINTEXT_LINGER_SECONDS, self._transport.abort)

    def data_received(self, _data: bytes) -> None:
        """Send the response, and close only the write side: unread input would turn a close into a reset."""
        transport, self._transport = self._transport, None
        if transport is not None:
            response = json_message(400, "this port requires TLS: use https://")
            transport.write(encode_response(response, keep_alive=False))
            with contextlib.suppress(OSError):
                transport.write_eof()


async def open_listeners(
    gateway: Gateway, public: list[socket.socket], private_socket: Path, delivery_socket: Path
) -> list[asyncio.Server | TlsListener]:
    """Serve plain HTTP, and open the private socket and the delivery socket.

    Args:
        gateway: Serves the connections.
        public: The listening sockets for plain HTTP.
        private_socket: Path of the socket for requests of control, which need no token.
        delivery_socket: Path of the socket for deliveries.

    Raises:
        OSError: The directory of the sockets does not exist.
    """
    loop = asyncio.get_running_loop()
    servers: list[asyncio.Server | TlsListener] = [
        await loop.create_server(lambda: HttpConnection(gateway, is_private=False), sock=one, backlog=_BACKLOG)
        for one in public
    ]
    private = await _open_unix_listener(lambda: HttpConnection(gateway, is_private=True), private_socket)
    deliveries = await _open_unix_listener(lambda: DeliveryConnection(gateway), delivery_socket)
    return [*servers, private, deliveries]


async def _open_unix_listener(protocol_factory: Callable[[], asyncio.Protocol], path: Path) -> asyncio.Server:
    """Listen on a Unix socket of mode 0600."""
    with contextlib.suppress(FileNotFoundError):
        os.unlink(path)  # noqa: PTH108  (one call on a local folder, before anything is served)
    umask = os.umask(0o177)  # set before bind(): with a later chmod the socket would be open to others for a moment
    try:
        return await asyncio.get_running_loop().create_unix_server(protocol_factory, str(path), backlog=_BACKLOG)
    finally:
        os.umask(umask)
