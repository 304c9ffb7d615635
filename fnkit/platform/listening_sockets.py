"""The platform's listening TCP sockets. The supervisor opens them, and its processes inherit them.

Any program on the machine can bind a free port. If a handler bound the API's port while control restarts, it would
receive requests together with their keys. The supervisor therefore opens the sockets before any handler runs and
keeps them open while a process restarts; new connections wait in the backlog.
"""

from __future__ import annotations

import contextlib
import errno
import ipaddress
import socket
from collections.abc import Iterable
from typing import Final

_BACKLOG: Final = 2048
_NO_SUCH_ADDRESS: Final = (errno.EADDRNOTAVAIL, errno.EAFNOSUPPORT)
_MAX_PORTS_TRIED: Final = 20


class ListenError(OSError):
    """A socket could not listen on ``host`` and ``port``. ``reason`` is the operating system's."""

    def __init__(self, error: OSError, host: str, port: int) -> None:
        super().__init__(error.errno, f"cannot listen on {host} port {port}: {error.strerror}")
        self.reason = error.strerror or str(error)
        self.host = host
        self.port = port


def listen(host: str, port: int) -> list[socket.socket]:
    """Listen on a port of an address, and on the same port of the other loopback address if the machine has it.

    Args:
        host: The address; for a loopback or wildcard address the other version's loopback address is added.
        port: The port; 0 for any that is free on both.

    Raises:
        ListenError: The port is in use or not allowed, or the address is not one of this machine.
    """
    for _ in range(_MAX_PORTS_TRIED if port == 0 else 1):
        with contextlib.ExitStack() as opened:
            sockets = [opened.enter_context(_listen_on(host, port))]
            address, chosen = sockets[0].getsockname()[:2]
            if (companion := _loopback_companion(address)) is not None:
                try:
                    sockets.append(opened.enter_context(_listen_on(companion, chosen)))
                except ListenError as error:
                    if error.errno == errno.EADDRINUSE and port == 0:
                        continue
                    if error.errno not in _NO_SUCH_ADDRESS:
                        raise
            opened.pop_all()
            return sockets
    raise ListenError(OSError(errno.EADDRINUSE, "no port is free on both loopback addresses"), host, port)


def _loopback_companion(address: str) -> str | None:
    """Return the loopback address of the other IP version, which clients may try first for ``localhost``."""
    parsed = ipaddress.ip_address(address.partition("%")[0])
    if not (parsed.is_loopback or parsed.is_unspecified):
        return None
    return "::1" if isinstance(parsed, ipaddress.IPv4Address) else "127.0.0.1"


def _listen_on(host: str, port: int) -> socket.socket:
    # With the protocol: asyncio sets TCP_NODELAY only where ``proto`` is IPPROTO_TCP, which accepted sockets take
    # from the listener. With Nagle's algorithm and delayed ACKs, calls would take 40 ms longer.
    listener: socket.socket | None = None
    try:
        family, kind, protocol, _, address = socket.getaddrinfo(
            host, port, type=socket.SOCK_STREAM, proto=socket.IPPROTO_TCP, flags=socket.AI_PASSIVE
        )[0]
        listener = socket.socket(family, kind, protocol)
        listener.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        if family == socket.AF_INET6:
            listener.setsockopt(socket.IPPROTO_IPV6, socket.IPV6_V6ONLY, 1)
        listener.bind(address)
        listener.listen(_BACKLOG)
        listener.settimeout(0)
    except OSError as error:
        if listener is not None:
            listener.close()
        raise ListenError(error, host, port) from None
    return listener


def inherit(descriptors: Iterable[int]) -> list[socket.socket]:
    """Return the sockets that the supervisor opened for this process, closed to the processes that it starts."""
    sockets = [socket.socket(fileno=descriptor) for descriptor in descriptors]
    for one in sockets:
        one.set_inheritable(False)
        one.settimeout(0)
    return sockets
