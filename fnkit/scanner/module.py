"""Finds the handlers of one module, with their signatures and problems, without executing it."""

from __future__ import annotations

import ast
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field

from fnkit.errors import Problem
from fnkit.scanner.constants import NotConstant
from fnkit.scanner.decorators import ArgumentProblem, argument_names, build_declaration
from fnkit.scanner.function_urls import InvalidUrlOf
from fnkit.scanner.imports import (
    handler_path_problems,
    handler_string,
    relative_import_problems,
    runtime_imports,
    unbundled_imports,
)
from fnkit.scanner.names import DEFINITIONS, ModuleNames, child_statements, nodes_outside_definitions
from fnkit.scanner.report import LocatedDeclaration, ScannedFunction
from fnkit.scanner.signatures import FunctionNode, read_signature, read_summary
from fnkit.scanner.spans import SourceLines, Span

_IMPORT_HINT = "Write it as a constant, or use --import, which imports this module in a child process."


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


def scan_module(file: str, tree: ast.Module, source: bytes = b"") -> ModuleScan:
    """Find the handlers of a parsed module.

    Args:
        file: Path of the module relative to the project, with ``/``.
        tree: The syntax tree.
        source: The module's text, which gives problems their columns.
    """
    imports = runtime_imports(tree)
    reader = _ModuleReader(file, ModuleNames(tree), SourceLines(source))
    for statement in tree.body:
        reader.read(statement)
    if reader.functions or reader.resolvable_by_import:
        reader.problems.extend(
            (*handler_path_problems(file), *relative_import_problems(file, imports, reader.lines))
        )
    return ModuleScan(
        file=file,
        functions=tuple(reader.functions),
        problems=tuple(reader.problems),
        resolvable_by_import=tuple(reader.resolvable_by_import),
        unbundled_imports=unbundled_imports(file, imports, reader.lines),
    )


