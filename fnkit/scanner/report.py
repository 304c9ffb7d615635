"""What a scan finds: handlers with what was declared on them, and problems. Frozen, nothing judged yet."""

from __future__ import annotations

from dataclasses import dataclass

from fnkit.authoring.declarations import Declaration
from fnkit.errors import Problem

__all__ = ["Marked", "ScanReport", "ScannedFunction", "Signature"]


@dataclass(frozen=True, slots=True, kw_only=True)
class Signature:
    """How a handler can be called.

    required: positional parameters without a default. positional: how many it takes at most, ``None`` with
    ``*args``. required_keywords: keyword-only parameters without a default.
    """

    required: int
    positional: int | None
    required_keywords: tuple[str, ...] = ()
    is_async: bool = False
    is_generator: bool = False


@dataclass(frozen=True, slots=True, kw_only=True)
class Marked:
    """One declaration and the line of its decorator."""

    declaration: Declaration
    line: int


@dataclass(frozen=True, slots=True, kw_only=True)
class ScannedFunction:
    """One handler.

    file: relative to the project with ``/``. line: of its ``def``. handler: as the API wants it, the file's
    path without extension, a dot, the Python name (functions-contract §1.7). signature: ``None`` where a
    decorator of someone else's may have changed it. summary: the docstring's first line, or ``""``.
    """

    python_name: str
    file: str
    line: int
    handler: str
    marks: tuple[Marked, ...]
    signature: Signature | None
    summary: str = ""


@dataclass(frozen=True, slots=True, kw_only=True)
class ScanReport:
    """Everything found, in the order of files and lines."""

    functions: tuple[ScannedFunction, ...] = ()
    problems: tuple[Problem, ...] = ()
