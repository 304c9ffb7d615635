"""Decodes objects: dataclasses, typed dictionaries and named tuples, and the models of pydantic and msgspec.

pydantic and msgspec are used only if the function's own code has imported them.
"""

from __future__ import annotations

import dataclasses
import functools
import json
import re
import sys
import typing
from collections.abc import Callable, Mapping
from typing import Any, Final, NamedTuple, Protocol

from fnkit.adapters.faults import INVALID, Fault, Faults, Location, UnsupportedType
from fnkit.adapters.scalars import Decoder, reject

_MSGSPEC_PATH: Final = re.compile(r" - at `\$?(.*)`\Z", re.DOTALL)
_PATH_STEP: Final = re.compile(r"\.([^.\[\]]+)|\[(\d+|\.\.\.)\]")


class MakeDecoder(Protocol):
    """Returns the decoder of a type hint."""

    def __call__(self, hint: Any, *, is_text: bool = False) -> Decoder:
        """Return the decoder."""


class Field(NamedTuple):
    """A field of an object.

    Attributes:
        name: Its name, also in JSON.
        hint: Its type.
        is_required: Whether it has no default.
    """

    name: str
    hint: Any
    is_required: bool


def is_model(hint: Any) -> bool:
    """Return whether a type is decoded from an object, and so from the body where nothing else is said."""
    kind = typing.get_origin(hint) or hint
    return (
        dataclasses.is_dataclass(kind)
        or typing.is_typeddict(kind)
        or _is_named_tuple(kind)
        or is_pydantic(kind)
        or is_msgspec(kind)
    )


def is_pydantic(kind: Any) -> bool:
    """Return whether pydantic decodes a class: its models and dataclasses, and its types."""
    marks = ("__get_pydantic_core_schema__", "__pydantic_validator__")
    return "pydantic" in sys.modules and any(hasattr(kind, mark) for mark in marks)


def is_msgspec(kind: Any) -> bool:
    """Return whether a class is a ``msgspec.Struct``."""
    msgspec = sys.modules.get("msgspec")
    return msgspec is not None and isinstance(kind, type) and issubclass(kind, msgspec.Struct)


def class_decoder(hint: Any, *, is_text: bool, make: MakeDecoder) -> Decoder:
    """Return the decoder of a class, or of a generic one with its arguments.

    Raises:
        UnsupportedType: The class has no decoder.
    """
    kind = typing.get_origin(hint) or hint
    if is_pydantic(kind):
        return pydantic_decoder(hint, is_text=is_text)
    if is_msgspec(kind):
        return msgspec_decoder(hint, is_text=is_text)
    if not is_model(kind):
        raise UnsupportedType(f"{getattr(hint, '__qualname__', hint)} cannot be read from a request")
    return _object_decoder(hint, kind, is_text=is_text, make=make)


def _object_decoder(hint: Any, kind: Any, *, is_text: bool, make: MakeDecoder) -> Decoder:
    fields = fields_of(hint)
    build: Callable[..., object] = dict if typing.is_typeddict(kind) else kind
    members = [(one, make(one.hint, is_text=is_text)) for one in fields]

    def decode(value: object, location: Location, faults: Faults) -> Any:
        if not isinstance(value, dict):
            return reject(location, faults, "expected an object")
        before = len(faults)
        given: dict[str, object] = {}
        for field, member in members:
            if field.name in value:
                given[field.name] = member(value[field.name], (*location, field.name), faults)
            elif field.is_required:
                faults.append(Fault((*location, field.name), "is missing", "missing"))
        if len(faults) > before:
            return INVALID
        try:
            return build(**given)
        except (ValueError, AssertionError) as error:  # a check of the class, as pydantic's validators are
            return reject(location, faults, str(error) or type(error).__name__, "value")

    return decode


