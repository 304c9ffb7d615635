"""The layer with the programs that serve a function in a container: the core runtime and the worker.

It contains modules of fnkit that need nothing but the standard library of Python 3.9, unchanged, and the worker's
program for the function's language, unless that program is built from the function.
"""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from typing import Final

from fnkit import worker
from fnkit.contract.invocation.environment import HOME_DIRECTORY
from fnkit.platform.control.images.layer import EntryKind, LayerEntry
from fnkit.worker.interpreters import INTERPRETERS
from fnkit.worker.python.serve import PROGRAM_PATH

CORE_RUNTIME: Final = "/usr/local/lib/fnkit/fnkit/core_runtime/main.py"
"""The program that an image starts."""
USER_ID: Final = 1000
"""The user and group of the processes in a container, and of the function's files."""
_DIRECTORY: Final = "usr/local/lib/fnkit/fnkit"
_MODULES: Final = (
    "contract/limits.py",
    "contract/invocation/*.py",
    "core_runtime/*.py",
    "worker/*.py",
    "worker/*/__init__.py",
)
_PYTHON_MODULES: Final = ("worker/python/*.py", "worker/sandbox/*.py")
"""What serves a function in Python, or relays requests to a program that serves HTTP."""
_EMPTY_MODULES: Final = ("__init__.py", "contract/__init__.py")
"""Modules that are empty in an image: in fnkit they import what it does not contain."""


def worker_entries(language: str) -> Iterator[LayerEntry]:
    """Yield the entries of the layer for functions in a language.

    Raises:
        OSError: A module cannot be read.
    """
    source = Path(worker.__file__).parent.parent
    interpreter = INTERPRETERS.get(language)
    patterns = _MODULES if interpreter is not None else (*_MODULES, *_PYTHON_MODULES)
    for file in sorted({file for pattern in patterns for file in source.glob(pattern)}):
        path = f"{_DIRECTORY}/{file.relative_to(source)}"
        yield LayerEntry(path=path, kind=EntryKind.FILE, mode=0o644, source=file)
    for name in _EMPTY_MODULES:
        yield LayerEntry(path=f"{_DIRECTORY}/{name}", kind=EntryKind.FILE, mode=0o644)
    yield LayerEntry(path=HOME_DIRECTORY.removeprefix("/"), kind=EntryKind.DIRECTORY, owner=USER_ID)
    if interpreter is not None:
        program = source / "worker" / interpreter.source
        yield _program_entry(interpreter.path, program)
    elif language == "Python":
        yield _program_entry(PROGRAM_PATH)


def _program_entry(path: str, source: Path | None = None) -> LayerEntry:
    """Return the entry of the program of the real platform, which is empty where nothing runs it."""
    relative = path.removeprefix("/")
    return LayerEntry(path=relative, kind=EntryKind.FILE, mode=0o644, owner=USER_ID, source=source)
