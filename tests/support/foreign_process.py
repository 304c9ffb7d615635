"""A process that belongs to no platform: no child of the test, which is the parent of the platform's processes."""

from __future__ import annotations

import subprocess
import sys

__all__ = ["bytes_from_socket"]

_PROGRAM = """
import socket, sys
peer = socket.socket(socket.AF_UNIX)
peer.settimeout(10)
peer.connect(sys.argv[1])
received = b""
try:
    peer.sendall(bytes.fromhex(sys.argv[2]))
    while part := peer.recv(65536):
        received += part
except ConnectionError:
    pass
sys.stdout.write(received.hex())
"""


def bytes_from_socket(path: str, sent: bytes) -> bytes:
    """Connect to a Unix socket from a grandchild of this process, send data, and return what it receives."""
    command = [sys.executable, "-c", _PROGRAM, path, sent.hex()]
    # The second command keeps the shell from replacing itself with the first.
    done = subprocess.run(
        ["sh", "-c", '"$@"; true', "sh", *command], capture_output=True, text=True, check=True, timeout=60
    )
    return bytes.fromhex(done.stdout)
