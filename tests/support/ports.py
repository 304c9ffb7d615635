"""Ports for the servers of tests, reserved until the server listens."""

from __future__ import annotations

import contextlib
import socket
import sys
from collections import deque
from typing import Final

__all__ = ["free_port", "is_listening"]

_HELD_MAX: Final = 200
_held: deque[socket.socket] = deque()


def free_port() -> int:
    """Return a free port of loopback.

    A socket stays bound to it without listening: the system then assigns the port to no other socket, but a server
    that names it with SO_REUSEADDR can listen. The oldest reservations are released, because their tests are over.
    """
    bound = socket.socket()
    bound.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
    bound.bind(("127.0.0.1", 0))
    port = int(bound.getsockname()[1])
    if sys.platform != "linux":
        bound.close()
        return port
    _held.append(bound)
    if len(_held) > _HELD_MAX:
        _held.popleft().close()
    return port


def is_listening(host: str, port: int) -> bool:
    """Return whether a server accepts connections."""
    with contextlib.suppress(OSError), socket.create_connection((host, port), timeout=1):
        return True
    return False
