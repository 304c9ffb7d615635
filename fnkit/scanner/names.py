"""Tracks the values of module-level names through a module's statements, without executing them.

Statements are processed in source order, so that a decorator sees the value a name has at that point. A name that
is bound in a branch or loop, or to an expression that is not constant, is recorded as unknown with the reason. A
mutable value that other code may have changed since its assignment counts as unknown too.
"""

from __future__ import annotations

import ast
import re
from collections.abc import Callable, Iterable, Iterator, Mapping
from typing import Final

from fnkit.scanner.constants import NotConstant, Value, describe_expression, fold
from fnkit.scanner.function_urls import URL_OF, is_url_of, not_imported, read_url_of

DEFINITIONS: Final = (ast.FunctionDef, ast.AsyncFunctionDef, ast.ClassDef)
_CHILDLESS: Final = (ast.Name, ast.Constant)
_NOT_ENTERED: Final = (*DEFINITIONS, ast.Lambda, ast.expr_context)
_NODE_TYPES: Final[tuple[type[ast.AST], ...]] = (*ast.stmt.__subclasses__(), ast.ExceptHandler, ast.match_case)
_BLOCK_FIELDS: Final[Mapping[type[ast.AST], tuple[str, ...]]] = {
    kind: tuple(name for name in kind._fields if name in ("body", "orelse", "finalbody", "handlers", "cases"))
    for kind in _NODE_TYPES
}
"""Names of the fields that hold nested statements, by node type.

Derived from the grammar of the running Python, so that new kinds of statements are covered.
"""

DECORATORS: Final = ("function", "cron", "trigger")
_DECORATOR_PATH: Final = re.compile(r"fnkit\.(?:authoring\.(?:decorators\.)?)?(function|cron|trigger)")
_MUTATING_METHODS: Final = frozenset(
    {"append", "extend", "insert", "remove", "pop", "popitem", "clear", "sort", "reverse", "update", "setdefault"}
    | {"add", "discard", "difference_update", "intersection_update", "symmetric_difference_update"}
)
EXPORTED_NAMES: Final = (
    *("Body", "Context", "Cookie", "Event", "FunctionUrl", "Header", "HttpError", "Path", "Query", "Response"),
    *("cron", "function", "trigger", "url_of"),
)
"""What ``fnkit`` exports, besides its version."""


def child_statements(statement: ast.AST) -> Iterator[ast.stmt]:
    """Yield the direct child statements: the branches of an ``if``, the body of a function."""
    for name in _BLOCK_FIELDS.get(type(statement), ()):
        for inner in getattr(statement, name):
            if isinstance(inner, ast.stmt):
                yield inner
            else:
                yield from child_statements(inner)


def walk_statements(statements: Iterable[ast.stmt], *, into_definitions: bool = False) -> Iterator[ast.stmt]:
    """Yield statements and, recursively, their child statements, in no particular order.

    Args:
        statements: The statements to start from.
        into_definitions: Whether to descend into functions and classes, which are yielded in any case.
    """
    pending = list(statements)
    while pending:
        statement = pending.pop()
        yield statement
        if _BLOCK_FIELDS.get(type(statement)) and (into_definitions or not isinstance(statement, DEFINITIONS)):
            pending.extend(child_statements(statement))


