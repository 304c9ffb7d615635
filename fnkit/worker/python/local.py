"""One worker that serves one connection: the child process of a local ``fnkit invoke``.

It reads its settings as JSON from an inherited pipe: arguments are visible to other users, the settings hold
secrets, and standard input may be the terminal, for a debugger. It connects to its parent, authenticates with the
token from the settings, and serves like an instance of the platform: the same import rules, serving loop and
response encoding. Standard library only, Python 3.8 and later.
"""

from __future__ import annotations

import atexit
import contextlib
import json
import os
import socket
import sys
import typing

from . import included_directories, serve
from .early_imports import import_early

_exit_codes = []  # type: list[int]


def main(arguments: list[str]) -> None:
    """Serve until the parent closes the connection. Exits with the code set by the handler, or 0.

    The argument is the descriptor of the pipe. Its first line is ``null``, or what is known of the function before
    its settings are: then packages are imported meanwhile (``early_imports``).

    Settings with a ``command`` make this process execute the interpreter of another language, or a compiled
    program; if that serves HTTP, this process relays requests to it.
    """
    atexit.register(_end)
    with open(int(arguments[0]), "rb") as pipe:
        known = json.loads(pipe.readline())
        early = import_early(known) if known is not None else None
        settings = json.loads(pipe.read() or b"null")
    if settings is None:
        return  # it was not needed
    connection = socket.create_connection(("127.0.0.1", settings["port"]))
    connection.sendall(settings["token"].encode())
    is_accepted = early is None or early.fit(settings["environment"], settings["secrets"], settings["included"])
    serve.send_status(connection, {"accepted": is_accepted})
    if not is_accepted:
        return
    os.chdir(settings["home"])
    if settings["command"]:
        _run_command(connection, settings)
    if early is None:
        serve.apply_environment(settings["environment"])
    else:  # what imports have changed stays, as it does without early ones
        os.environ.update({name: settings["environment"][name] for name in settings["secrets"]})
    sys.argv[:] = [settings["handler"]]
    if settings.get("entries"):  # the entry module of the handler, which an archive has beside the handler
        sys.path.append(settings["entries"])
    included_directories.install(settings.get("included") or {})
    _exit(serve.serve(connection, settings))


def _exit(code: int) -> typing.NoReturn:
    """End this process after its threads and exit handlers, without taking its modules apart, which takes long."""
    _exit_codes.append(code)
    sys.exit(code)


def _end() -> None:
    """Exit at once: the exit handler that was registered first runs last."""
    for stream in (sys.stdout, sys.stderr):
        with contextlib.suppress(Exception):  # the handler may have closed or replaced it
            stream.flush()
    if _exit_codes:
        os._exit(_exit_codes[0])


def _run_command(connection: socket.socket, settings: dict[str, typing.Any]) -> typing.NoReturn:
    """Execute an interpreter or a program, or relay requests to it."""
    # Imported here: a Python handler needs neither, and they take some 40 ms.
    from . import program, relay

    if settings["is_server"]:
        sys.exit(relay.run(settings["command"], connection, settings["environment"]))
    with open(settings["source"] or os.devnull, "rb") as source:
        program.execute(source.fileno(), connection, settings, settings["environment"], [1, 2])
    raise AssertionError("the program was executed")
