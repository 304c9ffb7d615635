"""Reads from a handler's source which modules it imports at top level, without running it.

Standard library only, Python 3.8 and later. The function's own interpreter parses the source, because its version
defines the syntax, and does so inside the function's sandbox, because the source is untrusted.
"""

from __future__ import annotations

import ast
import importlib.util
import os
import typing

_MAX_FILES = 500  # modules of the function that are read at most


class HandlerImport:
    """``import name`` or ``from name import attribute``, of a module that is not one of the function's own."""

    __slots__ = ("attributes", "name")

    def __init__(self, name: str, attributes: tuple[str, ...]) -> None:
        self.name = name
        self.attributes = attributes


class ImportCollector:
    """Follows the function's own modules in import order and lists the other modules that they import.

    Args:
        root: The directory of the function's code.
        included: Directories elsewhere with modules of the function, by the names of the packages that they are.
    """

    def __init__(self, root: str, included: dict[str, str]) -> None:
        self.root = root
        self.included = included
        self.imports = []  # type: list[HandlerImport]
        self._seen = set()  # type: set[str]

    def collect(self, path: str, package: str) -> None:
        """Read a file and the function's own modules that it imports.

        Args:
            path: The file.
            package: The package that the module belongs to; empty for none.
        """
        if path in self._seen or len(self._seen) >= _MAX_FILES:
            return
        self._seen.add(path)
        try:
            with open(path, "rb") as file:
                tree = ast.parse(file.read())
        except (OSError, SyntaxError, ValueError, RecursionError, MemoryError):
            return  # the import of the handler reports it
        for node in _top_level_imports(tree.body):
            if isinstance(node, ast.Import):
                for alias in node.names:
                    self._add_import(alias.name, ())
            else:
                names = tuple(alias.name for alias in node.names if alias.name != "*")
                self._add_import(_absolute_name(node.module or "", node.level, package), names)

    def _add_import(self, name: str, attributes: tuple[str, ...]) -> None:
        top = name.partition(".")[0]
        directory = "" if top in self.included else self._own_directory(top) if top else None
        if directory is not None:
            self._collect_own_module(directory, name.split("."), attributes)
        elif top:
            self.imports.append(HandlerImport(name, attributes))

    def _own_directory(self, top: str) -> str | None:
        """Return the directory of one of the function's own modules, ``None`` for other modules."""
        try:
            spec = importlib.util.find_spec(top)
        except (ImportError, ValueError):
            return None
        if spec is None:
            return None
        locations = list(spec.submodule_search_locations or ()) or [spec.origin or ""]
        directory = os.path.dirname(locations[0])
        return directory if is_own_module(locations[0], self.root) else None

    def _collect_own_module(self, directory: str, parts: list[str], attributes: tuple[str, ...]) -> None:
        """Read a module of the function, after its parent packages, then the submodules among its attributes."""
        path = directory
        for depth, part in enumerate(parts, 1):
            path = self.included[part] if depth == 1 and not directory else os.path.join(path, part)
            self._collect_file(path, parts[:depth])
        for attribute in attributes:
            self._collect_file(os.path.join(path, attribute), [*parts, attribute])

    def _collect_file(self, path: str, parts: list[str]) -> None:
        package_file = os.path.join(path, "__init__.py")
        if os.path.isfile(package_file):
            self.collect(package_file, ".".join(parts))
        elif os.path.isfile(path + ".py"):
            self.collect(path + ".py", ".".join(parts[:-1]))


def handler_imports(handler: str, root: str, included: dict[str, str] | None = None) -> list[HandlerImport]:
    """Return what the module of ``dir/file.name`` imports, except for the function's own modules.

    Args:
        handler: The handler.
        root: The directory of the function's code.
        included: See ``ImportCollector``.
    """
    location = handler.rpartition(".")[0]
    reader = ImportCollector(root, included or {})
    reader.collect(os.path.join(root, location + ".py"), "")
    return reader.imports


def is_own_module(path: str, root: str) -> bool:
    """Return whether a file is part of the function's own code: in its archive, not among its packages."""
    return path.startswith(root + "/") and not path.startswith(root + "/package/")


def _absolute_name(module: str, level: int, package: str) -> str:
    if level == 0:
        return module
    parts = package.split(".") if package else []
    base = parts[: len(parts) - (level - 1)]
    return ".".join([*base, *([module] if module else [])])


def _top_level_imports(body: list[ast.stmt]) -> typing.Iterator[ast.Import | ast.ImportFrom]:
    """Yield the imports that run whenever the module does: not those in functions or behind an ``if``."""
    for node in body:
        if isinstance(node, (ast.Import, ast.ImportFrom)):
            yield node
        elif isinstance(node, (ast.Try, ast.With, ast.ClassDef)):
            yield from _top_level_imports(node.body)
            if isinstance(node, ast.Try):
                yield from _top_level_imports([*node.orelse, *node.finalbody])
