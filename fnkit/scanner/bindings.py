"""Tracks the values of module-level names through a module's statements, without executing them.

Statements are processed in source order, so that a decorator sees the value a name has at that point. A name that
is bound in a branch or loop, or to an expression that is not constant, is recorded as unknown with the reason. A
mutable value that other code may have changed since its assignment counts as unknown too.
"""

from __future__ import annotations

import ast
import re
from collections.abc import Iterable, Iterator
from typing import Final

from fnkit.scanner.folding import NotConstant, Value, fold
from fnkit.scanner.statements import DEFINITIONS, statements_within

__all__ = ["ModuleNames"]

_DECORATOR: Final = re.compile(r"fnkit\.(?:authoring\.(?:decorators\.)?)?(function|cron|trigger)")
_MUTATORS: Final = frozenset(
    {"append", "extend", "insert", "remove", "pop", "popitem", "clear", "sort", "reverse", "update", "setdefault"}
    | {"add", "discard", "difference_update", "intersection_update", "symmetric_difference_update"}
)
_EXPORTED: Final = ("Context", "Event", "Response", "cron", "function", "trigger")


class ModuleNames:
    """The module-level names of one module.

    Call ``bind`` with each statement in source order; the other methods answer for the statements bound so far.
    """

    def __init__(self, tree: ast.Module) -> None:
        self._tree = tree
        self._values: dict[str, Value] = {}
        self._unknown: dict[str, str] = {}
        self._imported: dict[str, str] = {}
        self._touched: set[int] = set()
        self._rebound: frozenset[str] | None = None
        self._mutated: frozenset[str] | None = None

    def know_fnkit(self) -> bool:
        """Return whether any name from fnkit is bound."""
        return bool(self._imported)

    def decorator(self, node: ast.expr) -> str | None:
        """Return ``function``, ``cron`` or ``trigger`` if the expression names that decorator, else ``None``."""
        path = self._path(node)
        match = _DECORATOR.fullmatch(path) if path else None
        return match.group(1) if match else None

    def fold(self, node: ast.expr) -> Value:
        """Return the value of an expression at this point of the module.

        Raises:
            NotConstant: The value depends on code that would have to be executed.
        """
        return fold(node, self._lookup)

    def bind(self, statement: ast.stmt) -> None:
        """Record the effect of one module-level statement."""
        match statement:
            case ast.Import() | ast.ImportFrom():
                self._bind_import(statement)
            case ast.Assign(targets=targets, value=value):
                self._assign(targets, value)
            case ast.AnnAssign(target=target, value=value) if value is not None:
                self._assign([target], value)
            case ast.AnnAssign() | ast.Pass():
                pass
            case ast.FunctionDef() | ast.AsyncFunctionDef() | ast.ClassDef():
                self._touch(statement.decorator_list)
                if isinstance(statement, ast.ClassDef):
                    self._touch(statement.body)
                self._forget(statement.name, f"is defined on line {statement.lineno}")
            case ast.Expr(value=value):
                self._touch([value])
            case _:
                self._branch(statement)

    def _lookup(self, node: ast.Name) -> Value:
        name = node.id
        if name in self._values:
            value = self._values[name]
            if self._changed_by_a_function(name, value):
                raise NotConstant(node, f"{name}, which a function of this module modifies")
            if self._touched and _holds_any(value, self._touched):
                raise NotConstant(node, f"{name}, which may have been modified after its assignment")
            return value
        if name in self._imported:
            raise NotConstant(node, f"{name}, an imported name")
        raise NotConstant(node, f"{name}, which {self._unknown.get(name, 'is not defined in this module')}")

    def _path(self, node: ast.expr) -> str | None:
        match node:
            case ast.Name(id=name):
                return self._imported.get(name)
            case ast.Attribute(value=base, attr=attribute):
                path = self._path(base)
                return f"{path}.{attribute}" if path else None
            case _:
                return None

    def _bind_import(self, statement: ast.Import | ast.ImportFrom) -> None:
        """Record names from fnkit by their full path, and all other imported names as unknown."""
        inside = isinstance(statement, ast.ImportFrom) and statement.level == 0
        module = (statement.module or "") if isinstance(statement, ast.ImportFrom) and inside else ""
        for alias in statement.names:
            if isinstance(statement, ast.ImportFrom):
                self._bind_from(module, alias, statement.lineno)
                continue
            bound = alias.asname or alias.name.split(".")[0]
            path = alias.name if alias.asname else bound
            self._forget(bound, f"is imported on line {statement.lineno}")
            if path.split(".")[0] == "fnkit":
                self._imported[bound] = path

    def _bind_from(self, module: str, alias: ast.alias, line: int) -> None:
        ours = module.split(".", maxsplit=1)[0] == "fnkit"
        if alias.name == "*":
            if ours:
                self._imported.update({name: f"{module}.{name}" for name in _EXPORTED})
            return
        bound = alias.asname or alias.name
        self._forget(bound, f"is imported on line {line}")
        if ours:
            self._imported[bound] = f"{module}.{alias.name}"

    def _assign(self, targets: list[ast.expr], node: ast.expr) -> None:
        path = self._path(node)
        if path and all(isinstance(target, ast.Name) for target in targets):
            for target in targets:
                self._forget(ast.unparse(target), "")
                self._imported[ast.unparse(target)] = path
            return
        try:
            value = self.fold(node)
        except NotConstant as error:
            self._touch([node])
            for target in targets:
                self._forget_all([target], f"is assigned {error.what} on line {node.lineno}")
            return
        for target in targets:
            self._store(target, value, node.lineno)

    def _store(self, target: ast.expr, value: Value, line: int) -> None:
        match target:
            case ast.Name(id=name):
                self._forget(name, "")
                self._values[name] = value
            case ast.Tuple(elts=parts) | ast.List(elts=parts) if (
                isinstance(value, list | tuple)
                and len(value) == len(parts)
                and not any(isinstance(part, ast.Starred) for part in parts)
            ):
                for part, item in zip(parts, value, strict=True):
                    self._store(part, item, line)
            case _:  # X["key"] = …, x.y = …, a, *b = …
                self._touch([target])
                self._forget_all([target], f"is assigned on line {line} in a way that fnkit does not evaluate")

    def _branch(self, statement: ast.stmt) -> None:
        """Handle a compound statement, which may or may not run.

        Its names become unknown and the containers it mentions may have been modified. Imports of fnkit inside it
        count nevertheless, so that decorators below ``try: import`` or ``if`` are recognized.
        """
        self._touch([statement])
        reason = f"is bound inside a statement on line {statement.lineno}"
        self._forget_all([statement], reason)
        for inner in statements_within([statement]):
            if isinstance(inner, ast.Import | ast.ImportFrom) and _is_ours(inner):
                self._bind_import(inner)
            elif isinstance(inner, ast.FunctionDef | ast.AsyncFunctionDef | ast.ClassDef):
                if inner.name not in self._imported:
                    self._forget(inner.name, reason)
            elif isinstance(inner, ast.Import | ast.ImportFrom):
                for alias in inner.names:
                    self._forget((alias.asname or alias.name).split(".")[0], reason)

    def _forget(self, name: str, reason: str) -> None:
        self._values.pop(name, None)
        self._imported.pop(name, None)
        self._unknown[name] = reason

    def _forget_all(self, nodes: Iterable[ast.AST], reason: str) -> None:
        for node in nodes:
            for part in ast.walk(node):
                if isinstance(part, ast.Name) and not isinstance(part.ctx, ast.Load):
                    self._forget(part.id, reason)

    def _touch(self, nodes: Iterable[ast.AST]) -> None:
        """Record that these nodes may modify the containers they mention.

        Any reference may modify a container through an alias or a call. Calls of fnkit's decorators do not.
        """
        for node in nodes:
            if isinstance(node, ast.Call) and self.decorator(node.func):
                continue
            for part in ast.walk(node):
                if isinstance(part, ast.Name):
                    self._touched.update(id(one) for one in _changeable(self._values.get(part.id)))
                elif isinstance(part, ast.NamedExpr):
                    self._forget(part.target.id, f"is assigned inside an expression on line {part.lineno}")

    def _changed_by_a_function(self, name: str, value: Value) -> bool:
        """Return whether a function of this module rebinds the name (``global``) or mutates its container.

        Both searches run at most once for a module, and the one through all expressions only for a mutable value,
        because expressions make up most of a syntax tree.
        """
        if self._rebound is None:
            self._rebound = frozenset(_names_declared_global(self._tree))
        if name in self._rebound:
            return True
        if next(_changeable(value), None) is None:
            return False
        if self._mutated is None:
            self._mutated = frozenset(_names_mutated_by_functions(self._tree))
        return name in self._mutated


