"""Starts a program of ours beside the data plane, which takes work that would hold its event loop."""

from __future__ import annotations

import socket
import subprocess
import sys


def start_helper(module: str) -> tuple[subprocess.Popen[bytes], socket.socket]:
    """Start a program and return it with our end of the socket that is its standard input and output.

    It has a session of its own, so that Ctrl-C on a terminal reaches the supervisor alone.

    Raises:
        OSError: No descriptors or processes are left.
    """
    ours, theirs = socket.socketpair()
    try:
        process = subprocess.Popen(
            [sys.executable, "-P", "-m", module],
            stdin=theirs.fileno(),
            stdout=theirs.fileno(),
            cwd="/",
            start_new_session=True,
        )
    except OSError:
        ours.close()
        raise
    finally:
        theirs.close()
    ours.settimeout(0)
    return process, ours
