"""Makes decoders of type hints. A decoder is made once, when the handler is imported, and called for each request.

It never raises for a value: whatever is wrong becomes a fault with its path.
"""

from __future__ import annotations

import collections.abc
import enum
import types
import typing
from collections.abc import Callable, Iterable
from typing import Any, Final

from fnkit.adapters import models
from fnkit.adapters.faults import INVALID, Fault, Faults, Location, UnsupportedType
from fnkit.adapters.scalars import (
    CONSTRAINTS,
    Constraint,
    Decoder,
    constrained,
    decode_any,
    decode_boolean,
    decode_boolean_text,
    decode_bytes,
    decode_decimal,
    decode_float,
    decode_float_text,
    decode_integer,
    decode_integer_text,
    decode_null,
    decode_string,
    decoder_from_text,
    decoder_of_choices,
    reject,
)
from fnkit.authoring.parameters import ParameterMarker

_SCALARS: Final[dict[object, tuple[Decoder, Decoder]]] = {
    str: (decode_string, decode_string),
    int: (decode_integer, decode_integer_text),
    float: (decode_float, decode_float_text),
    bool: (decode_boolean, decode_boolean_text),
    bytes: (decode_bytes, decode_bytes),
    None: (decode_null, decode_null),
    type(None): (decode_null, decode_null),
    Any: (decode_any, decode_any),
    object: (decode_any, decode_any),
}
"""The decoders for JSON and for text."""
LISTS: Final[dict[object, Callable[[list[Any]], object]]] = {
    list: list,
    collections.abc.Sequence: list,
    collections.abc.Iterable: list,
    collections.abc.Collection: list,
    collections.abc.MutableSequence: list,
    set: set,
    collections.abc.Set: frozenset,
    frozenset: frozenset,
    tuple: tuple,
}
_MAPPINGS: Final = frozenset({dict, collections.abc.Mapping, collections.abc.MutableMapping})


