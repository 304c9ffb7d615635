"""Finds the handlers of one module, with their signatures and problems, without executing it."""

from __future__ import annotations

import ast
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from typing import Final, TypeAlias

from fnkit.authoring.declarations import Declaration
from fnkit.errors import Problem
from fnkit.scanner.constants import NotConstant
from fnkit.scanner.decorators import ArgumentProblem, build_declaration
from fnkit.scanner.imports import (
    handler_path_problems,
    handler_string,
    relative_import_problems,
    runtime_imports,
    unbundled_imports,
)
from fnkit.scanner.names import DEFINITIONS, ModuleNames, child_statements
from fnkit.scanner.report import LocatedDeclaration, ScannedFunction, Signature

FunctionNode: TypeAlias = ast.FunctionDef | ast.AsyncFunctionDef

_CHILDLESS: Final = (ast.Name, ast.Constant)
_NOT_ENTERED: Final = (*DEFINITIONS, ast.Lambda, ast.expr_context)

_IMPORT_HINT = "Write it as a constant, or use --import, which imports this module in a child process."


def _signature_of(function: FunctionNode) -> Signature:
    """Return the signature of a function."""
    arguments = function.args
    positional = len(arguments.posonlyargs) + len(arguments.args)
    keywords = zip(arguments.kwonlyargs, arguments.kw_defaults, strict=True)
    return Signature(
        required_positionals=positional - len(arguments.defaults),
        max_positionals=None if arguments.vararg else positional,
        required_keywords=tuple(name.arg for name, default in keywords if default is None),
        is_async=isinstance(function, ast.AsyncFunctionDef),
        is_generator=_is_generator(function),
    )


def _summary_of(function: FunctionNode) -> str:
    """Return the first line of the docstring, or ``""``."""
    docstring = ast.get_docstring(function)
    lines = docstring.strip().splitlines() if docstring else []
    return lines[0].strip() if lines else ""


def _is_generator(function: FunctionNode) -> bool:
    # A yield in a lambda makes the lambda a generator, not this function.
    return any(isinstance(node, ast.Yield | ast.YieldFrom) for node in _nodes_outside_definitions(function))


@dataclass(frozen=True, slots=True)
class ModuleScan:
    """The handlers and problems of one module.

    Attributes:
        file: Path relative to the project, with ``/``.
        resolvable_by_import: Problems that an import of the module may resolve.
        unbundled_imports: Problems of imports that bundles do not contain, for modules that handlers reach.
    """

    file: str
    functions: tuple[ScannedFunction, ...] = ()
    problems: tuple[Problem, ...] = ()
    resolvable_by_import: tuple[Problem, ...] = ()
    unbundled_imports: tuple[Problem, ...] = ()


def scan_module(file: str, tree: ast.Module) -> ModuleScan:
    """Find the handlers of a parsed module.

    Args:
        file: Path of the module relative to the project, with ``/``.
        tree: The syntax tree.
    """
    imports = runtime_imports(tree)
    reader = _ModuleReader(file, ModuleNames(tree))
    for statement in tree.body:
        reader.read(statement)
    if reader.functions or reader.resolvable_by_import:
        reader.problems.extend((*handler_path_problems(file), *relative_import_problems(file, imports)))
    return ModuleScan(
        file=file,
        functions=tuple(reader.functions),
        problems=tuple(reader.problems),
        resolvable_by_import=tuple(reader.resolvable_by_import),
        unbundled_imports=unbundled_imports(file, imports),
    )


