"""Makes the included directories of a project importable where its files run in place.

In an archive, an included directory is in the root of the code. Here it is found where it is: its modules have
their real files, for tracebacks and debuggers, and nothing else of the directory around it can be imported.
Standard library only, Python 3.8 and later.
"""

from __future__ import annotations

import importlib.machinery
import importlib.util
import json
import os
import sys
import typing

VARIABLE = "FNKIT_INCLUDED"
"""The environment variable from which test runners have the directories: a JSON object, path by name."""


class IncludedFinder:
    """Finds top-level packages in their directories.

    Args:
        directories: Directory by name of the package.
    """

    def __init__(self, directories: dict[str, str]) -> None:
        self.directories = directories

    def find_spec(
        self, name: str, path: object = None, _target: object = None
    ) -> importlib.machinery.ModuleSpec | None:
        """Return the spec of a package in an included directory, ``None`` for others."""
        directory = self.directories.get(name) if path is None else None
        if directory is None:
            return None
        package = os.path.join(directory, "__init__.py")
        if os.path.isfile(package):
            return importlib.util.spec_from_file_location(name, package, submodule_search_locations=[directory])
        found = importlib.machinery.PathFinder.find_spec(name)
        if found is not None and found.loader is not None and found.origin:
            return None  # a package or module wins over directories without an __init__.py, whatever their order
        spec = importlib.machinery.ModuleSpec(name, None, is_package=True)
        spec.submodule_search_locations = [directory]
        return spec


def install(directories: dict[str, str]) -> None:
    """Make the directories importable by their names, before whatever is on ``sys.path``."""
    if not directories:
        return
    finder = IncludedFinder(directories)
    finders = sys.meta_path  # type: typing.List[typing.Any]
    position = finders.index(importlib.machinery.PathFinder) if importlib.machinery.PathFinder in finders else 0
    finders.insert(position, finder)


def install_from_environment(environ: typing.Mapping[str, str]) -> None:
    """Install the directories that a variable has; nothing if it has none."""
    try:
        directories = json.loads(environ.get(VARIABLE, "{}"))
    except ValueError:
        return
    if isinstance(directories, dict):
        install({str(name): str(path) for name, path in directories.items()})
