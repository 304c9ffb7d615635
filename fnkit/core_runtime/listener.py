"""The port of the function."""

from __future__ import annotations

import errno
import socket
from typing import Final

_NO_IPV6: Final = (errno.EAFNOSUPPORT, errno.EADDRNOTAVAIL)
_MAPPED_PREFIX: Final = "::ffff:"


def bind(port: int) -> socket.socket:
    """Return a socket that is bound to the port, but does not accept connections yet.

    It is for IPv6 and IPv4, or for IPv4 alone if the kernel has no IPv6.

    Raises:
        OSError: The port cannot be used.
    """
    try:
        return _bind(socket.AF_INET6, "::", port)
    except OSError as error:
        if error.errno not in _NO_IPV6:
            raise
    return _bind(socket.AF_INET, "0.0.0.0", port)  # noqa: S104  (the container's port is the function's address)


def _bind(family: socket.AddressFamily, address: str, port: int) -> socket.socket:
    listener = socket.socket(family)
    try:
        listener.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        if family == socket.AF_INET6:
            listener.setsockopt(socket.IPPROTO_IPV6, socket.IPV6_V6ONLY, 0)
        listener.bind((address, port))
    except OSError:
        listener.close()
        raise
    return listener


def client_address(host: str) -> str:
    """Return the address of a client as it knows it itself: a socket for both families shows IPv4 within IPv6.

    >>> client_address("::ffff:192.0.2.1"), client_address("2001:db8::1")
    ('192.0.2.1', '2001:db8::1')
    """
    return host[len(_MAPPED_PREFIX) :] if host.startswith(_MAPPED_PREFIX) and "." in host else host