@dataclass(slots=True)
class _ModuleReader:
    """Collects the handlers of a module from its statements, in source order.

    ``assigned_decorators`` holds the declarations of decorators that were assigned to a name.
    """

    file: str
    names: ModuleNames
    functions: list[ScannedFunction] = field(default_factory=list)
    problems: list[Problem] = field(default_factory=list)
    resolvable_by_import: list[Problem] = field(default_factory=list)
    assigned_decorators: dict[str, Declaration] = field(default_factory=dict)

    def read(self, statement: ast.stmt) -> None:
        """Process one module-level statement."""
        if not self.names.has_fnkit_names() and not self._has_undefined_decorator(statement):
            self.names.bind(statement)
            if self.names.has_fnkit_names():  # a branch imported fnkit and may also contain handlers
                self._check_nested_handlers(statement)
            return
        if isinstance(statement, ast.FunctionDef | ast.AsyncFunctionDef):
            self._read_definition(statement)
            self._check_nested_handlers(statement)
        elif not self._read_assigned_decorator(statement):
            self._check_nested_handlers(statement)
            self._check_called_decorators(statement)
        self.names.bind(statement)

    def _read_definition(self, definition: FunctionNode) -> None:
        marks: list[LocatedDeclaration] = []
        foreign = False
        for decorator in definition.decorator_list:
            kind = self._decorator_kind(decorator)
            if kind is None:
                foreign = True
                continue
            self._check_import(decorator, definition.name)
            declaration = self._read_declaration(kind, decorator, definition.name)
            if declaration is not None:
                marks.append(LocatedDeclaration(declaration=declaration, line=decorator.lineno))
        if not marks:
            return
        self.functions.append(
            ScannedFunction(
                python_name=definition.name,
                file=self.file,
                line=definition.lineno,
                handler=handler_string(self.file, definition.name),
                declarations=tuple(marks),
                signature=None if foreign else _signature_of(definition),
                summary=_summary_of(definition),
            )
        )

    def _decorator_kind(self, decorator: ast.expr) -> str | None:
        """Return ``function``, ``cron`` or ``trigger`` for one of fnkit's decorators, else ``None``.

        Returns ``prepared`` for a name that a decorator was assigned to earlier. A decorator that was not imported
        counts as fnkit's, so that its arguments are checked too.
        """
        if isinstance(decorator, ast.Name) and decorator.id in self.assigned_decorators:
            return "prepared"
        named = _called(decorator)
        undefined = self.names.undefined_decorator(named)
        return self.names.decorator_kind(named) if undefined is None else undefined[0]

    def _has_undefined_decorator(self, statement: ast.stmt) -> bool:
        return isinstance(statement, ast.FunctionDef | ast.AsyncFunctionDef) and any(
            self.names.undefined_decorator(_called(decorator)) for decorator in statement.decorator_list
        )

    def _check_import(self, decorator: ast.expr, subject: str) -> None:
        """Add a problem for a decorator whose name is bound to nothing."""
        undefined = self.names.undefined_decorator(_called(decorator))
        if undefined is None:
            return
        kind, missing = undefined
        needed = "import fnkit" if missing == "fnkit" else f"from fnkit import {kind}"
        message = f"@{ast.unparse(_called(decorator))} on {subject}: {missing} is not defined at this point."
        hint = f"Add `{needed}` at the top of {self.file}."
        self.problems.append(Problem("decorator-not-imported", message, hint, self.file, decorator.lineno))

    def _read_declaration(self, kind: str, decorator: ast.expr, subject: str) -> Declaration | None:
        if kind == "prepared" and isinstance(decorator, ast.Name):
            return self.assigned_decorators[decorator.id]
        arguments = self._read_arguments(kind, decorator, subject) if isinstance(decorator, ast.Call) else {}
        declaration, problems = build_declaration(kind, arguments)
        # A schedule that is given but not constant is missing from the arguments, and was reported already.
        has_arguments = isinstance(decorator, ast.Call) and bool(decorator.args or decorator.keywords)
        is_reported = kind == "cron" and has_arguments and "schedule" not in arguments
        for problem in problems:
            if not (is_reported and problem.argument == "schedule"):
                self._add_problem(kind, problem, decorator.lineno, subject)
        return declaration

    def _read_arguments(self, kind: str, call: ast.Call, subject: str) -> Mapping[str, object]:
        """Return the call's arguments by name, without those that are not constant."""
        arguments: dict[str, object] = {}
        for position, node in enumerate(call.args):
            if kind == "cron" and position == 0 and not isinstance(node, ast.Starred):
                self._fold_into(arguments, "schedule", node, kind, subject)
                continue
            hint = "Pass every setting by name, as in memory=256."
            problem = ArgumentProblem("positional-argument", "a positional argument is not allowed here", hint)
            self._add_problem(kind, problem, node.lineno, subject)
        for keyword in call.keywords:
            if keyword.arg is not None:
                self._fold_into(arguments, keyword.arg, keyword.value, kind, subject)
                continue
            unpacked: dict[str, object] = {}
            self._fold_into(unpacked, "**", keyword.value, kind, subject)
            inner = unpacked.get("**")
            if isinstance(inner, Mapping):
                arguments.update({str(name): value for name, value in inner.items()})
            elif "**" in unpacked:
                problem = ArgumentProblem("bad-argument", "the value unpacked with ** is not a dictionary")
                self._add_problem(kind, problem, keyword.value.lineno, subject)
        return arguments

    def _fold_into(self, arguments: dict[str, object], name: str, node: ast.expr, kind: str, subject: str) -> None:
        try:
            arguments[name] = self.names.fold(node)
        except NotConstant as error:
            shown = "an unpacked argument" if name == "**" else f"the value of {name}"
            self.resolvable_by_import.append(
                Problem(
                    "computed-argument",
                    f"@{kind} on {subject}: {shown} is not known without executing the module: {error.reason}.",
                    _IMPORT_HINT,
                    self.file,
                    node.lineno,
                )
            )

    def _add_problem(self, kind: str, problem: ArgumentProblem, line: int, subject: str) -> None:
        message = f"@{kind} on {subject}: {problem.message}."
        self.problems.append(Problem(problem.code, message, problem.hint, self.file, line))

    def _read_assigned_decorator(self, statement: ast.stmt) -> bool:
        """Record an assignment such as ``small = function(memory=128)``, which allows ``@small``.

        Returns:
            Whether the statement assigns one of fnkit's decorators to a name.
        """
        match statement:
            case ast.Assign(targets=[ast.Name(id=name)], value=value):
                pass
            case _:
                return False
        self.assigned_decorators.pop(name, None)
        if self.names.decorator_kind(value):
            return True
        kind = self.names.decorator_kind(value.func) if isinstance(value, ast.Call) else None
        if kind is None or not isinstance(value, ast.Call) or (value.args and kind != "cron"):
            return False
        declaration = self._read_declaration(kind, value, name)
        if declaration is not None:
            self.assigned_decorators[name] = declaration
        return True

    def _check_nested_handlers(self, statement: ast.stmt) -> None:
        """Add problems for handlers below the module's top level: in a class, function, branch or loop."""
        for inner, owner in _nested_definitions(statement):
            if not any(self._decorator_kind(decorator) for decorator in inner.decorator_list):
                continue
            if owner is None:
                message = (
                    f"{inner.name} is declared inside {_describe_block(statement)}, so it may or may not exist."
                )
                hint = "Move it to the module's top level, or use --import."
                self.resolvable_by_import.append(
                    Problem("handler-conditional", message, hint, self.file, inner.lineno)
                )
                continue
            message = f"{inner.name} is declared inside {owner}, where the platform cannot reach it."
            hint = "Move it to the module's top level."
            self.problems.append(Problem("handler-nested", message, hint, self.file, inner.lineno))

    def _check_called_decorators(self, statement: ast.stmt) -> None:
        """Add a problem for a decorator used without ``@``, as in ``handler = function(memory=128)(other)``."""
        if isinstance(statement, ast.Import | ast.ImportFrom | ast.ClassDef):
            return
        for node in _nodes_outside_definitions(statement):
            if isinstance(node, ast.Name | ast.Attribute) and self.names.decorator_kind(node):
                message = f"{ast.unparse(node)} is used without @ here, so its declaration cannot be read."
                hint = "Write it as a decorator, or use --import."
                self.resolvable_by_import.append(Problem("decorator-called", message, hint, self.file, node.lineno))
                return


