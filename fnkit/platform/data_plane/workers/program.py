"""What a worker runs, by language.

A further language is one row of ``_PROCESSES`` and of ``fnkit.worker.interpreters``, or a name in
``NATIVE_LANGUAGES``.

A Python handler runs in a fork of its interpreter's zygote. Every other language runs a command: an interpreter
with the worker's program for that language, or the program that was built from the function. Commands are executed
in forks of a zygote of this process's own interpreter, which confines them.

Interpreters take tens of milliseconds to start, so they are started ahead and wait for a function, where their root
can be completed from outside: not without namespaces, not with ``sandbox: v1``, whose system calls are not
filtered, and not for functions with variables that such an interpreter reads only at its start.
"""

from __future__ import annotations

import sys
from collections.abc import Iterable
from dataclasses import dataclass, replace
from functools import lru_cache
from pathlib import Path, PurePosixPath
from typing import Final

from fnkit.contract.invocation.native_request import NATIVE_LANGUAGES
from fnkit.platform.data_plane.workers.forked_process import PYTHON_SOURCE
from fnkit.platform.model.routing import LocalProgram, Route
from fnkit.worker.built_program import BUILT_PROGRAM
from fnkit.worker.interpreters import INTERPRETERS

_LOADER_VARIABLES: Final = ("LD_", "MALLOC_", "GLIBC_TUNABLES")
"""Variables that the C library reads when a program is executed, or their beginnings."""


@dataclass(frozen=True, slots=True, kw_only=True)
class WorkerProgram:
    """What a worker runs. Workers with the same program are interchangeable until they are assigned.

    Attributes:
        interpreter: The Python interpreter of the zygote that forks the worker.
        directories: What its root has besides the directories of the system and of that interpreter.
        source: What an interpreter runs, below the directory of the worker.
        command: The command of an interpreter that is no Python, without the file that it runs; empty for others.
        memory: MB that each process of the command may have where the kernel limits processes; 0 for a worker
            that gets its limit when it is assigned.
        is_ahead: Whether the command is executed before the worker is assigned.
    """

    interpreter: str
    directories: tuple[str, ...] = ()
    source: str = PYTHON_SOURCE
    command: tuple[str, ...] = ()
    memory: int = 0
    is_ahead: bool = False

    @property
    def file(self) -> str:
        """The name of the file that an interpreter runs in an instance; empty for others."""
        return f"index{PurePosixPath(self.source).suffix}" if self.command else ""


@dataclass(frozen=True, slots=True, kw_only=True)
class _InterpreterProcess:
    """What starting an interpreter of a language in a sandbox takes.

    Attributes:
        overhead: MB that a process has mapped, but does not use, beside the memory of the function.
        start_variables: Variables that it reads only at its start, or their beginnings.
        late_options: Further options of one that is not executed ahead.
        other_variables: Variables with such beginnings that it does not read.
        configuration: Directories outside of its installation that it reads at its start.
    """

    overhead: int
    start_variables: tuple[str, ...]
    late_options: tuple[str, ...] = ()
    other_variables: tuple[str, ...] = ()
    configuration: tuple[str, ...] = ()

    def reads_at_start(self, variables: Iterable[str]) -> bool:
        """Return whether it reads one of these variables only at its start."""
        beginnings = (*_LOADER_VARIABLES, *self.start_variables)
        return any(name.startswith(beginnings) and name not in self.other_variables for name in variables)


_NO_DEBUGGER_ADDRESS: Final = "--inspect-publish-uid=http"
"""Keeps Node from writing to the log where its debugger listens: nobody attaches there directly."""

_PROCESSES: Final = {
    "Node": _InterpreterProcess(
        overhead=512,
        start_variables=("NODE_", "UV_", "SSL_CERT", "OPENSSL_", "LANG", "LC_"),
        other_variables=("NODE_ENV",),
    ),
    "PHP": _InterpreterProcess(
        # Opcache ends PHP where it cannot create its lock, and /tmp cannot be written to without namespaces.
        late_options=("-d", "opcache.lockfile_path=."),
        overhead=192,
        start_variables=("PHP_INI_SCAN_DIR", "PHPRC", "USE_ZEND_ALLOC"),
        configuration=("/etc/php",),
    ),
}


def find_program(route: Route, *, can_start_ahead: bool) -> WorkerProgram:
    """Return what the workers of a deployment run.

    Args:
        route: The deployment.
        can_start_ahead: Whether the isolation level allows commands to be executed ahead.
    """
    row = _PROCESSES.get(route.language)
    is_ahead = (
        can_start_ahead
        and route.sandbox != "v1"
        and not (row is not None and row.reads_at_start(route.environment))
    )
    program = make_program(
        route.language, local_program(route).interpreter, route.reserved_memory, is_ahead=is_ahead
    )
    if route.debugger is None:
        return program
    if route.language == "Node":
        return replace(program, command=(*program.command, _NO_DEBUGGER_ADDRESS))
    return replace(program, directories=(*program.directories, route.debugger.directory))


def make_program(language: str, interpreter: str, memory: int, *, is_ahead: bool) -> WorkerProgram:
    """Return what the workers of functions in a language run.

    Args:
        language: The language of a runtime.
        interpreter: Absolute path of the interpreter; of no meaning for a compiled language.
        memory: MB of the functions.
        is_ahead: Whether the command of an interpreter is executed ahead.
    """
    row = _PROCESSES.get(language)
    if row is None:
        return WorkerProgram(interpreter=sys.executable if language in NATIVE_LANGUAGES else interpreter)
    program = INTERPRETERS[language]
    return WorkerProgram(
        interpreter=sys.executable,
        directories=_toolchain_directories(interpreter, row.configuration),
        source=program.source,
        command=(interpreter, *program.options(memory), *(() if is_ahead else row.late_options)),
        memory=memory + row.overhead,
        is_ahead=is_ahead,
    )


def built_command(route: Route, root: str) -> list[str]:
    """Return the command of the program that was built from a function; empty if its language is not compiled.

    Args:
        route: The deployment.
        root: The directory of the code, as the instance sees it.
    """
    return [f"{root}/{BUILT_PROGRAM}"] if route.language in NATIVE_LANGUAGES else []


def memory_overhead(language: str) -> int:
    """Return the MB that a process has mapped, but does not use, beside the memory of its function."""
    row = _PROCESSES.get(language)
    return row.overhead if row is not None else 0


def local_program(route: Route) -> LocalProgram:
    """Return what the instances of a deployment run. Raises ``TypeError`` if it is an image."""
    if not isinstance(route.program, LocalProgram):
        raise TypeError(f"{route} runs an image")
    return route.program


@lru_cache(maxsize=64)  # each start asks
def _toolchain_directories(program: str, configuration: tuple[str, ...]) -> tuple[str, ...]:
    """Return the directory that a program was installed to, above the ``bin`` that it lies in, and others."""
    directory = Path(program).resolve().parent
    installation = directory.parent if directory.name == "bin" else directory
    return (str(installation), *(path for path in configuration if Path(path).is_dir()))
