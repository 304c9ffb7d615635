"""Builds the API's objects from records, whose fields mostly have the same names."""

from __future__ import annotations

from typing import TypeVar

import msgspec

__all__ = ["build_view"]

View = TypeVar("View", bound=msgspec.Struct)


def build_view(view_type: type[View], *records: msgspec.Struct, **fields: object) -> View:
    """Return an object of the API with the fields of the same name of the records and the given fields.

    A field that is ``UNSET`` is absent.

    Raises:
        msgspec.ValidationError: A field has no value, or one of the wrong type: a bug.
    """
    values: dict[str, object] = {}
    for record in records:
        values |= msgspec.structs.asdict(record)
    values |= fields
    return msgspec.convert({name: one for name, one in values.items() if one is not msgspec.UNSET}, view_type)
