"""JSON Schemas of type hints (2020-12, as in OpenAPI 3.1), classes as components. No archive has this module."""

from __future__ import annotations

import collections.abc
import datetime as dt
import decimal
import enum
import inspect
import sys
import types
import typing
import uuid
from typing import Any, Final, TypeAlias

from fnkit.adapters.decoders import LISTS, constraints_of, resolve_alias
from fnkit.adapters.models import fields_of, is_msgspec, is_pydantic

Schema: TypeAlias = dict[str, Any]
_REFERENCE: Final = "#/components/schemas/{model}"
_SCALARS: Final[dict[Any, Schema]] = {
    str: {"type": "string"},
    int: {"type": "integer"},
    float: {"type": "number"},
    bool: {"type": "boolean"},
    None: {"type": "null"},
    type(None): {"type": "null"},
    Any: {},
    object: {},
    bytes: {"type": "string", "contentEncoding": "base64"},
    dt.datetime: {"type": "string", "format": "date-time"},
    dt.date: {"type": "string", "format": "date"},
    dt.time: {"type": "string", "format": "time"},
    uuid.UUID: {"type": "string", "format": "uuid"},
    decimal.Decimal: {"type": "string", "format": "decimal"},
    dict: {"type": "object"},
    list: {"type": "array"},
    tuple: {"type": "array"},
    set: {"type": "array", "uniqueItems": True},
    frozenset: {"type": "array", "uniqueItems": True},
}
_KEYWORDS: Final = {
    "ge": "minimum",
    "gt": "exclusiveMinimum",
    "le": "maximum",
    "lt": "exclusiveMaximum",
    "min_length": "minLength",
    "max_length": "maxLength",
    "pattern": "pattern",
}
_ARRAY_KEYWORDS: Final = {"min_length": "minItems", "max_length": "maxItems"}
_MAPPINGS: Final = (dict, collections.abc.Mapping, collections.abc.MutableMapping)
_SETS: Final = (set, frozenset, collections.abc.Set)
_JSON_TYPES: Final = {str: "string", int: "integer", float: "number", bool: "boolean", type(None): "null"}


class SchemaFactory:
    """Makes schemas, and collects those of classes.

    Attributes:
        components: Schemas of classes by name.
    """

    def __init__(self) -> None:
        self.components: dict[str, Schema] = {}
        self._names: dict[Any, str] = {}

    def make(self, hint: Any) -> Schema:
        """Return the schema of a type hint; ``{}`` for one that has none."""
        if typing.get_origin(hint) is typing.Annotated:
            return self._make_annotated(hint)
        hint = resolve_alias(hint)
        scalar = _SCALARS.get(hint)
        if scalar is not None:
            return dict(scalar)
        return self._make_generic(hint, typing.get_origin(hint), typing.get_args(hint))

    def _make_generic(self, hint: Any, origin: Any, arguments: tuple[Any, ...]) -> Schema:
        if origin is typing.Union or origin is types.UnionType:
            return {"anyOf": [self.make(one) for one in arguments]}
        if origin is typing.Literal:
            return _choices(list(arguments))
        if origin in _MAPPINGS:
            return {"type": "object", "additionalProperties": self.make(arguments[1])}
        if origin in LISTS:
            return self._make_array(origin, arguments)
        return self._make_class(hint)

    def _make_annotated(self, hint: Any) -> Schema:
        if any(type(one).__module__.partition(".")[0] == "pydantic" for one in hint.__metadata__):
            return self._make_pydantic(hint)
        schema = self.make(hint.__origin__)
        keywords = {**_KEYWORDS, **(_ARRAY_KEYWORDS if schema.get("type") == "array" else {})}
        for constraint in constraints_of(hint.__metadata__):
            schema[keywords[constraint.name]] = constraint.limit
        return schema

    def _make_array(self, origin: Any, arguments: tuple[Any, ...]) -> Schema:
        if origin is tuple and arguments[1:] != (Ellipsis,):
            items = [self.make(one) for one in arguments]
            return {"type": "array", "prefixItems": items, "minItems": len(items), "maxItems": len(items)}
        schema: Schema = {"type": "array", "items": self.make(arguments[0])}
        return {**schema, "uniqueItems": True} if origin in _SETS else schema

    def _make_class(self, hint: Any) -> Schema:
        kind = typing.get_origin(hint) or hint
        if is_pydantic(kind):
            return self._make_pydantic(hint)
        if is_msgspec(kind):
            return self._make_msgspec(hint)
        if isinstance(hint, type) and issubclass(hint, enum.Enum):
            return self._component(hint, _choices([member.value for member in hint]))
        try:
            fields = fields_of(hint)
        except (TypeError, AttributeError):
            return {}
        if hint in self._names:
            return _reference(self._names[hint])
        name = self._name(hint)
        self.components[name] = {}  # a class that refers to itself finds it
        schema: Schema = {
            "type": "object",
            "title": kind.__name__,
            "properties": {one.name: self.make(one.hint) for one in fields},
        }
        required = [one.name for one in fields if one.is_required]
        if required:
            schema["required"] = required
        self.components[name] = schema
        return _reference(name)

    def _component(self, hint: Any, schema: Schema) -> Schema:
        if hint not in self._names:
            self.components[self._name(hint)] = schema
        return _reference(self._names[hint])

    def _name(self, hint: Any) -> str:
        """Choose the name of a class: its own, with its module where another class has that."""
        kind = typing.get_origin(hint) or hint
        arguments = [getattr(one, "__name__", "Any") for one in typing.get_args(hint)]
        name = "_".join([kind.__name__, *arguments])
        if name in self.components:
            name = f"{kind.__module__.replace('.', '_')}_{name}"
        self._names[hint] = name
        return name

    def _make_pydantic(self, hint: Any) -> Schema:
        pydantic: Any = sys.modules["pydantic"]
        schema: Schema = pydantic.TypeAdapter(hint).json_schema(ref_template=_REFERENCE)
        self.components.update(schema.pop("$defs", {}))
        name = schema.get("title")
        if not isinstance(hint, type) or not isinstance(name, str) or schema.get("type") != "object":
            return schema
        self.components[name] = schema
        return _reference(name)

    def _make_msgspec(self, hint: Any) -> Schema:
        msgspec: Any = sys.modules["msgspec"]
        [schema], components = msgspec.json.schema_components([hint], ref_template="#/components/schemas/{name}")
        self.components.update(components)
        return dict(schema)


def summary_of(function: object) -> tuple[str, str]:
    """Return the first line of a docstring, and the rest."""
    lines = (inspect.getdoc(function) or "").strip().partition("\n")
    return lines[0].strip(), lines[2].strip()


def _reference(name: str) -> Schema:
    return {"$ref": _REFERENCE.format(model=name)}


def _choices(values: list[Any]) -> Schema:
    kinds = {_JSON_TYPES.get(type(one)) for one in values}
    schema: Schema = {"enum": values}
    return {"type": kinds.pop(), **schema} if len(kinds) == 1 and None not in kinds else schema
