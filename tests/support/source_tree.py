"""The syntax tree of every module of fnkit, and its imports from fnkit, for tests of the code's structure."""

from __future__ import annotations

import ast
from collections.abc import Collection, Iterator
from dataclasses import dataclass
from functools import cache
from pathlib import Path

REPOSITORY = Path(__file__).resolve().parents[2]
PACKAGE = REPOSITORY / "fnkit"


@dataclass(frozen=True, slots=True)
class Module:
    """A source file: ``name`` is dotted (``fnkit.plan.ownership``), ``path`` is relative to the repository."""

    name: str
    path: str
    text: str
    tree: ast.Module


@dataclass(frozen=True, slots=True)
class Import:
    """An import from fnkit: a module, the imported names, and the line."""

    target: str
    names: tuple[str, ...]
    line: int


def row_of(name: str, rows: Collection[str]) -> str:
    """Return the row of the import table for a module: the longest row that is a prefix of its name.

    The row of ``fnkit.platform.control.api.app`` is ``platform.control.api``, that of
    ``fnkit.platform.control.context`` is ``platform.control``. A module without a row gets "".
    """
    parts = name.split(".")[1:]
    prefixes = (".".join(parts[:length]) for length in range(len(parts), 0, -1))
    return next((prefix for prefix in prefixes if prefix in rows), "")


@cache
def modules() -> tuple[Module, ...]:
    """Return every module of the package except templates."""
    found = []
    for path in sorted(PACKAGE.rglob("*.py")):
        relative = path.relative_to(REPOSITORY)
        if "templates" in relative.parts:
            continue
        name = ".".join(relative.with_suffix("").parts).removesuffix(".__init__")
        text = path.read_text(encoding="utf-8")
        found.append(Module(name, relative.as_posix(), text, ast.parse(text, filename=str(relative))))
    return tuple(found)


def module_names() -> tuple[str, ...]:
    """Return the dotted name of every module."""
    return tuple(module.name for module in modules())


def imports_of(module: Module, *, at_run_time: bool = False) -> Iterator[Import]:
    """Yield every import from fnkit in the module, also inside functions; relative ones are resolved.

    Args:
        module: The importing module.
        at_run_time: Omit imports under ``if TYPE_CHECKING``.
    """
    known = set(module_names())
    skipped = _type_checking_nodes(module) if at_run_time else set()
    for node in ast.walk(module.tree):
        if isinstance(node, ast.Import) and node not in skipped:
            yield from (Import(one.name, (), node.lineno) for one in node.names if _is_own(one.name))
        elif isinstance(node, ast.ImportFrom) and node not in skipped:
            base = _absolute(module, node)
            if _is_own(base):
                yield from _from_imports(base, node, known)


def _is_own(name: str) -> bool:
    return name.split(".", maxsplit=1)[0] == "fnkit"


def _from_imports(base: str, node: ast.ImportFrom, known: set[str]) -> Iterator[Import]:
    """Yield the imports of a ``from base import …``; a submodule is an import of its own."""
    submodules = [alias.name for alias in node.names if f"{base}.{alias.name}" in known]
    yield from (Import(f"{base}.{name}", (), node.lineno) for name in submodules)
    if names := tuple(alias.name for alias in node.names if alias.name not in submodules):
        yield Import(base, names, node.lineno)


def _type_checking_nodes(module: Module) -> set[ast.AST]:
    """Return all nodes under ``if TYPE_CHECKING``."""
    tests = [node for node in ast.walk(module.tree) if isinstance(node, ast.If)]
    return {
        below
        for one in tests
        if ast.unparse(one.test) in {"TYPE_CHECKING", "typing.TYPE_CHECKING"}
        for statement in one.body
        for below in ast.walk(statement)
    }


def _absolute(module: Module, node: ast.ImportFrom) -> str:
    if not node.level:
        return node.module or ""
    parts = module.name.split(".")
    is_package = module.path.endswith("__init__.py")
    kept = parts[: len(parts) - node.level + is_package]
    return ".".join([*kept, node.module] if node.module else kept)
