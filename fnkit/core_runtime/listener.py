"""The port of the function."""

from __future__ import annotations

import socket


def bind(port: int) -> socket.socket:
    """Return a socket that is bound to the port, but does not accept connections yet. Raises ``OSError``."""
    listener = socket.socket()
    listener.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
    try:
        listener.bind(("0.0.0.0", port))  # noqa: S104  (the container's port is the function's address)
    except OSError:
        listener.close()
        raise
    return listener