@dataclass(slots=True)
class _ModuleReader:
    """Collects the handlers of a module from its statements, in source order.

    ``assigned_decorators`` holds the declarations of decorators that were assigned to a name, ``definitions`` the
    functions of the module.
    """

    file: str
    names: ModuleNames
    lines: SourceLines
    functions: list[ScannedFunction] = field(default_factory=list)
    problems: list[Problem] = field(default_factory=list)
    resolvable_by_import: list[Problem] = field(default_factory=list)
    assigned_decorators: dict[str, LocatedDeclaration] = field(default_factory=dict)
    definitions: dict[str, FunctionNode] = field(default_factory=dict)

    def read(self, statement: ast.stmt) -> None:
        """Process one module-level statement."""
        if isinstance(statement, ast.FunctionDef | ast.AsyncFunctionDef):
            self.definitions[statement.name] = statement
        if not self.names.has_fnkit_names() and not self._has_undefined_decorator(statement):
            self.names.bind(statement)
            if self.names.has_fnkit_names():  # a branch imported fnkit and may also contain handlers
                self._check_nested_handlers(statement)
            return
        if isinstance(statement, ast.FunctionDef | ast.AsyncFunctionDef):
            self._read_definition(statement)
            self._check_nested_handlers(statement)
        elif not self._read_marked_object(statement) and not self._read_assigned_decorator(statement):
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
                marks.append(declaration)
        if not marks:
            return
        self.functions.append(
            ScannedFunction(
                python_name=definition.name,
                file=self.file,
                line=definition.lineno,
                handler=handler_string(self.file, definition.name),
                declarations=tuple(marks),
                signature=None if foreign else read_signature(definition),
                span=self.lines.name_span(definition),
                summary=read_summary(definition),
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
        span = self.lines.span(_called(decorator))
        self.problems.append(self._problem("decorator-not-imported", message, hint, span))

    def _read_declaration(self, kind: str, decorator: ast.expr, subject: str) -> LocatedDeclaration | None:
        if kind == "prepared" and isinstance(decorator, ast.Name):
            return self.assigned_decorators[decorator.id]
        spans = self._argument_spans(kind, decorator) if isinstance(decorator, ast.Call) else {}
        arguments = self._read_arguments(kind, decorator, subject) if isinstance(decorator, ast.Call) else {}
        declaration, problems = build_declaration(kind, arguments)
        # A schedule that is given but not constant is missing from the arguments, and was reported already.
        has_arguments = isinstance(decorator, ast.Call) and bool(decorator.args or decorator.keywords)
        is_reported = kind == "cron" and has_arguments and "schedule" not in arguments
        span = self.lines.span(decorator)
        for problem in problems:
            if not (is_reported and problem.argument == "schedule"):
                self._add_problem(kind, problem, spans.get(problem.argument, span), subject)
        if declaration is None:
            return None
        return LocatedDeclaration(declaration=declaration, span=span, arguments=spans)

    def _argument_spans(self, kind: str, call: ast.Call) -> Mapping[str, Span]:
        """Return the places of a call's arguments by name: of their values, and of unknown ones as a whole."""
        spans: dict[str, Span] = {}
        if kind == "cron" and call.args and not isinstance(call.args[0], ast.Starred):
            spans["schedule"] = self.lines.span(call.args[0])
        for keyword in call.keywords:
            if keyword.arg == "env":
                spans["env"] = Span(keyword.value.lineno)  # without a column: its values are not shown
            elif keyword.arg is not None:
                is_known = keyword.arg in argument_names(kind)
                spans[keyword.arg] = self.lines.span(keyword.value if is_known else keyword)
        return spans

    def _read_arguments(self, kind: str, call: ast.Call, subject: str) -> Mapping[str, object]:
        """Return the call's arguments by name, without those that are not constant."""
        arguments: dict[str, object] = {}
        for position, node in enumerate(call.args):
            if kind == "cron" and position == 0 and not isinstance(node, ast.Starred):
                self._fold_into(arguments, "schedule", node, kind, subject)
                continue
            hint = "Pass every setting by name, as in memory=256."
            problem = ArgumentProblem("positional-argument", "a positional argument is not allowed here", hint)
            self._add_problem(kind, problem, self.lines.span(node), subject)
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
                self._add_problem(kind, problem, self.lines.span(keyword.value), subject)
        return arguments

    def _fold_into(self, arguments: dict[str, object], name: str, node: ast.expr, kind: str, subject: str) -> None:
        try:
            arguments[name] = self.names.fold(node)
        except InvalidUrlOf as error:
            self._add_problem(kind, error.problem, Span(error.line), subject)
        except NotConstant as error:
            shown = "an unpacked argument" if name == "**" else f"the value of {name}"
            message = f"@{kind} on {subject}: {shown} is not known without executing the module: {error.reason}."
            span = self.lines.span(node) if name != "env" else Span(node.lineno)
            self.resolvable_by_import.append(self._problem("computed-argument", message, _IMPORT_HINT, span))

    def _add_problem(self, kind: str, problem: ArgumentProblem, span: Span, subject: str) -> None:
        message = f"@{kind} on {subject}: {problem.message}."
        self.problems.append(self._problem(problem.code, message, problem.hint, span))

    def _problem(self, code: str, message: str, hint: str | None, span: Span) -> Problem:
        return Problem(code, message, hint, self.file, span.line, span.column, span.end_column)

    def _read_marked_object(self, statement: ast.stmt) -> bool:
        """Record an object that a call marks: ``function(app)``, or ``api = function(app, memory=256)``.

        Returns:
            Whether the statement marks one.
        """
        match statement:
            case ast.Expr(value=ast.Call(args=[ast.Name(id=name) as target]) as call):
                pass
            case ast.Assign(targets=[ast.Name(id=name)], value=ast.Call(args=[target]) as call):
                pass
            case ast.AnnAssign(target=ast.Name(id=name), value=ast.Call(args=[target]) as call):
                pass
            case _:
                return False
        if isinstance(target, ast.Starred) or self.names.decorator_kind(call.func) != "function":
            return False
        settings = ast.copy_location(ast.Call(func=call.func, args=[], keywords=call.keywords), call)
        declaration = self._read_declaration("function", settings, name)
        if declaration is None:
            return True
        definition = self.definitions.get(target.id) if isinstance(target, ast.Name) else None
        self.functions.append(
            ScannedFunction(
                python_name=name,
                file=self.file,
                line=statement.lineno,
                handler=handler_string(self.file, name),
                declarations=(declaration,),
                signature=None if definition is None else read_signature(definition),
                span=self.lines.span(target),
                summary="" if definition is None else read_summary(definition),
                is_application=definition is None,
            )
        )
        return True

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
                span = self.lines.name_span(inner)
                self.resolvable_by_import.append(self._problem("handler-conditional", message, hint, span))
                continue
            message = f"{inner.name} is declared inside {owner}, where the platform cannot reach it."
            hint = "Move it to the module's top level."
            self.problems.append(self._problem("handler-nested", message, hint, self.lines.name_span(inner)))

    def _check_called_decorators(self, statement: ast.stmt) -> None:
        """Add a problem for a decorator used without ``@``, as in ``handler = function(memory=128)(other)``."""
        if isinstance(statement, ast.Import | ast.ImportFrom | ast.ClassDef):
            return
        for node in nodes_outside_definitions(statement):
            if isinstance(node, ast.Name | ast.Attribute) and self.names.decorator_kind(node):
                message = f"{ast.unparse(node)} is used without @ here, so its declaration cannot be read."
                hint = "Write it as a decorator, or use --import."
                span = self.lines.span(node)
                self.resolvable_by_import.append(self._problem("decorator-called", message, hint, span))
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
