"""Starts debugpy in an instance, and reports where it listens. Standard library only, Python 3.8 and later.

The debugger speaks the Debug Adapter Protocol itself, within the process of the handler: so the instance needs no
second process, and no fixed port, which the instance that replaces it could not open while this one still answers.
"""

from __future__ import annotations

import importlib
import json
import os
import socket
import sys
import typing

_HOST = "127.0.0.1"
_REPORT_SECONDS = 10.0
_reports = []  # type: list[socket.socket]


def start(debugger: dict[str, typing.Any], root: str) -> None:
    """Listen for a debugger, before the handler is imported. A failure is printed, and the handler runs without.

    Args:
        debugger: ``directory`` with debugpy; ``port`` at which it is reported where the debugger listens, and the
            ``key`` that is said there first.
        root: The directory of the function's code.
    """
    try:
        report(debugger, root, listen(debugger["directory"], root))
    except Exception as error:
        sys.stderr.write(f"The debugger could not be started: {type(error).__name__}: {error}\n")


def listen(directory: str, root: str) -> int:
    """Start debugpy, and return its port.

    Modules of the function are found before those of its directory.
    """
    sys.path.append(directory)
    packages = os.path.join(root, "package")
    settings = {
        "IDE_PROJECT_ROOTS": root,
        "LIBRARY_ROOTS": os.pathsep.join((packages, directory)),
        "PYDEVD_DISABLE_FILE_VALIDATION": "1",  # it would warn of the modules that are part of the interpreter
    }
    os.environ.update(settings)
    try:
        debugpy = importlib.import_module("debugpy")
        _, port = debugpy.listen((_HOST, 0), in_process_debug_adapter=True)
    finally:
        for name in settings:
            os.environ.pop(name, None)
    return int(port)


def report(debugger: dict[str, typing.Any], root: str, port: int) -> None:
    """Report the port. The connection stays open until the end of this process, which its other end notices."""
    connection = socket.create_connection((_HOST, debugger["port"]), timeout=_REPORT_SECONDS)
    connection.sendall(json.dumps({"key": debugger["key"], "port": port, "root": root}).encode() + b"\n")
    _reports.append(connection)
