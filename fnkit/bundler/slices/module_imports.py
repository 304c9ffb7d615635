"""Reads the imports of one Python file from its syntax tree, and caches the result by the SHA-256 of the file.

The result depends on the file's bytes only. Where imports cannot be determined statically, the reason is recorded.
"""

from __future__ import annotations

import ast
import hashlib
import re
import sys
import warnings
from collections.abc import Mapping
from contextlib import suppress
from pathlib import Path

import msgspec

from fnkit.bundler.files.content import ContentByPath, atomic_file, read_verified
from fnkit.errors import BundleError

_DYNAMIC_MODULES = {
    "importlib": "imports by name",
    "imp": "imports by name",
    "runpy": "runs files by name",
    "pkgutil": "lists modules",
    "zipimport": "imports from archives",
    "code": "runs code from text",
    "codeop": "runs code from text",
    "pickle": "imports the classes that pickled data names",
    "shelve": "imports the classes that pickled data names",
    "dill": "imports the classes that pickled data names",
    "cloudpickle": "imports the classes that pickled data names",
    "joblib": "imports the classes that pickled data names",
    "django": "imports settings by name",
    "subprocess": "may run any file",
    "multiprocessing": "starts interpreters of its own",
    "inspect": "may read source",
    "linecache": "reads source",
    "builtins": "reaches import by another name",
    "site": "changes where modules are found",
}
_HARMLESS_NAMES = {
    "importlib.metadata": frozenset({"version", "metadata", "PackageNotFoundError", "requires"}),
    "inspect": frozenset(
        {"signature", "Signature", "Parameter", "iscoroutinefunction", "isawaitable", "isclass", "isfunction",
         "cleandoc", "getdoc", "iscoroutine", "isasyncgenfunction", "isgeneratorfunction", "isabstract"}
    ),
}  # fmt: skip
"""Names of those modules that neither import nor read source, when taken with ``from … import``."""
_DYNAMIC_NAMES = frozenset(
    {
        "__import__", "__builtins__", "__loader__", "__spec__", "__path__",
        "read_pickle", "fileConfig", "dictConfig",
        "import_module", "import_string", "from_object", "config_from_object", "autodiscover_tasks",
        "find_modules", "load_module", "exec_module", "spec_from_file_location", "load_source", "getsource",
        "addsitedir", "system", "popen", "execv", "execve", "execvp", "spawnv", "posix_spawn", "fork_exec",
    }
)  # fmt: skip
_DYNAMIC_BUILTINS = frozenset({"exec", "eval", "compile"})
"""Dynamic as built-in functions only; as methods (``re.compile``, ``frame.eval``) they are unrelated."""
_DYNAMIC_STRINGS = frozenset({"__import__", "__builtins__", "import_module", "exec", "eval"})
_IMPORT_SYSTEM_ATTRIBUTES = frozenset({"path", "meta_path", "path_hooks", "modules", "path_importer_cache"})
_LISTING_METHODS = frozenset({"iterdir", "glob", "rglob", "iglob", "listdir", "scandir", "walk"})
_DOTTED_NAME = re.compile(r"[A-Za-z_]\w*(?:[.:][A-Za-z_]\w*)+\Z")
_PYTHON_FILE = re.compile(r"\.pyw?\Z|/home/app/function", re.IGNORECASE)
_IMPORT_ERROR_CLASSES = frozenset({"ImportError", "ModuleNotFoundError", "Exception", "BaseException"})

_CACHE_VERSION = 1
"""Increase when ``module_imports`` reads the same file differently."""


class ImportStatement(msgspec.Struct, frozen=True, array_like=True):
    """One import statement.

    Attributes:
        module: Dotted name; empty for ``from . import x``.
        names: Names after ``import`` in a ``from`` import, ``("*",)`` for all.
        level: Number of leading dots.
        line: Line number from 1.
        is_required: The import runs when the file is imported, and no ``except`` catches its failure.
    """

    module: str
    names: tuple[str, ...]
    level: int
    line: int
    is_required: bool


class ModuleImports(msgspec.Struct, frozen=True, array_like=True):
    """The imports of one file.

    Attributes:
        dotted_strings: Strings of the form ``module.name`` or ``module:name``, which frameworks import.
        bound_names: Names bound at the top level; contains ``*`` where they cannot be known.
        dynamic_reason: Why the imports cannot be determined, for example ``"line 4 uses import_module"``.
        listing_reason: Where the file lists a directory, for example ``"line 9 lists files with glob"``.
        uses_file_path: The file uses ``__file__``.
    """

    imports: tuple[ImportStatement, ...]
    dotted_strings: tuple[str, ...]
    bound_names: frozenset[str]
    dynamic_reason: str | None
    listing_reason: str | None
    uses_file_path: bool


