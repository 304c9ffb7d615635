"""The TLS port: whoever connects shows with the first byte whether it speaks TLS, and is served or told so.

Connections are accepted here and not by the event loop's own server: that one closes a plain HTTP client without
a word, and would read certificates before anybody needs one.
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
_HANDSHAKE: Final = 0x16  # the first byte of a TLS record that opens a connection
_QUIET_SECONDS: Final = 10.0
_SHUTDOWN_SECONDS: Final = 5.0
_NO_DESCRIPTORS_SECONDS: Final = 1.0
_LINGER_SECONDS: Final = 2.0


class TlsDoor:
    """Listens on a port and serves TLS. ``OSError`` when the port is taken.

    quiet: seconds that a client has for its first byte, and then for its handshake.
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
        """Take no further clients, and let those go that have not asked for anything yet."""
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
            except OSError:  # no descriptors: the ones that wait are taken when there are some again
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
        """Look at the first byte and leave it where it is."""
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
        """Hand the connection over. What a client does wrong in a handshake is nobody's trouble but its own."""
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
    """Somebody who does not speak TLS: told so once, then let go."""

    def __init__(self) -> None:
        self._loop = asyncio.get_running_loop()
        self._transport: asyncio.Transport | None = None

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        """A client is here, and its first bytes are."""
        self._transport = cast("asyncio.Transport", transport)  # uvloop's are no subclass
        self._loop.call_later(_LINGER_SECONDS, self._transport.abort)

    def data_received(self, _data: bytes) -> None:
        """Answer, and wait a moment: closing at once would take the answer back."""
        transport, self._transport = self._transport, None
        if transport is not None:
            answer = message_response(400, "this port speaks TLS: use https://")
            transport.write(encode_response(answer, keep_alive=False))
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
