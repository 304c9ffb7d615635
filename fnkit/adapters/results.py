"""Makes responses of what typed handlers return: models become JSON, and everything else stays what it is."""

from __future__ import annotations

import dataclasses
import enum
import json
import sys
import typing
from collections.abc import Callable, Iterable, Mapping
from typing import Any, Final

from fnkit.adapters.faults import Fault
from fnkit.adapters.models import is_msgspec
from fnkit.authoring.parameters import HttpError
from fnkit.authoring.types import Response

_JSON: Final = "application/json"
_UNPROCESSABLE: Final = 422
_NOT_FOUND: Final = 404


def json_response(status: int, document: object, headers: Mapping[str, str] | None = None) -> dict[str, object]:
    """Return a response with a JSON body. It is text already, so that its members are no parts of a response."""
    body = json.dumps(document, ensure_ascii=False, separators=(",", ":"))
    return {"statusCode": status, "headers": {"Content-Type": _JSON, **(headers or {})}, "body": body}


def fault_response(faults: Iterable[Fault]) -> dict[str, object]:
    """Return the response to a request with faults."""
    return json_response(_UNPROCESSABLE, {"detail": [fault.document() for fault in faults]})


def not_found_response() -> dict[str, object]:
    """Return the response to a path that the function does not answer."""
    return json_response(_NOT_FOUND, {"detail": "Not Found"})


def error_response(error: HttpError) -> dict[str, object]:
    """Return the response that a handler raised."""
    return json_response(error.status, {"detail": encode(error.detail)}, error.headers)


def result_response(result: object, returns: Any) -> object:
    """Return what the platform gets for the result of a typed handler.

    Args:
        result: The result.
        returns: The handler's hint of it.
    """
    if result is None or isinstance(result, str | int | float):
        return encode(result)
    if isinstance(result, bytes | bytearray):
        body = {"body": encode(result), "isBase64Encoded": True}
        return {"statusCode": 200, "headers": {"Content-Type": "application/octet-stream"}, **body}
    kind = typing.get_origin(returns) or returns
    is_document = typing.is_typeddict(kind) and kind is not Response
    if isinstance(result, Mapping) and not is_document:
        return encode(result)
    return json_response(200, encode(result))


def encode(value: Any) -> Any:
    """Return a value of JSON for a value of Python.

    Dates are in ISO format, decimals and UUIDs are text, bytes are base64.

    Raises:
        TypeError: It has no JSON, as in a plain handler.
    """
    for is_of_kind, convert in _ENCODERS:
        if is_of_kind(value):
            return convert(value)
    raise TypeError(f"Object of type {type(value).__name__} is not JSON serializable")


def _is_pydantic(value: object) -> bool:
    return hasattr(type(value), "__pydantic_validator__") and "pydantic" in sys.modules


def _encode_pydantic(value: object) -> object:
    pydantic: Any = sys.modules["pydantic"]
    return pydantic.TypeAdapter(type(value)).dump_python(value, mode="json", by_alias=True)


def _encode_bytes(value: bytes) -> str:
    import base64

    return base64.b64encode(value).decode()


def _is_of(*names: tuple[str, str]) -> Callable[[object], bool]:
    """Return a check for classes by module and name, which need not be imported."""
    return lambda value: any((kind.__module__, kind.__name__) in names for kind in type(value).__mro__)


_ENCODERS: Final[tuple[tuple[Callable[[Any], bool], Callable[[Any], Any]], ...]] = (
    (lambda value: value is None or type(value) in (str, int, float, bool), lambda value: value),
    (lambda value: isinstance(value, enum.Enum), lambda value: encode(value.value)),
    (_is_pydantic, _encode_pydantic),
    (lambda value: is_msgspec(type(value)), lambda value: sys.modules["msgspec"].to_builtins(value, str_keys=True)),
    (
        lambda value: dataclasses.is_dataclass(value) and not isinstance(value, type),
        lambda value: {one.name: encode(getattr(value, one.name)) for one in dataclasses.fields(value)},
    ),
    (
        lambda value: isinstance(value, tuple) and hasattr(value, "_asdict"),
        lambda value: encode(value._asdict()),
    ),
    (
        lambda value: isinstance(value, Mapping),
        lambda value: {_key(name): encode(one) for name, one in value.items()},
    ),
    (
        lambda value: isinstance(value, list | tuple | set | frozenset),
        lambda value: [encode(one) for one in value],
    ),
    (lambda value: isinstance(value, str | int | float), lambda value: value),
    (lambda value: isinstance(value, bytes | bytearray), _encode_bytes),
    (_is_of(("datetime", "date"), ("datetime", "time")), lambda value: value.isoformat()),
    (_is_of(("decimal", "Decimal"), ("uuid", "UUID")), str),
)
"""Ordered: what a value is, and what makes JSON of it."""


def _key(name: Any) -> Any:
    encoded = encode(name)
    return encoded if isinstance(encoded, str | int | float | bool) or encoded is None else str(encoded)
