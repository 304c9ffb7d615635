"""From a decorator's arguments to a declaration: names and types are checked here, meaning is not.

One table serves three readers: decorators in source, manifests of imported modules, and the types of
``[[tool.fnkit.function]]`` agree with it by test.
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
    """Why an argument cannot be used; ``argument`` is ``""`` when the whole call is meant."""

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
    "timeout": (_is_duration, 'a number of seconds, or a text such as "30s"'),
    "env": _VARIABLES,
    "secrets": _NAMES,
    "tags": _NAMES,
    "domains": _NAMES,
    "slice": _FLAG,
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
    """The arguments of ``function``, ``cron`` or ``trigger``, in their order."""
    return tuple(field.name for field in fields(_KINDS[kind]))


def declare(kind: str, arguments: Mapping[str, object]) -> tuple[Declaration | None, tuple[Fault, ...]]:
    """Make a declaration from arguments by name.

    Returns:
        The declaration without the arguments that are at fault, so that everything else can still be judged,
        and the faults. A cron without a schedule is no declaration.
    """
    known = known_arguments(kind)
    faults: list[Fault] = []
    good: dict[str, object] = {}
    for name, value in arguments.items():
        if name not in known:
            faults.append(_unknown(kind, name, known))
        elif value is not None:
            check, wanted = _SPECIAL.get(name, _TEXT)
            if check(value):
                good[name] = _frozen(value)
            else:
                faults.append(_mistyped(name, value, wanted))
    if kind == "cron" and "schedule" not in good:
        if not any(fault.argument == "schedule" for fault in faults):
            faults.append(Fault("bad-argument", "there is no schedule", _SCHEDULE_HINT, "schedule"))
        return None, tuple(faults)
    return _build(kind, good), tuple(faults)


def _build(kind: str, good: Mapping[str, object]) -> Declaration:
    # The table above has checked each value against its field, which the type checker cannot follow.
    build: Callable[..., Declaration] = _KINDS[kind]
    return build(**good)


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
        return Fault("bad-argument", f"{name} is {wanted}", hint, name)
    shown = reprlib.repr(value)
    # What was meant for the environment may be a secret by mistake; its kind is enough.
    what = type(value).__name__ if name == "env" else f"{shown} ({type(value).__name__})"
    message = f"{name} is {wanted}, and this is {what}"
    return Fault("bad-argument", message, hint, name)