class DecoderFactory:
    """Makes decoders, and keeps those of classes, which may refer to themselves."""

    def __init__(self) -> None:
        self._classes: dict[tuple[object, bool], Decoder | None] = {}

    def make(self, hint: Any, *, is_text: bool = False) -> Decoder:
        """Return the decoder of a type hint.

        Args:
            hint: A hint whose names are resolved.
            is_text: Whether numbers and truth values are text, as in a query and in a form.

        Raises:
            UnsupportedType: No value of this type can come from a request.
        """
        if typing.get_origin(hint) is typing.Annotated:
            return self._make_annotated(hint, is_text=is_text)
        hint = resolve_alias(hint)
        if typing.get_origin(hint) is None:
            return self._make_plain(hint, is_text=is_text)
        return self._make_generic(hint, typing.get_origin(hint), typing.get_args(hint), is_text=is_text)

    def _make_generic(self, hint: Any, origin: Any, arguments: tuple[Any, ...], *, is_text: bool) -> Decoder:
        if origin is typing.Union or origin is types.UnionType:
            return self._make_union(arguments, is_text=is_text)
        if origin is typing.Literal:
            return decoder_of_choices([(value, value) for value in arguments], is_text=is_text)
        if origin in _MAPPINGS:
            return self._make_mapping(*arguments, is_text=is_text)
        if origin in LISTS:
            return self._make_list(origin, arguments, is_text=is_text)
        return self._make_class(hint, is_text=is_text)

    def _make_annotated(self, hint: Any, *, is_text: bool) -> Decoder:
        metadata = hint.__metadata__
        if any(type(one).__module__.partition(".")[0] == "pydantic" for one in metadata):
            return models.pydantic_decoder(hint, is_text=is_text)
        inner = self.make(hint.__origin__, is_text=is_text)
        return constrained(inner, list(constraints_of(metadata)))

    def _make_plain(self, hint: Any, *, is_text: bool) -> Decoder:
        if hint in _SCALARS:
            return _SCALARS[hint][is_text]
        if hint in _MAPPINGS:
            return self._make_mapping(str, Any, is_text=is_text)
        if hint in LISTS:
            return self._make_list(hint, (Any, ...) if hint is tuple else (Any,), is_text=is_text)
        if not isinstance(hint, type):
            raise UnsupportedType(f"{hint!r} cannot be read from a request")
        if issubclass(hint, enum.Enum):
            return decoder_of_choices([(member.value, member) for member in hint], is_text=is_text)
        if (hint.__module__, hint.__name__) == ("decimal", "Decimal"):
            return decode_decimal
        return decoder_from_text(hint) or self._make_class(hint, is_text=is_text)

    def _make_class(self, hint: Any, *, is_text: bool) -> Decoder:
        key = (hint, is_text)
        if key not in self._classes:
            self._classes[key] = None
            self._classes[key] = models.class_decoder(hint, is_text=is_text, make=self.make)
        found = self._classes[key]
        if found is not None:
            return found

        def decode(value: object, location: Location, faults: Faults) -> Any:
            made = self._classes[key]
            if made is None:
                raise AssertionError(f"the decoder of {hint} is used while it is made")
            return made(value, location, faults)

        return decode

    def _make_list(self, origin: Any, arguments: tuple[Any, ...], *, is_text: bool) -> Decoder:
        build = LISTS[origin]
        if origin is tuple and arguments[1:] != (Ellipsis,):
            return self._make_tuple(() if arguments == ((),) else arguments, is_text=is_text)
        item = self.make(arguments[0], is_text=is_text)

        def decode(value: object, location: Location, faults: Faults) -> Any:
            items = _items(value, is_text=is_text)
            if items is None:
                return reject(location, faults, "expected a list")
            decoded = [item(one, (*location, index), faults) for index, one in enumerate(items)]
            if INVALID in decoded:
                return INVALID
            try:
                return build(decoded)
            except TypeError:
                return reject(location, faults, "expected values that a set can have")

        return decode

    def _make_tuple(self, arguments: tuple[Any, ...], *, is_text: bool) -> Decoder:
        members = [self.make(one, is_text=is_text) for one in arguments]

        def decode(value: object, location: Location, faults: Faults) -> Any:
            items = _items(value, is_text=is_text)
            if items is None or len(items) != len(members):
                return reject(location, faults, f"expected a list of {len(members)}")
            decoded = [
                member(one, (*location, index), faults)
                for index, (member, one) in enumerate(zip(members, items, strict=True))
            ]
            return INVALID if INVALID in decoded else tuple(decoded)

        return decode

    def _make_mapping(self, key_hint: Any, value_hint: Any, *, is_text: bool) -> Decoder:
        key, member = self.make(key_hint, is_text=True), self.make(value_hint, is_text=is_text)

        def decode(value: object, location: Location, faults: Faults) -> Any:
            if not isinstance(value, dict):
                return reject(location, faults, "expected an object")
            pairs = [
                (key(name, (*location, name), faults), member(one, (*location, name), faults))
                for name, one in value.items()
            ]
            return INVALID if any(INVALID in pair for pair in pairs) else dict(pairs)

        return decode

    def _make_union(self, arguments: tuple[Any, ...], *, is_text: bool) -> Decoder:
        # Text matches everything, so it comes last.
        ordered = sorted(arguments, key=lambda one: one is str)
        members = [self.make(one, is_text=is_text) for one in ordered]

        def decode(value: object, location: Location, faults: Faults) -> Any:
            if isinstance(value, float) and float in ordered:  # 1.0 stays one in int | float
                return decode_float(value, location, faults)
            attempts: list[Faults] = []
            for member in members:
                found: Faults = []
                result = member(value, location, found)
                if result is not INVALID:
                    return result
                attempts.append(found)
            faults.extend(_faults_of_union(attempts, location))
            return INVALID

        return decode


def _faults_of_union(attempts: list[Faults], location: Location) -> Faults:
    """Return the faults of the member that was meant, which got furthest, or one fault that names all members."""
    deepest = max(attempts, key=lambda found: max(len(fault.location) for fault in found))
    if any(len(fault.location) > len(location) for fault in deepest):
        return deepest
    messages = dict.fromkeys(fault.message.removeprefix("expected ") for found in attempts for fault in found)
    return [Fault(location, "expected " + " or ".join(messages), "type")]


def resolve_alias(hint: Any) -> Any:
    """Return what a ``NewType``, a ``type`` statement or a type variable stands for."""
    while True:
        if isinstance(hint, typing.NewType):
            hint = hint.__supertype__
        elif type(hint).__name__ == "TypeAliasType":
            hint = hint.__value__
        elif isinstance(hint, typing.TypeVar):
            hint = Any if hint.__bound__ is None else hint.__bound__
        else:
            return hint


def constraints_of(metadata: Iterable[object]) -> Iterable[Constraint]:
    """Yield the constraints of a marker, and of objects with the same attributes, as ``annotated_types`` has."""
    for one in metadata:
        for name in CONSTRAINTS:
            limit = one.constraints.get(name) if isinstance(one, ParameterMarker) else getattr(one, name, None)
            if isinstance(limit, str | int | float):
                yield Constraint(name, limit)


def _items(value: object, *, is_text: bool) -> list[Any] | None:
    """Return the items of a list; in text, they are separated by commas."""
    if is_text and isinstance(value, str):
        return [item.strip() for item in value.split(",")] if value else []
    return value if isinstance(value, list) else None