def read_module_imports(source: bytes) -> ModuleImports:
    """Return the imports of a file. A file that this Python cannot parse has a ``dynamic_reason``."""
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")  # invalid escape sequences in user code are reported when it runs
            tree = ast.parse(source)
    except (SyntaxError, ValueError, RecursionError, MemoryError) as error:
        line = getattr(error, "lineno", None) or 1
        return _undeterminable(f"line {line} cannot be parsed by this Python")
    reader = _ImportVisitor()
    try:
        reader.visit(tree)
    except RecursionError:
        return _undeterminable("line 1 begins a file that is nested too deeply to parse")
    return ModuleImports(
        imports=tuple(reader.imports),
        dotted_strings=tuple(sorted(reader.dotted_strings)),
        bound_names=_bound_names(tree.body),
        dynamic_reason=reader.dynamic_reason,
        listing_reason=reader.listing_reason,
        uses_file_path=reader.uses_file_path,
    )


def _undeterminable(reason: str) -> ModuleImports:
    return ModuleImports((), (), frozenset("*"), reason, None, uses_file_path=True)


def _bound_names(body: list[ast.stmt]) -> frozenset[str]:
    """Return the names bound at the top level, without descending into functions and classes.

    A module-level ``__getattr__``, ``globals()`` or ``setattr()`` can bind any name and gives ``*``.
    """
    names: set[str] = set()
    pending: list[ast.AST] = list(body)
    while pending:
        node = pending.pop()
        match node:
            case ast.FunctionDef(name=name) | ast.AsyncFunctionDef(name=name) | ast.ClassDef(name=name):
                names.add("*" if name == "__getattr__" else name)
                continue
            case ast.Import(names=aliases) | ast.ImportFrom(names=aliases):
                names.update((alias.asname or alias.name).partition(".")[0] for alias in aliases)
            case ast.Name(id=name, ctx=ast.Store()):
                names.add(name)
            case ast.Call(func=ast.Name(id="globals" | "setattr")):
                names.add("*")
            case _:
                pass
        pending.extend(ast.iter_child_nodes(node))
    return frozenset(names)


