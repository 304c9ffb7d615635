"""Every module of fnkit as its syntax tree, and what it imports from fnkit: the house's rules are read off it."""

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
    """One source file: ``name`` is dotted (``fnkit.plan.ownership``), ``path`` is relative to the repository."""

    name: str
    path: str
    text: str
    tree: ast.Module


@dataclass(frozen=True, slots=True)
class Import:
    """One import of something in fnkit: which module, or which name of it, and on what line."""

    target: str
    names: tuple[str, ...]
    line: int


def row_of(name: str, rows: Collection[str]) -> str:
    """The row of the import table that a module belongs to: the longest one that its name starts with.

    ``fnkit.platform.control.api.app`` belongs to ``platform.control.api``, ``fnkit.platform.control.context`` to
    ``platform.control``. Empty for a module without a row.
    """
    parts = name.split(".")[1:]
    prefixes = (".".join(parts[:length]) for length in range(len(parts), 0, -1))
    return next((prefix for prefix in prefixes if prefix in rows), "")


@cache
def modules() -> tuple[Module, ...]:
    """Every module of the package, templates left out."""
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
    """The dotted name of every module."""
    return tuple(module.name for module in modules())


def imports_of(module: Module, *, at_run_time: bool = False) -> Iterator[Import]:
    """Every import of fnkit in the module, wherever it stands; relative ones are resolved.

    at_run_time: without those that only a type checker follows (``if TYPE_CHECKING``).
    """
    known = set(module_names())
    unseen = _type_checking_nodes(module) if at_run_time else set()
    for node in ast.walk(module.tree):
        if isinstance(node, ast.Import) and node not in unseen:
            yield from (Import(one.name, (), node.lineno) for one in node.names if _is_ours(one.name))
        elif isinstance(node, ast.ImportFrom) and node not in unseen:
            base = _absolute(module, node)
            if _is_ours(base):
                yield from _taken_from(base, node, known)


def _is_ours(name: str) -> bool:
    return name.split(".", maxsplit=1)[0] == "fnkit"


def _taken_from(base: str, node: ast.ImportFrom, known: set[str]) -> Iterator[Import]:
    """``from base import …``: a submodule counts as itself, other names as names of ``base``."""
    submodules = [alias.name for alias in node.names if f"{base}.{alias.name}" in known]
    yield from (Import(f"{base}.{name}", (), node.lineno) for name in submodules)
    if names := tuple(alias.name for alias in node.names if alias.name not in submodules):
        yield Import(base, names, node.lineno)


def _type_checking_nodes(module: Module) -> set[ast.AST]:
    """Everything under ``if TYPE_CHECKING``."""
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
