"""Finds the project files that a handler can import, and imports that no file of the project provides.

Modules are searched where the platform searches: the handler file's own directory, the archive's root, ``package/``
(``docs/bundling.md``). Every match counts, whichever would win at run time: the result may contain more than Python
loads, never less. Where the imports cannot be determined, the result is the whole project.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from dataclasses import dataclass

from fnkit.bundler.module_facts import ImportFact, ModuleFacts

__all__ = ["ProjectTree", "Reach", "Unmet", "reach_of"]


class ProjectTree:
    """The selected files of a project, indexed by module."""

    def __init__(self, paths: frozenset[str]) -> None:
        self.paths = paths
        self.folders = frozenset(_folders(paths))
        self._children: dict[str, list[str]] = {}
        for path in sorted(paths):
            if path.endswith(".py"):
                folder = path.rpartition("/")[0]
                self._children.setdefault(folder, []).append(path)
                if path.endswith("/__init__.py"):
                    self._children.setdefault(folder.rpartition("/")[0], []).append(path)

    def resolve(self, base: str, dotted: str) -> tuple[list[str], bool]:
        """Return the files that importing ``dotted`` loads, including its parent packages.

        Args:
            base: Directory to search, ``""`` or ``"a/"``.
            dotted: Absolute module name.

        Returns:
            The files, and whether the first component of the name exists.
        """
        found: list[str] = []
        directory = base
        exists = False
        for part in dotted.split("."):
            candidates = [
                path for path in (f"{directory}{part}.py", f"{directory}{part}/__init__.py") if path in self.paths
            ]
            if not candidates and f"{directory}{part}" not in self.folders:
                break
            exists = True
            found += candidates
            directory = f"{directory}{part}/"
        return found, exists

    def modules_in(self, folder: str) -> list[str]:
        """Return the files of the modules and packages directly in a directory (``"a/b"``)."""
        return self._children.get(folder, [])


def _folders(paths: frozenset[str]) -> Iterator[str]:
    for path in paths:
        folder = path.rpartition("/")[0]
        while folder:
            yield folder
            folder = folder.rpartition("/")[0]


@dataclass(frozen=True, slots=True)
class Unmet:
    """A required top-level import that no file of the project provides. ``line`` counts from 1."""

    module: str
    file: str
    line: int


@dataclass(frozen=True, slots=True)
class Reach:
    """The files that a handler can import.

    Attributes:
        files: Reachable Python files, sorted; all of the project's when ``whole_project_reason`` is set.
        whole_project_reason: Why the reachable files cannot be determined, or ``None``.
        unresolved: Imports that must succeed when the handler is loaded and that no file of the project provides.
    """

    files: tuple[str, ...]
    whole: str | None
    outside: tuple[Unmet, ...]


def reach_of(
    handler: str, tree: ProjectTree, facts: Callable[[str], ModuleFacts], always: frozenset[str] = frozenset()
) -> Reach:
    """Return the files that a handler's file can reach.

    Args:
        handler: Path of the handler's file.
        tree: The project's files.
        read_imports: Returns the imports of a file by path.
        implicit_modules: Top-level names that are loaded whatever the handler imports, where the project has such
            files: names of the standard library or of dependencies that a file of the project shadows, and
            ``sitecustomize``.
    """
    bases = tuple(dict.fromkeys((_folder(handler), "", "package/")))
    search = _Search(tree, facts, bases)
    search.add([handler])
    for name in sorted(always):
        search.absolute(name)
    search.run()
    # Listing a directory matters only with __file__: without its own path, a handler lists data, not its modules.
    whole = search.dynamic
    if whole is None and search.placed and search.listing is not None:
        whole = search.listing
    files = search.reached if whole is None else {path for path in tree.paths if path.endswith(".py")}
    return Reach(tuple(sorted(files)), whole, tuple(search.outside))


class _Search:
    """A breadth-first search over imports. Each file is read once."""

    def __init__(self, tree: ProjectTree, facts: Callable[[str], ModuleFacts], bases: tuple[str, ...]) -> None:
        self._tree, self._facts, self._bases = tree, facts, bases
        self._waiting: list[str] = []
        self.reached: set[str] = set()
        self.outside: list[Unmet] = []
        self.dynamic: str | None = None
        self.listing: str | None = None
        self.placed = False

    def add(self, paths: list[str]) -> None:
        for path in paths:
            if path not in self.reached:
                self.reached.add(path)
                self._waiting.append(path)

    def run(self) -> None:
        while self._waiting:
            path = self._waiting.pop(0)
            facts = self._facts(path)
            if facts.dynamic is not None and self.dynamic is None:
                self.dynamic = f"{path} {facts.dynamic}"
            if facts.listing is not None and self.listing is None:
                self.listing = f"{path} {facts.listing}"
            self.placed = self.placed or facts.placed
            for imported in facts.imports:
                self._follow(path, imported)
            for name in facts.named:
                self._named(name)

    def absolute(self, dotted: str) -> bool:
        exists = False
        for base in self._bases:
            found, candidates = self._tree.resolve(base, dotted)
            self.add(found)
            exists = exists or candidates
        return exists

    def _follow(self, path: str, imported: ImportFact) -> None:
        if imported.level:
            self._relative(path, imported)
            return
        exists = self.absolute(imported.module)
        if not exists and imported.needed:
            self.outside.append(Unmet(imported.module, path, imported.line))
        for name in imported.names:
            if name == "*":
                for base in self._bases:
                    self.add(self._tree.modules_in(base + imported.module.replace(".", "/")))
            elif exists:
                self.absolute(f"{imported.module}.{name}")

    def _relative(self, path: str, imported: ImportFact) -> None:
        base = _folder(path)
        for _ in range(imported.level - 1):
            base = _folder(base.rstrip("/"))
        if f"{base}__init__.py" in self._tree.paths:
            self.add([f"{base}__init__.py"])
        prefix = f"{imported.module}." if imported.module else ""
        if imported.module:
            self.add(self._tree.resolve(base, imported.module)[0])
        for name in imported.names:
            if name == "*":
                self.add(self._tree.modules_in((base + imported.module.replace(".", "/")).rstrip("/")))
            else:
                self.add(self._tree.resolve(base, prefix + name)[0])

    def _named(self, name: str) -> None:
        """Follow a string such as ``"app.tasks:run"`` where it names something importable.

        A prefix of the name counts only if its module binds the next component; else every string with a dot whose
        first word happens to be a module would add that module.
        """
        parts = name.replace(":", ".").split(".")
        for base in self._bases:
            for length in range(1, len(parts) + 1):
                found, _ = self._tree.resolve(base, ".".join(parts[:length]))
                exact = {f"{base}{'/'.join(parts[:length])}.py", f"{base}{'/'.join(parts[:length])}/__init__.py"}
                for path in exact.intersection(found):
                    binds = self._facts(path).binds
                    if length == len(parts) > 1 or (
                        length < len(parts) and not binds.isdisjoint((parts[length], "*"))
                    ):
                        self.add(found)


def _folder(path: str) -> str:
    """Return a path's directory with a trailing slash, ``""`` for the root."""
    folder = path.rpartition("/")[0]
    return f"{folder}/" if folder else ""