class ModuleNames:
    """The module-level names of one module.

    Call ``bind`` with each statement in source order; the other methods answer for the statements bound so far.
    """

    def __init__(self, tree: ast.Module) -> None:
        self._tree = tree
        self._values: dict[str, Value] = {}
        self._unknown_reasons: dict[str, str] = {}
        self._fnkit_paths: dict[str, str] = {}
        self._possibly_modified: set[int] = set()
        self._global_names: frozenset[str] | None = None
        self._mutated_names: frozenset[str] | None = None

    def has_fnkit_names(self) -> bool:
        """Return whether any name from fnkit is bound."""
        return bool(self._fnkit_paths)

    def decorator_kind(self, node: ast.expr) -> str | None:
        """Return ``function``, ``cron`` or ``trigger`` if the expression names that decorator, else ``None``."""
        path = self._fnkit_path(node)
        match = _DECORATOR_PATH.fullmatch(path) if path else None
        return match.group(1) if match else None

    def undefined_decorator(self, node: ast.expr) -> tuple[str, str] | None:
        """Return the kind and the missing name of an expression that names a decorator of fnkit in vain.

        The name, ``cron`` or the ``fnkit`` of ``fnkit.cron``, is bound nowhere before this point of the module, so
        that importing the module fails. A name that the module defines or imports from elsewhere is not fnkit's.
        """
        return self._undefined(node, DECORATORS)

    def _undefined(self, node: ast.expr, exported: tuple[str, ...]) -> tuple[str, str] | None:
        match node:
            case ast.Name(id=name) if name in exported and not self._may_be_bound(name):
                return name, name
            case ast.Attribute(value=ast.Name(id="fnkit"), attr=name) if name in exported:
                return None if self._may_be_bound("fnkit") else (name, "fnkit")
            case _:
                return None

    def _may_be_bound(self, name: str) -> bool:
        if name in self._values or name in self._fnkit_paths or name in self._unknown_reasons:
            return True
        return "*" in self._unknown_reasons or name in self._globals()  # a star import may bind any name

    def fold(self, node: ast.expr) -> Value:
        """Return the value of an expression at this point of the module.

        Raises:
            NotConstant: The value depends on code that would have to be executed.
        """
        return fold(node, self._lookup, self._read_call)

    def _read_call(self, node: ast.Call, fold_argument: Callable[[ast.expr], Value]) -> Value:
        """Return the value of a call of ``url_of``, the only one that is known without executing the module."""
        if is_url_of(self._fnkit_path(node.func)):
            return read_url_of(node, fold_argument)
        undefined = self._undefined(node.func, (URL_OF,))
        if undefined is not None:
            raise not_imported(node, undefined[1])
        raise NotConstant(node, describe_expression(node))

    def bind(self, statement: ast.stmt) -> None:
        """Record the effect of one module-level statement."""
        match statement:
            case ast.Import() | ast.ImportFrom():
                self._bind_import(statement)
            case ast.Assign(targets=targets, value=value):
                self._bind_assignment(targets, value)
            case ast.AnnAssign(target=target, value=value) if value is not None:
                self._bind_assignment([target], value)
            case ast.AnnAssign() | ast.Pass():
                pass
            case ast.FunctionDef() | ast.AsyncFunctionDef() | ast.ClassDef():
                self._record_possible_modification(statement.decorator_list)
                if isinstance(statement, ast.ClassDef):
                    self._record_possible_modification(statement.body)
                self._set_unknown(statement.name, f"is defined on line {statement.lineno}")
            case ast.Expr(value=value):
                self._record_possible_modification([value])
            case _:
                self._bind_compound(statement)

    def _lookup(self, node: ast.Name) -> Value:
        name = node.id
        if name in self._values:
            value = self._values[name]
            if self._is_modified_by_function(name, value):
                raise NotConstant(node, f"{name}, which a function of this module modifies")
            if self._possibly_modified and _contains_any(value, self._possibly_modified):
                raise NotConstant(node, f"{name}, which may have been modified after its assignment")
            return value
        if name in self._fnkit_paths:
            raise NotConstant(node, f"{name}, an imported name")
        raise NotConstant(node, f"{name}, which {self._unknown_reasons.get(name, 'is not defined in this module')}")

    def _fnkit_path(self, node: ast.expr) -> str | None:
        match node:
            case ast.Name(id=name):
                return self._fnkit_paths.get(name)
            case ast.Attribute(value=base, attr=attribute):
                path = self._fnkit_path(base)
                return f"{path}.{attribute}" if path else None
            case _:
                return None

    def _bind_import(self, statement: ast.Import | ast.ImportFrom) -> None:
        """Record names from fnkit by their full path, and all other imported names as unknown."""
        for alias in statement.names:
            if isinstance(statement, ast.ImportFrom):
                self._bind_from_import(statement, alias)
                continue
            bound = alias.asname or alias.name.split(".")[0]
            path = alias.name if alias.asname else bound
            self._set_unknown(bound, f"is imported on line {statement.lineno}")
            if path.split(".")[0] == "fnkit":
                self._fnkit_paths[bound] = path

    def _bind_from_import(self, statement: ast.ImportFrom, alias: ast.alias) -> None:
        module = (statement.module or "") if statement.level == 0 else ""
        is_ours = module.split(".", maxsplit=1)[0] == "fnkit"
        if alias.name == "*":
            if is_ours:
                self._fnkit_paths.update({name: f"{module}.{name}" for name in EXPORTED_NAMES})
            else:
                self._set_unknown("*", f"is imported on line {statement.lineno}")
            return
        bound = alias.asname or alias.name
        self._set_unknown(bound, f"is imported on line {statement.lineno}")
        if is_ours:
            self._fnkit_paths[bound] = f"{module}.{alias.name}"

    def _bind_assignment(self, targets: list[ast.expr], node: ast.expr) -> None:
        path = self._fnkit_path(node)
        if path and all(isinstance(target, ast.Name) for target in targets):
            for target in targets:
                self._set_unknown(ast.unparse(target), "")
                self._fnkit_paths[ast.unparse(target)] = path
            return
        try:
            value = self.fold(node)
        except NotConstant as error:
            self._record_possible_modification([node])
            for target in targets:
                self._set_targets_unknown([target], f"is assigned {error.reason} on line {node.lineno}")
            return
        for target in targets:
            self._bind_target(target, value, node.lineno)

    def _bind_target(self, target: ast.expr, value: Value, line: int) -> None:
        match target:
            case ast.Name(id=name):
                self._set_unknown(name, "")
                self._values[name] = value
            case ast.Tuple(elts=parts) | ast.List(elts=parts) if (
                isinstance(value, list | tuple)
                and len(value) == len(parts)
                and not any(isinstance(part, ast.Starred) for part in parts)
            ):
                for part, item in zip(parts, value, strict=True):
                    self._bind_target(part, item, line)
            case _:  # X["key"] = …, x.y = …, a, *b = …
                self._record_possible_modification([target])
                self._set_targets_unknown(
                    [target], f"is assigned on line {line} in a way that fnkit does not evaluate"
                )

    def _bind_compound(self, statement: ast.stmt) -> None:
        """Handle a compound statement, which may or may not run.

        Its names become unknown and the containers it mentions may have been modified. Imports of fnkit inside it
        count nevertheless, so that decorators below ``try: import`` or ``if`` are recognized.
        """
        self._record_possible_modification([statement])
        reason = f"is bound inside a statement on line {statement.lineno}"
        self._set_targets_unknown([statement], reason)
        for inner in walk_statements([statement]):
            if isinstance(inner, ast.Import | ast.ImportFrom) and _imports_fnkit(inner):
                self._bind_import(inner)
            elif isinstance(inner, ast.FunctionDef | ast.AsyncFunctionDef | ast.ClassDef):
                if inner.name not in self._fnkit_paths:
                    self._set_unknown(inner.name, reason)
            elif isinstance(inner, ast.Import | ast.ImportFrom):
                for alias in inner.names:
                    self._set_unknown((alias.asname or alias.name).split(".")[0], reason)

    def _set_unknown(self, name: str, reason: str) -> None:
        self._values.pop(name, None)
        self._fnkit_paths.pop(name, None)
        self._unknown_reasons[name] = reason

    def _set_targets_unknown(self, nodes: Iterable[ast.AST], reason: str) -> None:
        for node in nodes:
            for part in ast.walk(node):
                if isinstance(part, ast.Name) and not isinstance(part.ctx, ast.Load):
                    self._set_unknown(part.id, reason)
                elif isinstance(part, ast.ExceptHandler | ast.MatchAs | ast.MatchStar) and part.name:
                    self._set_unknown(part.name, reason)

    def _record_possible_modification(self, nodes: Iterable[ast.AST]) -> None:
        """Record that these nodes may modify the containers they mention.

        Any reference may modify a container through an alias or a call. Calls of fnkit's decorators do not.
        """
        for node in nodes:
            if isinstance(node, ast.Call) and self.decorator_kind(node.func):
                continue
            for part in ast.walk(node):
                if isinstance(part, ast.Name):
                    self._possibly_modified.update(
                        id(one) for one in _mutable_containers(self._values.get(part.id))
                    )
                elif isinstance(part, ast.NamedExpr):
                    self._set_unknown(part.target.id, f"is assigned inside an expression on line {part.lineno}")

    def _globals(self) -> frozenset[str]:
        """Return the names that functions of this module declare ``global``; searched for at most once."""
        if self._global_names is None:
            self._global_names = frozenset(_names_declared_global(self._tree))
        return self._global_names

    def _is_modified_by_function(self, name: str, value: Value) -> bool:
        """Return whether a function of this module rebinds the name (``global``) or mutates its container.

        Both searches run at most once for a module, and the one through all expressions only for a mutable value,
        because expressions make up most of a syntax tree.
        """
        if name in self._globals():
            return True
        if next(_mutable_containers(value), None) is None:
            return False
        if self._mutated_names is None:
            self._mutated_names = frozenset(_names_mutated_by_functions(self._tree))
        return name in self._mutated_names


