"""Builds declarations from the arguments of decorators, and checks argument names and types.

One table defines the types for decorators in source, for the manifests of imported modules and, verified by a test,
for ``[[tool.fnkit.function]]``. Values are validated later, in ``fnkit.project``.
"""

from __future__ import annotations

import difflib
import reprlib
from collections.abc import Callable, Mapping
from dataclasses import dataclass, fields
from types import MappingProxyType
from typing import Final, TypeAlias

from fnkit.authoring.declarations import CronDeclaration, Declaration, FunctionDeclaration, TriggerDeclaration
from fnkit.authoring.function_url import FunctionUrl


@dataclass(frozen=True, slots=True)
class ArgumentProblem:
    """A problem with an argument; ``argument`` is its name, or ``""`` for a problem of the whole call."""

    code: str
    message: str
    hint: str | None = None
    argument: str = ""


def _has_type(*types: type) -> Callable[[object], bool]:
    """Return a check for exactly these types: to Python, a Boolean is a whole number too."""
    return lambda value: type(value) in types


def _is_string_list(value: object) -> bool:
    return isinstance(value, list | tuple | set | frozenset) and all(isinstance(item, str) for item in value)


def _is_environment(value: object) -> bool:
    return isinstance(value, Mapping) and all(
        isinstance(name, str) and isinstance(text, str | FunctionUrl) for name, text in value.items()
    )


def _is_object(value: object) -> bool:
    return isinstance(value, Mapping) and all(isinstance(key, str) for key in value)


_TypeCheck: TypeAlias = tuple[Callable[[object], bool], str]
_STRING: Final[_TypeCheck] = (_has_type(str), "a string")
_INTEGER: Final[_TypeCheck] = (_has_type(int), "a whole number")
_BOOLEAN: Final[_TypeCheck] = (_has_type(bool), "True or False")
_STRING_LIST: Final[_TypeCheck] = (_is_string_list, "a list of strings")
_STRING_MAPPING: Final[_TypeCheck] = (_is_environment, "a dictionary from strings to strings")

_TYPE_CHECKS: Final[Mapping[str, _TypeCheck]] = {
    "memory": (_has_type(int), "a whole number of MB"),
    "min_scale": _INTEGER,
    "max_scale": _INTEGER,
    "timeout": (_has_type(str, int, float), 'a number of seconds, or a string such as "30s"'),
    "env": _STRING_MAPPING,
    "secrets": _STRING_LIST,
    "tags": _STRING_LIST,
    "groups": _STRING_LIST,
    "domains": _STRING_LIST,
    "preload": _BOOLEAN,
    "args": (_is_object, "a dictionary with strings as keys"),
}
_DECLARATION_TYPES: Final[Mapping[str, type[Declaration]]] = {
    "function": FunctionDeclaration,
    "cron": CronDeclaration,
    "trigger": TriggerDeclaration,
}
_SCHEDULE_HINT: Final = '@cron("*/5 * * * *"): minute, hour, day of month, month, day of week, in UTC'


def argument_names(kind: str) -> tuple[str, ...]:
    """Return the argument names of ``function``, ``cron`` or ``trigger``, in the order of the signature."""
    return tuple(field.name for field in fields(_DECLARATION_TYPES[kind]))


def build_declaration(
    kind: str, arguments: Mapping[str, object]
) -> tuple[Declaration | None, tuple[ArgumentProblem, ...]]:
    """Build a declaration.

    Args:
        kind: ``function``, ``cron`` or ``trigger``.
        arguments: The arguments by name; ``None`` counts as not given.

    Returns:
        The declaration without invalid arguments, so that the others are still validated, and the problems. The
        declaration is ``None`` for a cron without a schedule.
    """
    known = argument_names(kind)
    problems: list[ArgumentProblem] = []
    valid: dict[str, object] = {}
    for name, value in arguments.items():
        if name not in known:
            problems.append(_unknown_argument(kind, name, known))
        elif value is not None:
            check, expected = _TYPE_CHECKS.get(name, _STRING)
            if check(value):
                valid[name] = _freeze(value)
            else:
                problems.append(_wrong_type(name, value, expected))
    if kind == "cron" and "schedule" not in valid:
        if not any(problem.argument == "schedule" for problem in problems):
            problems.append(ArgumentProblem("bad-argument", "the schedule is missing", _SCHEDULE_HINT, "schedule"))
        return None, tuple(problems)
    # The checks guarantee that the values match their fields; a type checker cannot verify that.
    build: Callable[..., Declaration] = _DECLARATION_TYPES[kind]
    return build(**valid), tuple(problems)


def _freeze(value: object) -> object:
    if isinstance(value, Mapping):
        return MappingProxyType(dict(value))
    if isinstance(value, set | frozenset):
        return tuple(sorted(value))
    return tuple(value) if isinstance(value, list) else value


def _unknown_argument(kind: str, name: str, known: tuple[str, ...]) -> ArgumentProblem:
    close = difflib.get_close_matches(name, known, n=1)
    hint = f"Did you mean {close[0]}?" if close else f"@{kind} takes {', '.join(known)}."
    return ArgumentProblem("unknown-argument", f"there is no argument {name!r}", hint, name)


def _wrong_type(name: str, value: object, expected: str) -> ArgumentProblem:
    hint = None
    if expected == _STRING_LIST[1] and isinstance(value, str):
        hint = f"Write {name}=[{reprlib.repr(value)}]."
    if expected == _STRING_MAPPING[1] and isinstance(value, Mapping):
        odd = next((key for key, text in value.items() if not isinstance(text, str | FunctionUrl)), None)
        hint = f"The value of {reprlib.repr(odd)} is not a string; put it in quotes."
        if isinstance(value.get(odd), Mapping) and "url_of" in value[odd]:
            hint = f'Write the value of {reprlib.repr(odd)} as url_of("…"), imported from fnkit.'
        return ArgumentProblem("bad-argument", f"{name} must be {expected}", hint, name)
    shown = reprlib.repr(value)
    # A value of env may be a secret, so messages contain only its type.
    what = type(value).__name__ if name == "env" else f"{shown} ({type(value).__name__})"
    message = f"{name} must be {expected}, not {what}"
    return ArgumentProblem("bad-argument", message, hint, name)