def fields_of(hint: Any) -> tuple[Field, ...]:
    """Return the fields of a dataclass, a typed dictionary or a named tuple, with its type arguments applied.

    Raises:
        UnsupportedType: A hint of the class cannot be resolved.
    """
    kind = typing.get_origin(hint) or hint
    try:
        hints = typing.get_type_hints(kind, include_extras=True)
    except (NameError, TypeError) as error:
        raise UnsupportedType(f"the type hints of {kind.__qualname__} cannot be resolved: {error}") from None
    arguments = dict(zip(getattr(kind, "__parameters__", ()), typing.get_args(hint), strict=False))
    return tuple(
        Field(name, _substitute(_without_qualifiers(hints[name]), arguments), required)
        for name, required in _field_names(kind, hints)
    )


def _field_names(kind: Any, hints: Mapping[str, Any]) -> list[tuple[str, bool]]:
    """Return the names, and whether each has no default."""
    if dataclasses.is_dataclass(kind):
        missing = dataclasses.MISSING
        return [
            (one.name, one.default is missing and one.default_factory is missing)
            for one in dataclasses.fields(kind)
            if one.init
        ]
    if typing.is_typeddict(kind):
        required: frozenset[str] = getattr(kind, "__required_keys__", frozenset())
        # With postponed annotations, Python 3.11 sees no NotRequired.
        return [(name, name in required and _qualifier(hint) != "NotRequired") for name, hint in hints.items()]
    return [(name, name not in kind._field_defaults) for name in kind._fields]


def _substitute(hint: Any, arguments: Mapping[Any, Any]) -> Any:
    if isinstance(hint, typing.TypeVar):
        return arguments.get(hint, hint)
    parameters = getattr(hint, "__parameters__", ())
    if parameters and arguments and not isinstance(hint, type):
        return hint[tuple(arguments.get(one, Any) for one in parameters)]
    return hint


def _without_qualifiers(hint: Any) -> Any:
    """Return the type in ``Required[…]``, ``NotRequired[…]`` and ``ReadOnly[…]``."""
    while _qualifier(hint) in ("Required", "NotRequired", "ReadOnly"):
        [hint] = typing.get_args(hint)
    return hint


def _qualifier(hint: Any) -> str:
    return str(getattr(typing.get_origin(hint), "_name", ""))


def _is_named_tuple(kind: Any) -> bool:
    return isinstance(kind, type) and issubclass(kind, tuple) and hasattr(kind, "_field_defaults")


def pydantic_decoder(hint: Any, *, is_text: bool) -> Decoder:
    """Return a decoder that asks pydantic, which has rules of its own."""
    pydantic: Any = sys.modules["pydantic"]
    adapter = pydantic.TypeAdapter(hint)

    def decode(value: object, location: Location, faults: Faults) -> Any:
        try:
            # As JSON, so that a strict model takes dates as text; a form has text only, which is not strict.
            return adapter.validate_python(value) if is_text else adapter.validate_json(json.dumps(value))
        except pydantic.ValidationError as error:
            for one in error.errors(include_url=False, include_context=False, include_input=False):
                faults.append(Fault((*location, *one["loc"]), one["msg"], one["type"]))
        return INVALID

    return decode


def msgspec_decoder(hint: Any, *, is_text: bool) -> Decoder:
    """Return a decoder that asks msgspec, which reports the first fault only."""
    msgspec: Any = sys.modules["msgspec"]
    convert = functools.partial(msgspec.convert, type=hint, strict=not is_text, str_keys=True)

    def decode(value: object, location: Location, faults: Faults) -> Any:
        try:
            return convert(value)
        except msgspec.ValidationError as error:
            text = str(error)
            path = _MSGSPEC_PATH.search(text)
            steps = () if path is None else tuple(_steps(path.group(1)))
            return reject((*location, *steps), faults, _MSGSPEC_PATH.sub("", text), "value")

    return decode


def _steps(path: str) -> list[str | int]:
    return [name or (int(index) if index.isdigit() else index) for name, index in _PATH_STEP.findall(path)]
