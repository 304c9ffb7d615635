"""Which process is at the other end of a Unix socket between the platform's own processes.

File permissions keep other users away. Without namespaces, handlers run as the platform's user, so a connection is
also refused unless it comes from another process of the same supervisor.
"""

from __future__ import annotations

import os
import socket
import struct
import sys
from pathlib import Path
from typing import Final, Protocol

_ROOT: Final = 0
_CREDENTIALS: Final = struct.Struct("3i")  # struct ucred: pid, uid, gid (unix(7))
_PARENT_FIELD: Final = 1  # of /proc/<pid>/stat, counted behind the name in parentheses


class HasDescriptor(Protocol):
    """A socket, or what an event loop shows of one."""

    def fileno(self) -> int:
        """Return the descriptor."""
        ...


def is_own_process(connection: HasDescriptor) -> bool:
    """Return whether the peer is this process's parent or another child of it, as this user or root.

    The parent of the platform's processes is the supervisor; that of an instance is its zygote. On systems without
    ``SO_PEERCRED``, where instances are not confined, every peer is accepted.
    """
    if sys.platform != "linux":
        return True
    with socket.socket(fileno=os.dup(connection.fileno())) as duplicate:
        credentials = duplicate.getsockopt(socket.SOL_SOCKET, socket.SO_PEERCRED, _CREDENTIALS.size)
    pid, uid, _ = _CREDENTIALS.unpack(credentials)
    supervisor = os.getppid()
    return uid in (os.geteuid(), _ROOT) and supervisor in (pid, _parent_of(pid))


def _parent_of(pid: int) -> int | None:
    try:
        status = Path(f"/proc/{pid}/stat").read_text(encoding="latin-1")
        return int(status.rpartition(")")[2].split()[_PARENT_FIELD])
    except (OSError, ValueError, IndexError):
        return None
