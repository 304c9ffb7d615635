"""debugpy for the interpreter that runs a function, in the user's cache.

It is neither in the project's lock file nor in an archive: a platform adds its directory to the function's search
path while the function is debugged.
"""

from __future__ import annotations

from pathlib import Path
from typing import Final

from fnkit.bundler.dependencies.install import install_requirements
from fnkit.environments.python import ensure_virtual_environment
from fnkit.errors import BundleError
from fnkit.toolchains.interpreter import Interpreter

_REQUIREMENT: Final = "debugpy>=1.8.22,<2"
"""From this version on, it says on which port it listens within the process of the program."""


def prepare_debugger(interpreter: Interpreter, root: Path, cache: Path) -> Path:
    """Return the directory that contains debugpy; install it if the cache lacks it.

    Args:
        interpreter: What runs the function.
        root: The project's directory, whose package indexes are used.
        cache: Where environments are kept.

    Raises:
        BundleError: ``debugger-missing``: it could not be installed.
    """
    try:
        python = ensure_virtual_environment(
            cache / "python",
            ("debugger", _REQUIREMENT),
            interpreter,
            lambda python: install_requirements((_REQUIREMENT,), root, python),
        )
    except BundleError as error:
        raise BundleError(
            f"debugpy could not be installed for {interpreter.path}: {error.message}",
            code="debugger-missing",
            hint="Run it once with access to the package index; debugpy is kept in the cache then.",
        ) from error
    [packages] = python.parent.parent.glob("lib/python3*/site-packages")
    return packages
