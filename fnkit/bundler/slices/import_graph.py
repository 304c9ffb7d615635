"""Finds the project files that a handler can import, and imports that no file of the project provides.

Modules are searched where the platform searches: the handler file's own directory, the archive's root, ``package/``
(``docs/bundling.md``). Every match counts, whichever would win at run time: the result may contain more than Python
loads, never less. Where the imports cannot be determined, the result is the whole project.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from dataclasses import dataclass

from fnkit.bundler.slices.module_imports import ImportStatement, ModuleImports


class ProjectTree:
    """The selected files of a project, indexed by module."""

    def __init__(self, paths: frozenset[str]) -> None:
        self.paths = paths
        self.directories = frozenset(_parent_directories(paths))
        self._modules_by_directory: dict[str, list[str]] = {}
        for path in sorted(paths):
            if path.endswith(".py"):
                folder = path.rpartition("/")[0]
                self._modules_by_directory.setdefault(folder, []).append(path)
                if path.endswith("/__init__.py"):
                    self._modules_by_directory.setdefault(folder.rpartition("/")[0], []).append(path)

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
            if not candidates and f"{directory}{part}" not in self.directories:
                break
            exists = True
            found += candidates
            directory = f"{directory}{part}/"
        return found, exists

    def modules_in(self, directory: str) -> list[str]:
        """Return the files of the modules and packages directly in a directory (``"a/b"``)."""
        return self._modules_by_directory.get(directory, [])


def _parent_directories(paths: frozenset[str]) -> Iterator[str]:
    for path in paths:
        folder = path.rpartition("/")[0]
        while folder:
            yield folder
            folder = folder.rpartition("/")[0]


@dataclass(frozen=True, slots=True)
class UnresolvedImport:
    """A required top-level import that no file of the project provides. ``line`` counts from 1."""

    module: str
    file: str
    line: int


@dataclass(frozen=True, slots=True)
class Reachability:
    """The files that a handler can import.

    Attributes:
        files: Reachable Python files, sorted; all of the project's when ``whole_project_reason`` is set.
        whole_project_reason: Why the reachable files cannot be determined, or ``None``.
        unresolved: Imports that must succeed when the handler is loaded and that no file of the project provides.
    """

    files: tuple[str, ...]
    whole_project_reason: str | None
    unresolved: tuple[UnresolvedImport, ...]


def trace_imports(
    handler: str,
    tree: ProjectTree,
    read_imports: Callable[[str], ModuleImports],
    implicit_modules: frozenset[str] = frozenset(),
    shown: Callable[[str], str] = str,
) -> Reachability:
    """Return the files that a handler's file can reach.

    Args:
        handler: Path of the handler's file.
        tree: The project's files.
        read_imports: Returns the imports of a file by path.
        implicit_modules: Top-level names that are loaded whatever the handler imports, where the project has such
            files: names of the standard library or of dependencies that a file of the project shadows, and
            ``sitecustomize``.
        shown: Returns the path of a file in reasons.
    """
    bases = tuple(dict.fromkeys((_directory_prefix(handler), "", "package/")))
    search = _ImportSearch(tree, read_imports, bases, shown)
    search.add([handler])
    for name in sorted(implicit_modules):
        search.add_absolute(name)
    search.run()
    # Listing a directory matters only with __file__: without its own path, a handler lists data, not its modules.
    whole = search.dynamic_reason
    if whole is None and search.uses_file_path and search.listing_reason is not None:
        whole = search.listing_reason
    files = search.reached if whole is None else {path for path in tree.paths if path.endswith(".py")}
    return Reachability(tuple(sorted(files)), whole, tuple(search.unresolved))


class _ImportSearch:
    """A breadth-first search over imports. Each file is read once."""

    def __init__(
        self,
        tree: ProjectTree,
        read_imports: Callable[[str], ModuleImports],
        search_path: tuple[str, ...],
        shown: Callable[[str], str],
    ) -> None:
        self._shown = shown
        self._tree, self._read_imports, self._search_path = tree, read_imports, search_path
        self._queue: list[str] = []
        self.reached: set[str] = set()
        self.unresolved: list[UnresolvedImport] = []
        self.dynamic_reason: str | None = None
        self.listing_reason: str | None = None
        self.uses_file_path = False

    def add(self, paths: list[str]) -> None:
        for path in paths:
            if path not in self.reached:
                self.reached.add(path)
                self._queue.append(path)

    def run(self) -> None:
        while self._queue:
            path = self._queue.pop(0)
            facts = self._read_imports(path)
            if facts.dynamic_reason is not None and self.dynamic_reason is None:
                self.dynamic_reason = f"{self._shown(path)} {facts.dynamic_reason}"
            if facts.listing_reason is not None and self.listing_reason is None:
                self.listing_reason = f"{self._shown(path)} {facts.listing_reason}"
            self.uses_file_path = self.uses_file_path or facts.uses_file_path
            for imported in facts.imports:
                self._add_import(path, imported)
            for name in facts.dotted_strings:
                self._add_dotted_string(name)

    def add_absolute(self, dotted: str) -> bool:
        exists = False
        for base in self._search_path:
            found, candidates = self._tree.resolve(base, dotted)
            self.add(found)
            exists = exists or candidates
        return exists

    def _add_import(self, path: str, imported: ImportStatement) -> None:
        if imported.level:
            self._add_relative(path, imported)
            return
        exists = self.add_absolute(imported.module)
        if not exists and imported.is_required:
            self.unresolved.append(UnresolvedImport(imported.module, path, imported.line))
        for name in imported.names:
            if name == "*":
                for base in self._search_path:
                    self.add(self._tree.modules_in(base + imported.module.replace(".", "/")))
            elif exists:
                self.add_absolute(f"{imported.module}.{name}")

    def _add_relative(self, path: str, imported: ImportStatement) -> None:
        base = _directory_prefix(path)
        for _ in range(imported.level - 1):
            base = _directory_prefix(base.rstrip("/"))
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

    def _add_dotted_string(self, name: str) -> None:
        """Follow a string such as ``"app.tasks:run"`` where it names something importable.

        A prefix of the name counts only if its module binds the next component; else every string with a dot whose
        first word happens to be a module would add that module.
        """
        parts = name.replace(":", ".").split(".")
        for base in self._search_path:
            for length in range(1, len(parts) + 1):
                found, _ = self._tree.resolve(base, ".".join(parts[:length]))
                exact = {f"{base}{'/'.join(parts[:length])}.py", f"{base}{'/'.join(parts[:length])}/__init__.py"}
                for path in exact.intersection(found):
                    binds = self._read_imports(path).bound_names
                    if length == len(parts) > 1 or (
                        length < len(parts) and not binds.isdisjoint((parts[length], "*"))
                    ):
                        self.add(found)


def _directory_prefix(path: str) -> str:
    """Return a path's directory with a trailing slash, ``""`` for the root."""
    folder = path.rpartition("/")[0]
    return f"{folder}/" if folder else ""
