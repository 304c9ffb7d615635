"""How a handler is called: with an event and a context, with typed parameters, or as an ASGI or WSGI application.

One rule, for the scanner, which reads source, and for calls in a process, which have the function.
"""

from __future__ import annotations

import ast
import inspect
import sys
from collections.abc import Callable, Sequence
from typing import Annotated, Literal, NamedTuple, TypeAlias, get_origin

CallKind: TypeAlias = Literal["plain", "async", "typed", "application"]
"""``plain`` is what the platform calls itself; the others need an entry module (``docs/typed-handlers.md``)."""

ParameterKind: TypeAlias = Literal["positional", "keyword", "*", "**"]
"""How a parameter is passed; the last two are variadic."""
PLAIN_HINTS = frozenset({"Event", "Context", "dict", "Dict", "Mapping", "MutableMapping", "Any", "object"})
"""Type hints, without their parameters, that an event or a context can have."""
EVENT_NAMES = frozenset({"event", "context"})
_APPLICATION_PARAMETERS = (("environ", "start_response"), ("scope", "receive", "send"))
_ARGUMENT_COUNT = 2


class HandlerParameter(NamedTuple):
    """A parameter of a handler.

    Attributes:
        name: Its name.
        hint: The name of its type without parameters; ``None`` without a hint, ``""`` for one without a name.
        kind: How it is passed.
        is_required: Whether it has no default.
    """

    name: str
    hint: str | None
    kind: ParameterKind
    is_required: bool


def call_kind(parameters: Sequence[HandlerParameter], *, is_async: bool) -> CallKind:
    """Return how a function with these parameters is called."""
    if tuple(one.name for one in parameters) in _APPLICATION_PARAMETERS:
        return "application"
    if takes_event_and_context(parameters):
        return "async" if is_async else "plain"
    return "typed"


def takes_event_and_context(parameters: Sequence[HandlerParameter]) -> bool:
    """Return whether a function can be called with an event and a context, and its hints do not deny that."""
    positional = [one for one in parameters if one.kind == "positional"]
    is_variadic = any(one.kind == "*" for one in parameters)
    if any(one.kind == "keyword" and one.is_required for one in parameters):
        return False
    if sum(one.is_required for one in positional) > _ARGUMENT_COUNT:
        return False
    if len(positional) < _ARGUMENT_COUNT and not is_variadic:
        return False
    return all(
        one.hint is None or one.hint in PLAIN_HINTS or is_event_name(one.name)
        for one in positional[:_ARGUMENT_COUNT]
    )


def is_event_name(name: str) -> bool:
    """Return whether a parameter of this name is the event or the context."""
    return name.strip("_") in EVENT_NAMES


def hint_name(hint: object) -> str:
    """Return the name of a type hint without its module and parameters, ``""`` if it has none.

    >>> hint_name("typing.Mapping[str, int]"), hint_name(dict[str, int]), hint_name(int | None)
    ('Mapping', 'dict', '')
    """
    if isinstance(hint, str):
        try:
            return annotation_name(ast.parse(hint.strip(), mode="eval").body)
        except (SyntaxError, ValueError, RecursionError, MemoryError):
            return ""
    return str(getattr(hint, "__name__", "")) if get_origin(hint) is not Annotated else ""


def annotation_name(node: ast.expr) -> str:
    """Return the ``hint_name`` of an annotation in source."""
    match node:
        case ast.Name(id=name) | ast.Attribute(attr=name):
            return name
        case ast.Subscript(value=value):
            name = annotation_name(value)
            return "" if name == "Annotated" else name
        case ast.Constant(value=str() as text):
            return hint_name(text)
        case _:
            return ""


def signature_of(handler: Callable[..., object]) -> inspect.Signature:
    """Return the signature of a handler, whose annotations may have names that exist for type checkers only."""
    if sys.version_info >= (3, 14):  # where annotations are evaluated on first access
        import annotationlib

        return inspect.signature(handler, annotation_format=annotationlib.Format.STRING)
    return inspect.signature(handler)
