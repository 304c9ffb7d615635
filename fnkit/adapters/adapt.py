"""Decides how a handler is called, by the same rule as the scanner."""

from __future__ import annotations

import inspect
import types
from collections.abc import Callable
from typing import Any, Final

from fnkit.authoring.calling import (
    EVENT_NAMES,
    HandlerParameter,
    ParameterKind,
    call_kind,
    hint_name,
    is_event_name,
    signature_of,
)

_FUNCTIONS: Final = (types.FunctionType, types.MethodType, types.BuiltinFunctionType)
_KINDS: Final[dict[object, ParameterKind]] = {
    inspect.Parameter.POSITIONAL_ONLY: "positional",
    inspect.Parameter.POSITIONAL_OR_KEYWORD: "positional",
    inspect.Parameter.VAR_POSITIONAL: "*",
    inspect.Parameter.KEYWORD_ONLY: "keyword",
    inspect.Parameter.VAR_KEYWORD: "**",
}
_ASGI_PARAMETERS: Final = 3


def adapt(handler: Callable[..., Any]) -> Callable[[Any, Any], object]:
    """Return ``handler(event, context)`` for a handler of any kind; a plain one is returned as it is.

    Raises:
        UnsupportedType: A parameter of a typed handler has no type, or one that cannot come from a request.
        RuntimeError: An ASGI application could not start.
    """
    parameters = list(signature_of(handler).parameters.values())
    names = [one.name for one in parameters if one.default is one.empty]
    if not isinstance(handler, _FUNCTIONS):
        if len(names) == len(EVENT_NAMES) and all(map(is_event_name, names)):  # an object with a plain call
            return handler
        return _adapt_application(handler, len(names))
    is_async = inspect.iscoroutinefunction(handler)
    match call_kind([describe_parameter(one) for one in parameters], is_async=is_async):
        case "plain":
            return handler
        case "application":
            return _adapt_application(handler, len(names))
        case "async":
            return _adapt_async(handler)
        case "typed":
            from fnkit.adapters.typed import adapt_typed

            return adapt_typed(handler)


def is_typed(handler: Callable[..., Any]) -> bool:
    """Return whether a function is a typed handler."""
    described = [describe_parameter(one) for one in signature_of(handler).parameters.values()]
    return call_kind(described, is_async=False) == "typed"


def describe_parameter(parameter: inspect.Parameter) -> HandlerParameter:
    """Return a parameter as the scanner reads it from source."""
    has_hint = parameter.annotation is not parameter.empty
    return HandlerParameter(
        name=parameter.name,
        hint=hint_name(parameter.annotation) if has_hint else None,
        kind=_KINDS[parameter.kind],
        is_required=parameter.default is parameter.empty and _KINDS[parameter.kind] in ("positional", "keyword"),
    )


def _adapt_async(handler: Callable[..., Any]) -> Callable[[Any, Any], object]:
    from fnkit.adapters.event_loop import run

    def call(event: object, context: object) -> object:
        return run(handler(event, context))

    return call


def _adapt_application(application: Callable[..., Any], required: int) -> Callable[[Any, Any], object]:
    if required == _ASGI_PARAMETERS:
        from fnkit.adapters.asgi import adapt_asgi

        return adapt_asgi(application)
    from fnkit.adapters.wsgi import adapt_wsgi

    return adapt_wsgi(application)
