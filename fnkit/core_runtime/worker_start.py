"""Starts the worker: a process with the descriptors that ``fnkit.worker`` describes."""

from __future__ import annotations

import errno
import fcntl
import os
import signal
import socket
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass
from typing import Final

from fnkit.core_runtime.settings import OWN_PREFIX, CoreRuntimeSettings
from fnkit.core_runtime.worker_command import ASSIGNMENT, CONNECTION, WorkerCommand, make_command

_STDOUT: Final = 1  # stderr is the next one
_FIRST_FREE: Final = 16
"""Descriptors for the worker are moved above those that it expects, so that none is replaced before it is used."""
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
    """Start the worker. Raises ``OSError`` if that is not possible."""
    command = make_command(settings)
    pipes = (os.pipe(), os.pipe()) if settings.has_gateway else ()
    connection, worker_end = socket.socketpair()
    with ExitStack() as stack:
        for _, write_end in pipes:
            stack.callback(os.close, write_end)
        stack.enter_context(worker_end)
        places = {_STDOUT + number: write_end for number, (_, write_end) in enumerate(pipes)}
        places[CONNECTION] = stack.enter_context(_moved(worker_end.fileno()))
        if command.assignment:
            reader = stack.enter_context(_readable(command.assignment))
            places[ASSIGNMENT] = stack.enter_context(_moved(reader))
        pid = _spawn(command, _environment(settings, command), places)
    connection.settimeout(0.0)
    return WorkerHandle(pid, connection, (pipes[0][0], pipes[1][0]) if pipes else None)


def _environment(settings: CoreRuntimeSettings, command: WorkerCommand) -> dict[str, str]:
    kept = {
        name: value
        for name, value in os.environ.items()
        if not name.startswith(OWN_PREFIX) and name not in settings.withheld
    }
    return {**kept, **command.environment}


def _spawn(command: WorkerCommand, environment: dict[str, str], places: dict[int, int]) -> int:
    """Start the process, with these descriptors of ours in their places.

    A process group of its own keeps the terminal's signals from it: they end the core runtime, which lets requests
    in progress end.
    """
    program = command.arguments[0]
    try:
        return os.posix_spawnp(
            program,
            command.arguments,
            environment,
            file_actions=[
                (os.POSIX_SPAWN_OPEN, 0, command.standard_input, os.O_RDONLY, 0),
                *((os.POSIX_SPAWN_DUP2, descriptor, place) for place, descriptor in places.items()),
            ],
            setpgroup=0,
            setsigmask=(),
            setsigdef=_RESET_SIGNALS,
        )
    except FileNotFoundError:
        where = "" if os.path.dirname(program) else " on PATH"
        raise FileNotFoundError(errno.ENOENT, f"there is no {program}{where}") from None


@contextmanager
def _moved(descriptor: int) -> Iterator[int]:
    """Duplicate a descriptor above all places. The duplicate is not inherited, but its copy in a place is."""
    duplicate = fcntl.fcntl(descriptor, fcntl.F_DUPFD_CLOEXEC, _FIRST_FREE)
    try:
        yield duplicate
    finally:
        os.close(duplicate)


@contextmanager
def _readable(content: bytes) -> Iterator[int]:
    """Return the read end of a pipe with this content. Raises ``OSError`` if a pipe does not hold it."""
    reader, writer = os.pipe()
    try:
        try:
            os.set_blocking(writer, False)
            if os.write(writer, content) < len(content):
                raise OSError(errno.E2BIG, "the name of the handler is too long")
        finally:
            os.close(writer)
        yield reader
    finally:
        os.close(reader)
