"""Starts a module of the worker, as the private package ``_fnkit_worker``.

A handler may have modules of its own called ``serve`` or ``filters``, and ``fnkit`` in a function is the copy in
its bundle; neither may meet the worker's modules. No directory is added to ``sys.path``. Standard library only,
Python 3.8 and later. It runs in two ways:

- ``python launch.py MODULE [ARGUMENT ...]``.
- ``python - FD`` with this file as standard input, for a zygote. FD is its socket to the data plane, over which the
  directory of the worker comes first. A fork inherits the arguments and the code of its zygote, and its handler can
  read them: so no path of the machine is an argument, and the worker's modules do not show where their files are.
"""

from __future__ import annotations

import importlib
import importlib.machinery
import importlib.util
import json
import os
import socket
import sys
import types

PACKAGE = "_fnkit_worker"
SHOWN_DIRECTORY = "/usr/local/lib/fnkit/worker"
"""Where the files of the worker are according to stack dumps of a handler. They are not."""


class WorkerFinder:
    """Finds the worker's modules.

    Args:
        directory: The directory of the worker.
        shown: The directory that their code names instead.
    """

    def __init__(self, directory: str, shown: str) -> None:
        self.directory = directory
        self.shown = shown

    def find_spec(
        self, name: str, _path: object = None, _target: object = None
    ) -> importlib.machinery.ModuleSpec | None:
        """Return the spec of a module of the worker, ``None`` for others."""
        package, *parts = name.split(".")
        if package != PACKAGE:
            return None
        relative = "/".join(parts)
        directory = os.path.join(self.directory, relative)
        if os.path.isdir(directory):
            file = os.path.join(relative, "__init__.py")
            loader = WorkerLoader(name, os.path.join(self.directory, file), os.path.join(self.shown, file))
            return importlib.util.spec_from_file_location(name, loader=loader, submodule_search_locations=[])
        file = relative + ".py"
        loader = WorkerLoader(name, os.path.join(self.directory, file), os.path.join(self.shown, file))
        return importlib.util.spec_from_file_location(name, loader.path, loader=loader)


class WorkerLoader(importlib.machinery.SourceFileLoader):
    """Loads a module whose code names another file than its own."""

    def __init__(self, name: str, path: str, shown: str) -> None:
        super().__init__(name, path)
        self.shown = shown

    def get_code(self, fullname: str) -> types.CodeType | None:
        """Return the code of the module, from its bytecode file if there is one."""
        code = super().get_code(fullname)
        return code and _name_file(code, self.shown)

    def exec_module(self, module: types.ModuleType) -> None:
        """Run the module."""
        module.__file__ = self.shown
        super().exec_module(module)


def _name_file(code: types.CodeType, path: str) -> types.CodeType:
    constants = tuple(_name_file(one, path) if isinstance(one, types.CodeType) else one for one in code.co_consts)
    return code.replace(co_filename=path, co_consts=constants)


def load(module: str, directory: str = "", shown: str = "") -> types.ModuleType:
    """Return a module of ``worker/python``, loaded as part of the private package.

    Args:
        module: Its name.
        directory: The directory of the worker; empty for that of this file.
        shown: The directory that its code names instead; empty for its own.
    """
    directory = directory or os.path.dirname(os.path.dirname(os.path.abspath(__file__)))
    sys.meta_path.insert(0, WorkerFinder(directory, shown or directory))
    return importlib.import_module(f"{PACKAGE}.python.{module}")


def hide() -> None:
    """Remove the worker's modules from what a program finds in ``sys``. Their functions keep them alive."""
    sys.meta_path[:] = [finder for finder in sys.meta_path if not isinstance(finder, WorkerFinder)]
    for name in [name for name in sys.modules if name.partition(".")[0] == PACKAGE]:
        attributes = vars(sys.modules.pop(name))
        for attribute in ("__cached__", "__loader__", "__path__", "__spec__"):
            attributes.pop(attribute, None)


def receive_directory(descriptor: int) -> str:
    """Read the directory of the worker: JSON, preceded by its length in four bytes."""
    with socket.socket(fileno=os.dup(descriptor)) as control:
        size = int.from_bytes(control.recv(4, socket.MSG_WAITALL), "big")
        return str(json.loads(control.recv(size, socket.MSG_WAITALL)))


if __name__ == "__main__":
    if sys.argv[0] == "-":
        zygote = load("main", receive_directory(int(sys.argv[1])), SHOWN_DIRECTORY)
        hide()
        zygote.main(sys.argv[1:])
    else:
        load(sys.argv[1]).main(sys.argv[2:])
