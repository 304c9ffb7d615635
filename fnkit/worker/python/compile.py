"""Compiles the modules below the current directory to bytecode, in a sandbox: the sources are a stranger's.

The sources of a deployment never change, so imports need not compare the bytecode with them (unchecked hash). Tests
of packages are skipped: they are two thirds of pandas, and handlers do not import them. The order of the files is
that of their names, so that the same sources give the same bytecode. Standard library only, Python 3.8 and later.
"""

from __future__ import annotations

import contextlib
import os
import py_compile
import sys

from ..sandbox import confine

NO_SANDBOX = 3
"""The exit code if the machine cannot confine this process. Nothing is compiled then."""


def main(arguments: list[str]) -> None:
    """Confine this process and compile; a file that cannot be compiled is left out.

    Args:
        arguments: The user id that the directory belongs to, 0 to keep the user, and the name of a directory in it
            that is left out; empty for none.
    """
    try:
        confine.confine_build(int(arguments[0]))
    except OSError:
        sys.exit(NO_SANDBOX)
    os.nice(5)
    mode = py_compile.PycInvalidationMode.UNCHECKED_HASH
    for folder, folders, names in os.walk("."):
        skipped = {"__pycache__", "tests"} | ({arguments[1]} if folder == "." else set())
        folders[:] = sorted(name for name in folders if name.isidentifier() and name not in skipped)
        for name in sorted(names):
            path = os.path.join(folder, name)
            if name.endswith(".py") and not os.path.islink(path):
                with contextlib.suppress(Exception):
                    py_compile.compile(path, doraise=True, invalidation_mode=mode)
