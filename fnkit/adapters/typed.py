"""Calls a typed handler: decodes its arguments, or answers what is wrong with them, and encodes its result."""

from __future__ import annotations

import inspect
from collections.abc import Callable
from typing import Any

from fnkit.adapters.event_loop import run
from fnkit.adapters.faults import Fault
from fnkit.adapters.parameters import TypedSignature, read_signature
from fnkit.adapters.request import decode_arguments
from fnkit.adapters.results import error_response, fault_response, not_found_response, result_response
from fnkit.authoring.parameters import HttpError


def adapt_typed(handler: Callable[..., Any]) -> Callable[[dict[str, Any], object], object]:
    """Return ``handler(event, context)`` for a typed handler.

    Raises:
        UnsupportedType: A parameter has no type, or one that cannot come from a request.
    """
    signature = read_signature(handler)
    is_async = inspect.iscoroutinefunction(handler)

    def call(event: dict[str, Any], context: object) -> object:
        found = signature.path.pattern.fullmatch(str(event.get("path", "/")))
        if found is None:
            return not_found_response()
        try:
            arguments, faults = decode_arguments(signature, event, context, found.groupdict())
        except RecursionError:
            return fault_response([Fault(("body",), "is nested too deeply", "value")])
        if faults:
            return fault_response(faults)
        try:
            result = _call(handler, signature, arguments)
            return result_response(run(result) if is_async else result, signature.returns)
        except HttpError as error:
            return error_response(error)

    return call


def _call(handler: Callable[..., Any], signature: TypedSignature, arguments: dict[str, Any]) -> Any:
    positional = [arguments.pop(one.name, one.default) for one in signature.parameters if one.is_positional]
    return handler(*positional, **arguments)
