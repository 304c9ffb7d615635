"""What a handler imports at top level, read from its source without running it.

Standard library of Python 3.8 and later; parsed by the function's own interpreter, inside its own walls.
"""

from __future__ import annotations

import ast
import importlib.util
import os
import typing

_FILES_MAX = 500  # of a function's own modules


class Import:
    """``import name`` or ``from name import attribute``, of a module that is not the function's own."""

    __slots__ = ("attributes", "name")

    def __init__(self, name: str, attributes: tuple[str, ...]) -> None:
        self.name = name
        self.attributes = attributes


class Reader:
    """Follows a function's own modules, in the order in which Python would, and lists what they reach."""

    def __init__(self, root: str) -> None:
        self.root = root
        self.found = []  # type: list[Import]
        self._seen = set()  # type: set[str]

    def read(self, path: str, package: str) -> None:
        """Read one file, a module of ``package`` (empty: of none), and what it imports of its own kind."""
        if path in self._seen or len(self._seen) >= _FILES_MAX:
            return
        self._seen.add(path)
        try:
            with open(path, "rb") as file:
                tree = ast.parse(file.read())
        except (OSError, SyntaxError, ValueError, RecursionError, MemoryError):
            return  # it shows when the handler is imported
        for node in _top_level(tree.body):
            if isinstance(node, ast.Import):
                for alias in node.names:
                    self._reach(alias.name, ())
            else:
                names = tuple(alias.name for alias in node.names if alias.name != "*")
                self._reach(_absolute(node.module or "", node.level, package), names)

    def _reach(self, name: str, attributes: tuple[str, ...]) -> None:
        top = name.partition(".")[0]
        folder = self._own_folder(top) if top else None
        if folder is not None:
            self._follow(folder, name.split("."), attributes)
        elif top:
            self.found.append(Import(name, attributes))

    def _own_folder(self, top: str) -> str | None:
        """Return the folder that a module of the function's own lies in, ``None`` for anybody else's."""
        try:
            spec = importlib.util.find_spec(top)
        except (ImportError, ValueError):
            return None
        if spec is None:
            return None
        places = list(spec.submodule_search_locations or ()) or [spec.origin or ""]
        folder = os.path.dirname(places[0])
        return folder if is_own(places[0], self.root) else None

    def _follow(self, folder: str, parts: list[str], attributes: tuple[str, ...]) -> None:
        """Read one of the function's own modules, the packages above it first, and what is asked of it."""
        place = folder
        for depth, part in enumerate(parts, 1):
            place = os.path.join(place, part)
            self._read_module(place, parts[:depth])
        for attribute in attributes:
            self._read_module(os.path.join(place, attribute), [*parts, attribute])

    def _read_module(self, place: str, parts: list[str]) -> None:
        inside = os.path.join(place, "__init__.py")
        if os.path.isfile(inside):
            self.read(inside, ".".join(parts))
        elif os.path.isfile(place + ".py"):
            self.read(place + ".py", ".".join(parts[:-1]))


def handler_imports(handler: str, root: str) -> list[Import]:
    """Return what the module of ``dir/file.name`` makes Python import, but for the function's own modules."""
    location = handler.rpartition(".")[0]
    reader = Reader(root)
    reader.read(os.path.join(root, location + ".py"), "")
    return reader.found


def is_own(path: str, root: str) -> bool:
    """Say whether a file is the function's own: in its archive, and not among its packages."""
    return path.startswith(root + "/") and not path.startswith(root + "/package/")


def _absolute(module: str, level: int, package: str) -> str:
    if level == 0:
        return module
    parts = package.split(".") if package else []
    base = parts[: len(parts) - (level - 1)]
    return ".".join([*base, *([module] if module else [])])


def _top_level(body: list[ast.stmt]) -> typing.Iterator[ast.Import | ast.ImportFrom]:
    """Yield the imports that run for sure when the module does: not those in functions, nor behind an ``if``."""
    for node in body:
        if isinstance(node, (ast.Import, ast.ImportFrom)):
            yield node
        elif isinstance(node, (ast.Try, ast.With, ast.ClassDef)):
            yield from _top_level(node.body)
            if isinstance(node, ast.Try):
                yield from _top_level([*node.orelse, *node.finalbody])