def _called(decorator: ast.expr) -> ast.expr:
    """Return the expression that names a decorator, without its arguments."""
    return decorator.func if isinstance(decorator, ast.Call) else decorator


def _nested_definitions(statement: ast.stmt) -> Iterator[tuple[FunctionNode, str | None]]:
    """Yield the functions inside a statement, each with a description of the enclosing definition.

    The description is ``None`` for a function that only branches or loops enclose.
    """
    is_definition = isinstance(statement, DEFINITIONS)
    owner = _describe_owner(statement) if is_definition else None
    pending: list[tuple[ast.stmt, str | None]] = [(child, owner) for child in child_statements(statement)]
    while pending:
        inner, enclosing = pending.pop()
        below = enclosing
        if isinstance(inner, ast.FunctionDef | ast.AsyncFunctionDef):
            yield inner, enclosing
            below = _describe_owner(inner)
        elif isinstance(inner, ast.ClassDef):
            below = _describe_owner(inner)
        pending.extend((child, below) for child in child_statements(inner))


def _describe_owner(statement: ast.stmt) -> str:
    kind = "class" if isinstance(statement, ast.ClassDef) else "function"
    return f"the {kind} {getattr(statement, 'name', '')}"


def _describe_block(statement: ast.stmt) -> str:
    name = type(statement).__name__.lower().removeprefix("async")
    return f"{'an' if name == 'if' else 'a'} {name} statement"


def _nodes_outside_definitions(statement: ast.stmt) -> Iterator[ast.AST]:
    """Yield the nodes of a statement, without those inside nested functions, classes and lambdas."""
    pending: list[ast.AST] = [statement]
    while pending:
        node = pending.pop()
        yield node
        if not isinstance(node, _CHILDLESS):  # most nodes
            pending += [child for child in ast.iter_child_nodes(node) if not isinstance(child, _NOT_ENTERED)]
