"""Executes a program of another language in a fork, which the sandbox confines like a Python handler.

Its descriptors are: 0, the null device; 1 and 2, the pipes of stdout and stderr; 3, the socket of the instance; for
an interpreter also 4, from which it reads one line of JSON, the handler that it serves: ``{"handler":
"dir/file.name", "root": "…", "home": "…", "has_environment": false}``. Without an environment of its own it reads
that of the function from the socket, as a document. What an interpreter runs is copied to the home directory, where
the real platform has it.

An interpreter that starts slowly is executed before it is known which function it will serve (``execute_ahead``).
What is left to do then, such as mounting the code, needs rights that it must not have. So the fork leaves a helper
process behind, which does it, writes the line to descriptor 4 and ends. It is a child of the program, which must
reap it: PHP does; Node cannot, and keeps an entry in its table of processes. Standard library only, Python 3.8 and
later.
"""

from __future__ import annotations

import fcntl
import json
import os
import signal
import socket
import typing

from .. import built_program
from ..sandbox import confine
from ..sandbox.rootfs import RootFilesystem
from . import serve

CONNECTION, HANDLER = 3, 4
"""Descriptors of a program."""

_START_ENVIRONMENT = {"LANG": "C.UTF-8", "PATH": os.defpath}
"""What a program has before it gets the environment of its function."""
_FIRST_FREE = 16
"""Descriptors are moved above those of a program before they are put in their places."""


def execute_ahead(
    program: dict[str, typing.Any],
    source: int,
    connection: socket.socket,
    root: RootFilesystem,
    outputs: list[int],
) -> None:
    """Execute an interpreter in a confined process that belongs to no function yet. Never returns.

    Args:
        program: Its ``command``, the name of the ``file`` that it runs, and the settings of its ``sandbox``, as far
            as they are the same for all functions.
        source: A descriptor of what it runs.
        connection: The instance's socket.
        root: The root that this process has entered.
        outputs: The write ends of its stdout and stderr pipes.

    Raises:
        OSError: The process could not be confined, or the program not be executed.
    """
    sandbox = confine.SandboxSettings(program["sandbox"])
    command = [*program["command"], _copy_source(source, sandbox.home, program["file"])]
    reader, writer = os.pipe()
    if os.fork() == 0:
        _help(sandbox, connection, root, writer)
    os.close(writer)
    confine.confine_ahead(sandbox, tuple(outputs))
    _execute(command, connection, outputs, _START_ENVIRONMENT, reader)


def _help(sandbox: confine.SandboxSettings, connection: socket.socket, root: RootFilesystem, writer: int) -> None:
    """Wait for the settings of an instance and apply those that the program cannot. Never returns."""
    try:
        settings = serve.receive_document(connection)
        confine.assign_ahead(confine.SandboxSettings(settings), root, sandbox.uid)
        os.write(writer, _handler_line(settings, has_environment=False))
    except EOFError:
        pass  # it was not needed
    except BaseException as error:
        serve.send_status(connection, {"error": f"{type(error).__name__}: {error}"})
    finally:
        os._exit(0)


def execute(
    source: int,
    connection: socket.socket,
    settings: dict[str, typing.Any],
    environment: dict[str, str],
    outputs: list[int],
) -> None:
    """Execute the program of an instance in this process, whose sandbox is complete. Never returns.

    Args:
        source: A descriptor of what an interpreter runs.
        connection: The instance's socket.
        settings: The settings of the instance: the ``command``, and the name of the ``file`` that an interpreter
            runs, empty for a program that was built from the function.
        environment: Its environment.
        outputs: The write ends of its stdout and stderr pipes.

    Raises:
        OSError: It cannot be executed.
    """
    if not settings["file"]:
        environment = {**environment, built_program.DESCRIPTOR_VARIABLE: str(CONNECTION)}
        _execute(settings["command"], connection, outputs, environment)
    command = [*settings["command"], _copy_source(source, settings["home"], settings["file"])]
    reader, writer = os.pipe()
    os.write(writer, _handler_line(settings, has_environment=True))
    os.close(writer)
    _execute(command, connection, outputs, environment, reader)


def _copy_source(source: int, home: str, name: str) -> str:
    """Copy what an interpreter runs to the home directory of the instance, and return its path."""
    path = os.path.join(home, name)
    with open(source, "rb") as original, open(path, "wb") as copy:
        copy.write(original.read())
    os.chmod(path, 0o644)
    return path


def _handler_line(settings: dict[str, typing.Any], *, has_environment: bool) -> bytes:
    line = {name: settings[name] for name in ("handler", "root", "home", "debugger") if name in settings}
    return json.dumps({**line, "has_environment": has_environment}).encode() + b"\n"


def _execute(
    command: list[str],
    connection: socket.socket,
    outputs: list[int],
    environment: dict[str, str],
    *readers: int,
) -> typing.NoReturn:
    null_device = os.open(os.devnull, os.O_RDONLY)
    descriptors = [null_device, *outputs, connection.fileno(), *readers]
    # Moved out of the way first: one of them may have the number of another one's place.
    moved = [_duplicate_above(descriptor) for descriptor in descriptors]
    for descriptor in descriptors:
        os.close(descriptor)  # those that another process sent would stay open
    for place, descriptor in enumerate(moved):
        os.dup2(descriptor, place)  # inheritable, as no other descriptor is (PEP 446)
    signal.set_wakeup_fd(-1)
    signal.signal(signal.SIGPIPE, signal.SIG_DFL)  # ignored by Python, and an ignored signal is inherited
    os.execve(command[0], command, environment)


def _duplicate_above(descriptor: int) -> int:
    return fcntl.fcntl(descriptor, fcntl.F_DUPFD_CLOEXEC, _FIRST_FREE)
