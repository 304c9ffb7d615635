"""Ports for servers of the tests, which nobody else is given between the choice and the server's start."""

from __future__ import annotations

import socket
import sys
from collections import deque
from typing import Final

__all__ = ["free_port"]

_HELD_MAX: Final = 200
_held: deque[socket.socket] = deque()


def free_port() -> int:
    """Return a port of loopback at which nobody listens.

    It stays bound here, without listening: the system gives it to no connection and to no other process that asks
    for any port, and whoever names it can listen on it (see ``HeldPorts`` of the platform). The oldest are let go:
    their tests are over.
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
