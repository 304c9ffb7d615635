"""Describes a handler in OpenAPI 3.1, in the process that could call it. No archive has this module.

The result is one document for one function; `fnkit openapi` joins those of a project.
"""

from __future__ import annotations

import contextlib
import functools
import inspect
import operator
import typing
from collections.abc import Callable
from typing import Any, Final

from fnkit.adapters.adapt import is_typed
from fnkit.adapters.parameters import Parameter, TypedSignature, read_signature
from fnkit.adapters.results import encode, json_response
from fnkit.adapters.schemas import Schema, SchemaFactory, summary_of
from fnkit.authoring.types import Response

_PLACES: Final = ("path", "query", "header", "cookie")
_FAULTS: Final[Schema] = {
    "type": "object",
    "properties": {
        "detail": {
            "type": "array",
            "items": {
                "type": "object",
                "properties": {
                    "loc": {"type": "array", "items": {"type": ["string", "integer"]}},
                    "msg": {"type": "string"},
                    "type": {"type": "string"},
                },
                "required": ["loc", "msg", "type"],
            },
        }
    },
    "required": ["detail"],
}
_FAULTS_NAME: Final = "Faults"


def describe(handler: Callable[..., Any], name: str) -> dict[str, object]:
    """Return the response of a description: a document with ``paths`` and ``components``, or ``null``.

    Args:
        handler: A typed handler, or an application.
        name: The name of its function.
    """
    return json_response(200, _document(handler, name))


def _document(handler: Callable[..., Any], name: str) -> object:
    if inspect.isroutine(handler):
        return _describe_typed(handler, name) if is_typed(handler) else None
    own = getattr(handler, "openapi", None)  # FastAPI
    if callable(own):
        return own()
    schema = getattr(handler, "openapi_schema", None)  # Litestar
    return schema.to_schema() if schema is not None else None


def _describe_typed(handler: Callable[..., Any], name: str) -> dict[str, object]:
    signature = read_signature(handler)
    factory = SchemaFactory()
    summary, description = summary_of(handler)
    operation: dict[str, Any] = {"operationId": name, "summary": summary or name}
    if description:
        operation["description"] = description
    parameters = [_parameter(one, factory) for one in signature.parameters if one.source in _PLACES]
    if parameters:
        operation["parameters"] = parameters
    if signature.body:
        operation["requestBody"] = _request_body(signature, factory)
    operation["responses"] = _responses(signature, factory)
    method = "post" if signature.body else "get"
    components = dict(sorted(factory.components.items()))
    return {"paths": {_path(signature): {method: operation}}, "components": {"schemas": components}}


def _path(signature: TypedSignature) -> str:
    return signature.path.text.replace(":path}", "}") or "/"


def _parameter(parameter: Parameter, factory: SchemaFactory) -> dict[str, Any]:
    schema = factory.make(parameter.hint)
    if not parameter.is_required and "$ref" not in schema:
        with contextlib.suppress(TypeError):  # a default that has no JSON is not shown
            schema["default"] = encode(parameter.default)
    described = {"name": parameter.key, "in": parameter.source, "required": parameter.is_required}
    if parameter.description:
        described["description"] = parameter.description
    if schema.get("type") == "array" and parameter.source == "query":
        described |= {"style": "form", "explode": False}
    return {**described, "schema": schema}


def _request_body(signature: TypedSignature, factory: SchemaFactory) -> dict[str, Any]:
    body = signature.body
    if not body[0].key:
        schema = factory.make(body[0].hint)
    else:
        schema = {"type": "object", "properties": {one.key: factory.make(one.hint) for one in body}}
        required = [one.key for one in body if one.is_required]
        if required:
            schema["required"] = required
    kind = "text/plain" if body[0].is_raw else "application/json"
    if body[0].is_raw:
        schema = {"type": "string"}
    return {"required": any(one.is_required for one in body), "content": {kind: {"schema": schema}}}


def _responses(signature: TypedSignature, factory: SchemaFactory) -> dict[str, Any]:
    returns = signature.returns
    found: dict[str, Any] = {"description": "The result"}
    if returns is None or returns is type(None):
        found = {"description": "Nothing"}
    elif returns is str:
        found["content"] = {"text/html": {"schema": {"type": "string"}}}
    elif returns is not Response and returns is not Any:
        found["content"] = {"application/json": {"schema": factory.make(_without_response(returns))}}
    responses = {"200": found}
    if signature.path.text:
        responses["404"] = {"description": "Another path"}
    if any(one.source not in ("event", "context") for one in signature.parameters):
        factory.components[_FAULTS_NAME] = _FAULTS
        content = {"application/json": {"schema": {"$ref": f"#/components/schemas/{_FAULTS_NAME}"}}}
        responses["422"] = {"description": "What is wrong with the request", "content": content}
    return responses


def _without_response(hint: Any) -> Any:
    """Return a hint without fnkit's own ``Response``, which has any body."""
    members = [one for one in typing.get_args(hint) if one is not Response]
    if not members or Response not in typing.get_args(hint):
        return hint
    return functools.reduce(operator.or_, members)
