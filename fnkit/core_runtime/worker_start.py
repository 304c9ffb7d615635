"""Starts the worker: the function's interpreter with the program of ``fnkit.worker.python.serve``."""

from __future__ import annotations

import os
import signal
import socket
import sys
from dataclasses import dataclass
from typing import Final

from fnkit.core_runtime.settings import OWN_PREFIX, CoreRuntimeSettings

_PROGRAM: Final = os.path.join("worker", "python", "serve.py")
_STDOUT: Final = 1  # stderr is the next one
_RESET_SIGNALS: Final = (signal.SIGINT, signal.SIGTERM, signal.SIGPIPE, signal.SIGCHLD)


@dataclass(frozen=True)
class WorkerHandle:
    """A worker that was started.

    Attributes:
        pid: The process, which leads a process group of its own.
        connection: The socket that it reads requests from.
        outputs: The read ends of the pipes that are its stdout and stderr; ``None`` if it writes to ours.
    """

    pid: int
    connection: socket.socket
    outputs: tuple[int, int] | None


def start_worker(settings: CoreRuntimeSettings) -> WorkerHandle:
    """Start the worker. Raises ``OSError`` if that is not possible.

    It reads its program from standard input, so that no path leads a handler to it. A process group of its own
    keeps the terminal's signals from it: they end the core runtime, which lets requests in progress end.
    """
    package = os.path.dirname(os.path.dirname(os.path.abspath(__file__)))
    environment = {
        name: value
        for name, value in os.environ.items()
        if not name.startswith(OWN_PREFIX) and name not in settings.withheld
    }
    program = os.path.join(package, _PROGRAM)
    pipes = (os.pipe(), os.pipe()) if settings.has_gateway else ()
    connection, worker_end = socket.socketpair()
    with worker_end:
        worker_end.set_inheritable(True)
        pid = os.posix_spawn(
            sys.executable,
            [sys.executable, "-I", "-S", "-", str(worker_end.fileno()), settings.handler, settings.root],
            environment,
            file_actions=[
                (os.POSIX_SPAWN_OPEN, 0, program, os.O_RDONLY, 0),
                *((os.POSIX_SPAWN_DUP2, end, number) for number, (_, end) in enumerate(pipes, start=_STDOUT)),
            ],
            setpgroup=0,
            setsigmask=(),
            setsigdef=_RESET_SIGNALS,
        )
    for _, write_end in pipes:
        os.close(write_end)
    connection.settimeout(0.0)
    return WorkerHandle(pid, connection, (pipes[0][0], pipes[1][0]) if pipes else None)