def _imports_fnkit(statement: ast.Import | ast.ImportFrom) -> bool:
    if isinstance(statement, ast.ImportFrom):
        return statement.level == 0 and (statement.module or "").split(".")[0] == "fnkit"
    return any(alias.name.split(".")[0] == "fnkit" for alias in statement.names)


def _names_declared_global(tree: ast.Module) -> Iterator[str]:
    for statement in walk_statements(tree.body, into_definitions=True):
        if isinstance(statement, ast.Global):
            yield from statement.names


def _names_mutated_by_functions(tree: ast.Module) -> Iterator[str]:
    for definition in walk_statements(tree.body):
        if not isinstance(definition, DEFINITIONS):
            continue
        for part in ast.walk(definition):
            match part:
                case ast.Subscript(value=ast.Name(id=name), ctx=ast.Store() | ast.Del()):
                    yield name
                case ast.Call(func=ast.Attribute(value=ast.Name(id=name), attr=method)) if (
                    method in _MUTATING_METHODS
                ):
                    yield name
                case _:
                    pass


def _contains_any(value: Value, container_ids: set[int]) -> bool:
    """Return whether the value contains one of these containers, given by ``id()``."""
    return any(id(one) in container_ids for one in _mutable_containers(value))


def _mutable_containers(value: Value) -> Iterator[Value]:
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


def nodes_outside_definitions(statement: ast.stmt) -> Iterator[ast.AST]:
    """Yield the nodes of a statement, without those inside nested functions, classes and lambdas."""
    pending: list[ast.AST] = [statement]
    while pending:
        node = pending.pop()
        yield node
        if not isinstance(node, _CHILDLESS):  # most nodes
            pending += [child for child in ast.iter_child_nodes(node) if not isinstance(child, _NOT_ENTERED)]
