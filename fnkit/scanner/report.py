"""The result of a scan: handlers with their unvalidated declarations, and problems."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field

from fnkit.authoring.calling import HandlerParameter
from fnkit.authoring.declarations import Declaration
from fnkit.errors import Problem
from fnkit.scanner.spans import Span


@dataclass(frozen=True, slots=True, kw_only=True)
class Signature:
    """The signature of a handler.

    Attributes:
        required_positionals: Number of positional parameters without a default.
        max_positionals: Maximum number of positional arguments, or ``None`` with ``*args``.
        required_keywords: Names of the keyword-only parameters without a default.
        parameters: All parameters, which decide how the handler is called.
    """

    required_positionals: int
    max_positionals: int | None
    required_keywords: tuple[str, ...] = ()
    is_async: bool = False
    is_generator: bool = False
    parameters: tuple[HandlerParameter, ...] = ()


@dataclass(frozen=True, slots=True, kw_only=True)
class LocatedDeclaration:
    """A declaration, the place of its decorator, and the places of its arguments by name."""

    declaration: Declaration
    span: Span
    arguments: Mapping[str, Span] = field(default_factory=dict)


@dataclass(frozen=True, slots=True, kw_only=True)
class ScannedFunction:
    """A handler and its declarations.

    Attributes:
        file: Path relative to the project, with ``/``.
        line: Line of the ``def``.
        span: Place of the name in the ``def``.
        handler: The API's handler string: the file's path without its extension, a dot, and the Python name.
        declarations: The declarations, in source order.
        signature: ``None`` if a decorator that is not fnkit's may have changed it, and for an application.
        summary: First line of the docstring, or ``""``.
        is_application: Whether it is an object that was marked by a call, as in ``function(app)``. How it is called
            is known only when it exists.
    """

    python_name: str
    file: str
    line: int
    handler: str
    declarations: tuple[LocatedDeclaration, ...]
    signature: Signature | None
    span: Span
    summary: str = ""
    is_application: bool = False


@dataclass(frozen=True, slots=True, kw_only=True)
class ScanReport:
    """The functions and problems of a project, sorted by file and line."""

    functions: tuple[ScannedFunction, ...] = ()
    problems: tuple[Problem, ...] = ()
