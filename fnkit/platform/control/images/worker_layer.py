"""The layer with the programs that serve a function in a container: the core runtime and the worker.

It contains modules of fnkit that need nothing but the standard library of Python 3.9, unchanged.
"""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from typing import Final

from fnkit import worker
from fnkit.contract.invocation.environment import HOME_DIRECTORY
from fnkit.platform.control.images.layer import EntryKind, LayerEntry

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
    "worker/python/*.py",
    "worker/sandbox/*.py",
)
_EMPTY_MODULES: Final = ("__init__.py", "contract/__init__.py")
"""Modules that are empty in an image: in fnkit they import what it does not contain."""


def worker_entries() -> Iterator[LayerEntry]:
    """Yield the entries of the layer.

    Raises:
        OSError: A module cannot be read.
    """
    source = Path(worker.__file__).parent.parent
    for pattern in _MODULES:
        for file in sorted(source.glob(pattern)):
            path = f"{_DIRECTORY}/{file.relative_to(source)}"
            yield LayerEntry(path=path, kind=EntryKind.FILE, mode=0o644, source=file)
    for name in _EMPTY_MODULES:
        yield LayerEntry(path=f"{_DIRECTORY}/{name}", kind=EntryKind.FILE, mode=0o644)
    home = HOME_DIRECTORY.removeprefix("/")
    yield LayerEntry(path=home, kind=EntryKind.DIRECTORY, owner=USER_ID)
    yield LayerEntry(path=f"{home}/index.py", kind=EntryKind.FILE, mode=0o644, owner=USER_ID)