def _is_ours(statement: ast.Import | ast.ImportFrom) -> bool:
    if isinstance(statement, ast.ImportFrom):
        return statement.level == 0 and (statement.module or "").split(".")[0] == "fnkit"
    return any(alias.name.split(".")[0] == "fnkit" for alias in statement.names)


def _names_declared_global(tree: ast.Module) -> Iterator[str]:
    for statement in statements_within(tree.body, functions=True):
        if isinstance(statement, ast.Global):
            yield from statement.names


def _names_mutated_by_functions(tree: ast.Module) -> Iterator[str]:
    for definition in statements_within(tree.body):
        if not isinstance(definition, DEFINITIONS):
            continue
        for part in ast.walk(definition):
            match part:
                case ast.Subscript(value=ast.Name(id=name), ctx=ast.Store() | ast.Del()):
                    yield name
                case ast.Call(func=ast.Attribute(value=ast.Name(id=name), attr=method)) if method in _MUTATORS:
                    yield name
                case _:
                    pass


def _holds_any(value: Value, touched: set[int]) -> bool:
    """Return whether the value contains one of these containers, given by ``id()``."""
    return any(id(one) in touched for one in _changeable(value))


def _changeable(value: Value) -> Iterator[Value]:
    """Yield every list, set and dictionary within a value once, including the value itself."""
    seen: set[int] = set()
    pending: list[Value] = [value]
    while pending:
        one = pending.pop()
        if not isinstance(one, list | tuple | set | dict) or id(one) in seen:
            continue
        seen.add(id(one))
        if not isinstance(one, tuple):
            yield one
        pending.extend(one.values() if isinstance(one, dict) else one)
