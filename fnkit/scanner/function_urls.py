"""Reads calls of ``url_of`` without executing them."""

from __future__ import annotations

import ast
import re
from collections.abc import Callable
from typing import Final

from fnkit.authoring.function_url import FunctionUrl
from fnkit.scanner.constants import NotConstant, Value
from fnkit.scanner.decorators import ArgumentProblem

URL_OF: Final = "url_of"
_URL_OF_PATH: Final = re.compile(r"fnkit\.(?:authoring\.(?:function_url\.)?)?url_of")


class InvalidUrlOf(NotConstant):
    """A call of ``url_of`` that executing it would not make valid."""

    def __init__(self, node: ast.AST, problem: ArgumentProblem) -> None:
        super().__init__(node, problem.message)
        self.problem = problem


def is_url_of(path: str | None) -> bool:
    """Return whether the full path of a name, such as ``fnkit.url_of``, is that of ``url_of``."""
    return path is not None and _URL_OF_PATH.fullmatch(path) is not None


def not_imported(call: ast.Call, missing: str) -> InvalidUrlOf:
    """Return the problem of a call whose name, ``url_of`` or ``fnkit``, is bound to nothing."""
    needed = "import fnkit" if missing == "fnkit" else f"from fnkit import {URL_OF}"
    message = f"{missing} is not defined at this point"
    hint = f"Add `{needed}` at the top of the file."
    return InvalidUrlOf(call, ArgumentProblem("url-of-not-imported", message, hint))


def read_url_of(call: ast.Call, fold: Callable[[ast.expr], Value]) -> FunctionUrl:
    """Return the value of a call of ``url_of``.

    Raises:
        NotConstant: The name is not constant; ``InvalidUrlOf`` if there is not exactly one, or it is no string.
    """
    given = [*call.args, *(keyword.value for keyword in call.keywords if keyword.arg == "name")]
    if len(given) != 1 or len(given) != len(call.args) + len(call.keywords) or isinstance(given[0], ast.Starred):
        raise _invalid(call, "exactly one argument")
    name = fold(given[0])
    if not isinstance(name, str):
        raise _invalid(call, f"a string, not {type(name).__name__}")
    return FunctionUrl(name)


def _invalid(call: ast.Call, expected: str) -> InvalidUrlOf:
    message = f"url_of takes the name of a function: {expected}"
    hint = 'Write url_of("health"), with the name of a function of this project.'
    return InvalidUrlOf(call, ArgumentProblem("bad-url-of", message, hint))
