"""What the worker of a function executes, by its language.

A Python worker gets its program from standard input, so that no path leads a handler to it. Other interpreters run
the program that is in the home directory, as on the real platform, and read which handler to serve from descriptor
4. A program that was built from the function needs nothing but its socket; if it serves HTTP on ``$PORT``, Python
relays requests to it.
"""

from __future__ import annotations

import json
import os
import sys
from dataclasses import dataclass, field
from typing import Final

from fnkit.core_runtime.settings import CoreRuntimeSettings
from fnkit.worker.built_program import BUILT_PROGRAM, DESCRIPTOR_VARIABLE, HTTP_SERVER
from fnkit.worker.interpreters import INTERPRETERS

CONNECTION: Final = 3
"""The descriptor of the worker's socket."""
ASSIGNMENT: Final = 4
"""The descriptor from which an interpreter reads what it serves."""

_WORKER: Final = os.path.join(os.path.dirname(os.path.dirname(os.path.abspath(__file__))), "worker")
_PYTHON: Final = (sys.executable, "-I", "-S")


@dataclass(frozen=True)
class WorkerCommand:
    """What a worker executes.

    Attributes:
        arguments: The program, as a path or a name that is looked for on ``PATH``, and its arguments.
        standard_input: The file that it reads from standard input.
        environment: What it gets besides the environment of the function.
        assignment: What it reads from descriptor 4; empty if it does not read it.
    """

    arguments: tuple[str, ...]
    standard_input: str = os.devnull
    environment: dict[str, str] = field(default_factory=dict)
    assignment: bytes = b""


def make_command(settings: CoreRuntimeSettings) -> WorkerCommand:
    """Return what the worker of a function executes."""
    if settings.language in INTERPRETERS:
        return _interpreter_command(settings)
    if settings.is_native:
        return _built_command(settings)
    program = os.path.join(_WORKER, "python", "serve.py")
    arguments = (*_PYTHON, "-", str(CONNECTION), settings.handler, settings.root)
    return WorkerCommand(arguments, standard_input=program)


def _interpreter_command(settings: CoreRuntimeSettings) -> WorkerCommand:
    row = INTERPRETERS[settings.language]
    program = os.path.join(settings.home, os.path.basename(row.path))
    line = {"handler": settings.handler, "root": settings.root, "home": settings.home, "has_environment": True}
    return WorkerCommand(
        (settings.interpreter or row.name, *row.options(settings.memory), program),
        assignment=json.dumps(line).encode() + b"\n",
    )


def _built_command(settings: CoreRuntimeSettings) -> WorkerCommand:
    program = os.path.join(settings.root, BUILT_PROGRAM)
    if os.path.exists(os.path.join(settings.root, HTTP_SERVER)):
        launcher = os.path.join(_WORKER, "python", "launch.py")
        return WorkerCommand((*_PYTHON, launcher, "relay", str(CONNECTION), program))
    return WorkerCommand((program,), environment={DESCRIPTOR_VARIABLE: str(CONNECTION)})
