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

from fnkit.authoring.declarations import (
    CronDeclaration,
    Declaration,
    FunctionDeclaration,
    TriggerDeclaration,
)

__all__ = ["Fault", "declare", "known_arguments"]


@dataclass(frozen=True, slots=True)
class Fault:
    """A problem with an argument; ``argument`` is its name, or ``""`` for a problem of the whole call."""

    code: str
    message: str
    hint: str | None = None
    argument: str = ""


def _is_text(value: object) -> bool:
    return isinstance(value, str)


def _is_whole(value: object) -> bool:
    return isinstance(value, int) and not isinstance(value, bool)


def _is_flag(value: object) -> bool:
    return isinstance(value, bool)


def _is_duration(value: object) -> bool:
    return isinstance(value, str | int | float) and not isinstance(value, bool)


def _is_names(value: object) -> bool:
    return isinstance(value, list | tuple | set | frozenset) and all(isinstance(item, str) for item in value)


def _is_variables(value: object) -> bool:
    return isinstance(value, Mapping) and all(
        isinstance(name, str) and isinstance(text, str) for name, text in value.items()
    )


def _is_object(value: object) -> bool:
    return isinstance(value, Mapping) and all(isinstance(key, str) for key in value)


_Check: TypeAlias = tuple[Callable[[object], bool], str]
_TEXT: Final[_Check] = (_is_text, "a string")
_WHOLE: Final[_Check] = (_is_whole, "a whole number")
_FLAG: Final[_Check] = (_is_flag, "True or False")
_NAMES: Final[_Check] = (_is_names, "a list of strings")
_VARIABLES: Final[_Check] = (_is_variables, "a dictionary from strings to strings")

_SPECIAL: Final[Mapping[str, _Check]] = {
    "memory": (_is_whole, "a whole number of MB"),
    "min_scale": _WHOLE,
    "max_scale": _WHOLE,
    "timeout": (_is_duration, 'a number of seconds, or a string such as "30s"'),
    "env": _VARIABLES,
    "secrets": _NAMES,
    "tags": _NAMES,
    "domains": _NAMES,
    "preload": _FLAG,
    "args": (_is_object, "a dictionary with strings as keys"),
}
_KINDS: Final[Mapping[str, type[Declaration]]] = {
    "function": FunctionDeclaration,
    "cron": CronDeclaration,
    "trigger": TriggerDeclaration,
}
_SCHEDULE_HINT: Final = '@cron("*/5 * * * *"): minute, hour, day of month, month, day of week, in UTC'


def known_arguments(kind: str) -> tuple[str, ...]:
    """Return the argument names of ``function``, ``cron`` or ``trigger``, in the order of the signature."""
    return tuple(field.name for field in fields(_KINDS[kind]))


def declare(kind: str, arguments: Mapping[str, object]) -> tuple[Declaration | None, tuple[Fault, ...]]:
    """Build a declaration.

    Args:
        kind: ``function``, ``cron`` or ``trigger``.
        arguments: The arguments by name; ``None`` counts as not given.

    Returns:
        The declaration without invalid arguments, so that the others are still validated, and the problems. The
        declaration is ``None`` for a cron without a schedule.
    """
    known = known_arguments(kind)
    problems: list[Fault] = []
    valid: dict[str, object] = {}
    for name, value in arguments.items():
        if name not in known:
            problems.append(_unknown(kind, name, known))
        elif value is not None:
            check, expected = _SPECIAL.get(name, _TEXT)
            if check(value):
                valid[name] = _frozen(value)
            else:
                problems.append(_mistyped(name, value, expected))
    if kind == "cron" and "schedule" not in valid:
        if not any(problem.argument == "schedule" for problem in problems):
            problems.append(Fault("bad-argument", "the schedule is missing", _SCHEDULE_HINT, "schedule"))
        return None, tuple(problems)
    return _build(kind, valid), tuple(problems)


def _build(kind: str, valid: Mapping[str, object]) -> Declaration:
    # The checks guarantee that the values match their fields; a type checker cannot verify that.
    build: Callable[..., Declaration] = _KINDS[kind]
    return build(**valid)


def _frozen(value: object) -> object:
    if isinstance(value, Mapping):
        return MappingProxyType(dict(value))
    if isinstance(value, set | frozenset):
        return tuple(sorted(value))
    return tuple(value) if isinstance(value, list) else value


def _unknown(kind: str, name: str, known: tuple[str, ...]) -> Fault:
    close = difflib.get_close_matches(name, known, n=1)
    hint = f"Did you mean {close[0]}?" if close else f"@{kind} takes {', '.join(known)}."
    return Fault("unknown-argument", f"there is no argument {name!r}", hint, name)


def _mistyped(name: str, value: object, wanted: str) -> Fault:
    hint = None
    if wanted == _NAMES[1] and isinstance(value, str):
        hint = f"Write {name}=[{reprlib.repr(value)}]."
    if wanted == _VARIABLES[1] and isinstance(value, Mapping):
        odd = next((key for key, text in value.items() if not isinstance(text, str)), None)
        hint = f"The value of {reprlib.repr(odd)} is not a string; put it in quotes."
        return Fault("bad-argument", f"{name} must be {wanted}", hint, name)
    shown = reprlib.repr(value)
    # A value of env may be a secret, so messages contain only its type.
    what = type(value).__name__ if name == "env" else f"{shown} ({type(value).__name__})"
    message = f"{name} must be {wanted}, not {what}"
    return Fault("bad-argument", message, hint, name)