class _ImportVisitor(ast.NodeVisitor):
    """Collects imports and signs of dynamic imports in one walk over a syntax tree."""

    def __init__(self) -> None:
        self.imports: list[ImportStatement] = []
        self.dotted_strings: set[str] = set()
        self.dynamic_reason: str | None = None
        self.listing_reason: str | None = None
        self.uses_file_path = False
        self._optional_depth = 0
        self._sys_names = {"sys"}

    def _record_dynamic(self, node: ast.AST, reason: str) -> None:
        if self.dynamic_reason is None:
            self.dynamic_reason = f"line {getattr(node, 'lineno', 1)} {reason}"

    def visit_Import(self, node: ast.Import) -> None:
        for alias in node.names:
            self.imports.append(ImportStatement(alias.name, (), 0, node.lineno, self._optional_depth == 0))
            if alias.name == "sys":
                self._sys_names.add(alias.asname or "sys")
            self._check_module(node, alias.name, ())

    def visit_ImportFrom(self, node: ast.ImportFrom) -> None:
        names = tuple(alias.name for alias in node.names)
        module = node.module or ""
        self.imports.append(ImportStatement(module, names, node.level, node.lineno, self._optional_depth == 0))
        if node.level == 0:
            self._check_module(node, module, names)
            if module == "sys" and not _IMPORT_SYSTEM_ATTRIBUTES.isdisjoint(names):
                self._record_dynamic(node, "changes where modules are found")
        for name in names:
            self._check_name(node, name)

    def _check_module(self, node: ast.AST, module: str, names: tuple[str, ...]) -> None:
        why = _DYNAMIC_MODULES.get(module.partition(".")[0])
        harmless = _HARMLESS_NAMES.get(module, frozenset())
        if why is not None and not (names and harmless.issuperset(names)):
            self._record_dynamic(node, f"imports {module}, which {why}")

    def visit_Name(self, node: ast.Name) -> None:
        self._check_name(node, node.id)

    def visit_Attribute(self, node: ast.Attribute) -> None:
        if (
            isinstance(node.value, ast.Name)
            and node.value.id in self._sys_names
            and node.attr in _IMPORT_SYSTEM_ATTRIBUTES
        ):
            self._record_dynamic(node, f"uses sys.{node.attr}")
        self._check_name(node, node.attr)
        self.generic_visit(node)

    def _check_name(self, node: ast.AST, name: str) -> None:
        if name in _DYNAMIC_NAMES or (name in _DYNAMIC_BUILTINS and not isinstance(node, ast.Attribute)):
            self._record_dynamic(node, f"uses {name}")
        elif name in _LISTING_METHODS and self.listing_reason is None:
            self.listing_reason = f"line {getattr(node, 'lineno', 1)} lists files with {name}"
        elif name == "__file__":
            self.uses_file_path = True

    def visit_Constant(self, node: ast.Constant) -> None:
        if not isinstance(node.value, str):
            return
        if _PYTHON_FILE.search(node.value):
            self._record_dynamic(node, "names Python files in a string")
        elif _DOTTED_NAME.match(node.value):
            self.dotted_strings.add(node.value)
        elif node.value in _DYNAMIC_STRINGS:
            self._record_dynamic(node, f"names {node.value} in a string")

    def visit_Expr(self, node: ast.Expr) -> None:
        if not isinstance(node.value, ast.Constant):  # a docstring may contain module names, but imports nothing
            self.generic_visit(node)

    def visit_FunctionDef(self, node: ast.FunctionDef) -> None:
        self._visit_optional(node)

    def visit_AsyncFunctionDef(self, node: ast.AsyncFunctionDef) -> None:
        self._visit_optional(node)

    def visit_Lambda(self, node: ast.Lambda) -> None:
        self._visit_optional(node)

    def visit_If(self, node: ast.If) -> None:
        # TYPE_CHECKING, version and platform checks: the branch may not run, so a missing module is not an error.
        self._visit_optional(node)

    def visit_Try(self, node: ast.Try) -> None:
        if any(_catches_import_error(handler) for handler in node.handlers):
            self._visit_optional(node)
        else:
            self.generic_visit(node)

    def visit_With(self, node: ast.With) -> None:
        self._visit_optional(node)  # contextlib.suppress(ImportError)

    def _visit_optional(self, node: ast.AST) -> None:
        self._optional_depth += 1
        self.generic_visit(node)
        self._optional_depth -= 1


def _catches_import_error(handler: ast.ExceptHandler) -> bool:
    if handler.type is None:
        return True
    caught = handler.type.elts if isinstance(handler.type, ast.Tuple) else [handler.type]
    return any(isinstance(one, ast.Name) and one.id in _IMPORT_ERROR_CLASSES for one in caught)


class _CacheFile(msgspec.Struct, frozen=True, array_like=True):
    version: str
    imports: dict[str, ModuleImports]


class ModuleImportsCache:
    """Reads the imports of one project's files and caches them in ``<cache>/facts/<project>.msgpack``.

    ``save`` stores only the entries used in this run, so entries of deleted files do not accumulate.
    """

    def __init__(self, root: Path, contents: ContentByPath, cache: Path) -> None:
        name = hashlib.sha256(str(root).encode("utf-8", "surrogateescape")).hexdigest()[:32]
        self._path = cache / "facts" / f"{name}.msgpack"
        # Which syntax can be parsed depends on the Python that runs fnkit.
        self._version = f"{_CACHE_VERSION}-{sys.version_info[0]}.{sys.version_info[1]}"
        self._contents = contents
        self._cached: Mapping[str, ModuleImports] = self._load()
        self._used: dict[str, ModuleImports] = {}

    def get(self, path: str) -> ModuleImports:
        """Return the imports of a file of the project.

        Raises:
            BundleError: ``changed-while-bundling``.
        """
        content = self._contents[path]
        found = self._used.get(content.sha256) or self._cached.get(content.sha256)
        if found is None:
            found = read_module_imports(read_verified(content, path))
        self._used[content.sha256] = found
        return found

    def save(self) -> None:
        """Store the used entries when there are new ones. A cache that cannot be written is ignored."""
        if self._used.keys() - self._cached.keys():
            with suppress(BundleError), atomic_file(self._path) as file:
                file.write(msgspec.msgpack.encode(_CacheFile(self._version, self._used)))

    def _load(self) -> Mapping[str, ModuleImports]:
        try:
            stored = msgspec.msgpack.decode(self._path.read_bytes(), type=_CacheFile)
        except (OSError, msgspec.MsgspecError):
            return {}
        return stored.imports if stored.version == self._version else {}
